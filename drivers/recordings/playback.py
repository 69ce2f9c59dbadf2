"""An instrument whose only channel plays a recording. Nothing is driven, so nothing can go wrong."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivers.instrument import ChannelLook, ChannelValues, EndReason, OpenCircuit, Poll, SegmentEnd
from drivers.recordings.phases import LEAST_DURATION_S, OPEN_LIMIT_A, OPEN_LIMIT_V, phases
from drivers.recordings.recording import Recording
from drivers.recordings.rows import Floats
from protocols.capabilities import Capabilities
from protocols.errors import InstrumentError
from protocols.laboratory import InstrumentIdentity
from protocols.measurements import FLAG_INFERRED, Block, Spectrum, empty_block
from protocols.nodes import Step
from protocols.position import Position
from protocols.program import Program
from protocols.records import Ticket

CHANNEL = 0
DEFAULT_ROWS_PER_POLL = 2000
CAPABILITIES = Capabilities(
    model="playback",
    current_max_A=OPEN_LIMIT_A,
    voltage_min_V=-OPEN_LIMIT_V,
    voltage_max_V=OPEN_LIMIT_V,
    frequency_min_Hz=1e-9,
    frequency_max_Hz=1e9,
    sample_interval_min_s=1e-6,
    at_host_loss="stops",
    notes=("A recording plays: no cell is connected and nothing is driven.",),
)
"""So wide that every recording fits."""


@dataclass(slots=True)
class _Stream:
    """What is being played, and how far it is."""

    marker: str
    t_zero_s: float
    """Time of the recording's clock at the segment's start."""
    row: int
    """Next sample."""
    sweep: int
    """Next spectrum."""
    stopped: bool = False


class PlaybackInstrument:
    """Channel 0 plays one recording, as fast as it is polled.

    Each poll returns the next ``rows_per_poll`` samples and the spectra that end among them, in the order of
    time; a spectrum is given in the poll that brings the last sample before it.
    """

    simulated = False

    def __init__(
        self, recording: Recording, *, name: str = "playback", rows_per_poll: int = DEFAULT_ROWS_PER_POLL
    ) -> None:
        self.name = name
        self.rows_per_poll = rows_per_poll
        self._recording = recording
        self._phases = phases(recording)
        self._samples = self._block()
        self._spectra = [
            phase.spectrum.model_copy(update={"step": index})
            for index, phase in enumerate(self._phases)
            if phase.spectrum is not None
        ]
        self._stream: _Stream | None = None

    async def connect(self) -> None:
        """Do nothing: the file has been read."""

    async def close(self) -> None:
        """End the playing."""
        self._stream = None

    def identity(self) -> InstrumentIdentity:
        """Return what plays; the recording's own instrument is named in its metadata."""
        return InstrumentIdentity(driver="recordings", model="playback")

    def capabilities(self, channel: int) -> Capabilities:
        """Return limits so wide that every recording fits: nothing is commanded."""
        self._require_channel(channel)
        return CAPABILITIES

    async def look(self) -> list[ChannelLook]:
        """Show the channel: running while it plays."""
        stream = self._stream
        if stream is None:
            return [ChannelLook(CHANNEL, True, False, "", 0.0, 0.0)]
        return [ChannelLook(CHANNEL, True, True, stream.marker, *self._values(stream.row))]

    async def start(self, channel: int, program: Program, ticket: Ticket) -> None:
        """Begin to play, at the first step of ``program`` (a recording's program, or the rest of one).

        Raises InstrumentError if the program is not a playback or something plays already.
        """
        self._require_channel(channel)
        if program.kind != "playback":
            raise InstrumentError(f"{self.name}: plays {self._recording.source.name} and can't run a test")
        if self._stream is not None:
            raise InstrumentError(f"{self.name}: is playing already; stop it first")
        self._stream = self._stream_from(program, ticket.marker)

    async def poll(self) -> Poll:
        """Return the next samples and spectra; ``ended`` comes with the last of them."""
        stream = self._stream
        if stream is None:
            return Poll()
        poll = Poll() if stream.stopped else self._next(stream)
        is_complete = stream.row == len(self._samples) and stream.sweep == len(self._spectra)
        if stream.stopped or is_complete:
            poll.ended[CHANNEL] = self._end(stream, "stopped" if stream.stopped else "complete")
            self._stream = None
        else:
            poll.more = True
            poll.values.append(ChannelValues(CHANNEL, True, *self._values(stream.row)))
        return poll

    async def stop(self, channel: int) -> OpenCircuit:
        """End the playing. Nothing is driven: the circuit is open as it was all the time."""
        self._require_channel(channel)
        stream = self._stream
        if stream is None:
            return OpenCircuit(True, 0.0, 0.0)
        stream.stopped = True
        return OpenCircuit(
            True, self._values(stream.row)[0], 0.0, self._t_reached_s(stream) - stream.t_zero_s
        )

    async def attach(self, channel: int, program: Program, ticket: Ticket) -> Position | None:
        """Return None: what played in an earlier daemon ended with it."""
        self._require_channel(channel)
        return None

    def _require_channel(self, channel: int) -> None:
        if channel != CHANNEL:
            raise InstrumentError(f"{self.name}: has channel 0 only, not {channel}")

    def _block(self) -> Block:
        block = empty_block(len(self._recording.t_s))
        block["channel"] = CHANNEL
        block["t_s"] = self._recording.t_s
        block["voltage_V"] = self._recording.voltage_V
        block["current_A"] = self._recording.current_A
        block["flags"] = FLAG_INFERRED if self._recording.inferred_current else 0
        for index, phase in enumerate(self._phases):
            block["step"][phase.first : phase.stop] = index
        return block

    def _stream_from(self, program: Program, marker: str) -> _Stream:
        node = program.steps[0] if program.steps else None
        if not isinstance(node, Step) or node.index >= len(self._phases):
            raise InstrumentError(f"{self.name}: the program is not that of {self._recording.source.name}")
        phase, done_s = self._phases[node.index], node.done_s
        t_zero_s = phase.t_start_s + done_s
        times_s: Floats = self._recording.t_s[phase.first : phase.stop]
        done = int(np.searchsorted(times_s, t_zero_s + LEAST_DURATION_S, side="right")) if done_s > 0 else 0
        sweep = sum(spectrum.step < node.index for spectrum in self._spectra)
        return _Stream(marker, t_zero_s, phase.first + done, sweep)

    def _next(self, stream: _Stream) -> Poll:
        first, stream.row = stream.row, min(stream.row + self.rows_per_poll, len(self._samples))
        samples = self._samples[first : stream.row].copy()
        samples["t_s"] -= stream.t_zero_s
        spectra = []
        before = self._recording.samples_before
        while stream.sweep < len(before) and before[stream.sweep] <= stream.row:
            spectra.append(_shifted(self._spectra[stream.sweep], stream.t_zero_s))
            stream.sweep += 1
        return Poll(samples=samples, spectra=spectra)

    def _values(self, row: int) -> tuple[float, float]:
        """Return voltage and current of the sample before ``row``; 0 where there is none."""
        if row == 0:
            return 0.0, 0.0
        return float(self._recording.voltage_V[row - 1]), float(self._recording.current_A[row - 1])

    def _t_reached_s(self, stream: _Stream) -> float:
        """Return the time of the newest sample or point that was given, on the recording's clock."""
        times_s = [stream.t_zero_s]
        if stream.row:
            times_s.append(float(self._recording.t_s[stream.row - 1]))
        if stream.sweep:
            times_s.append(self._spectra[stream.sweep - 1].t_end_s)
        return max(times_s)

    def _end(self, stream: _Stream, reason: EndReason) -> SegmentEnd:
        if reason == "complete":
            return SegmentEnd(reason, Position(step=len(self._phases) - 1, finished=True))
        t_s = self._t_reached_s(stream)
        begun = [index for index, phase in enumerate(self._phases) if phase.t_start_s <= t_s]
        step = begun[-1] if begun else 0
        return SegmentEnd(reason, Position(step=step, time_s=t_s - self._phases[step].t_start_s))


def _shifted(spectrum: Spectrum, t_zero_s: float) -> Spectrum:
    return spectrum.model_copy(
        update={
            "t_start_s": spectrum.t_start_s - t_zero_s,
            "t_end_s": spectrum.t_end_s - t_zero_s,
            "t_s": tuple(t_s - t_zero_s for t_s in spectrum.t_s),
        }
    )
