"""Spectra resolved into processes while a run goes on, in the worker: nobody waits for it.

The verdict of the Kramers–Kronig test and the summary are there at once, for the guards; what a spectrum is
made of comes a moment later as an event of its own. A spectrum that can't be resolved has none.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence

from protocols.cell import ElectrolyteClass
from protocols.errors import SandtimeError, SpectrumError
from protocols.measurements import Spectrum
from scheduler.recorder import Recorder
from scheduler.run import ActiveRun
from scheduler.worker import Worker

log = logging.getLogger(__name__)

KIND = "resolved_spectrum"
MOST_WAITING = 256
"""Spectra that may wait for the worker; beyond that the oldest is left unresolved (``analyze eis`` can)."""
TOGETHER = 16

Waiting = tuple[int, Spectrum, ElectrolyteClass]


class Resolver:
    """Hands spectra to the worker, and what it finds to the recorder."""

    def __init__(self, recorder: Recorder, worker: Worker) -> None:
        self._recorder = recorder
        self._worker = worker
        self._waiting: deque[Waiting] = deque(maxlen=MOST_WAITING)
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def take(self, run: ActiveRun, spectrum: Spectrum) -> None:
        """Let a spectrum be resolved, in run time."""
        if len(self._waiting) == MOST_WAITING:
            log.warning("spectra come faster than they are resolved: one of run %d is left", run.number)
        self._waiting.append((run.number, spectrum, run.program.cell.electrolyte_class))
        self._idle.clear()
        self._wake.set()

    async def caught_up(self) -> None:
        """Wait until no spectrum waits."""
        await self._idle.wait()

    async def resolve(self) -> None:
        """Resolve what comes, for ever."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                await self._resolve(
                    [self._waiting.popleft() for _ in range(min(TOGETHER, len(self._waiting)))]
                )
            self._idle.set()

    async def _resolve(self, batch: Sequence[Waiting]) -> None:
        try:
            found = await self._worker.run(resolve_all, batch)
        except (SandtimeError, TimeoutError) as error:
            log.warning("%d spectra were not resolved: %s", len(batch), error)
            return
        except Exception:
            # No fault in a calculation may end the watch over the cells.
            log.exception("%d spectra were not resolved", len(batch))
            return
        for (run, spectrum, _), data in zip(batch, found, strict=True):
            if data is not None:
                self._recorder.event(run, KIND, spectrum.t_end_s, data)


def resolve_all(batch: Sequence[Waiting]) -> list[dict[str, object] | None]:
    """Return what each spectrum is made of, as an event says it; None where it can't be resolved."""
    return [_resolved(spectrum, material) for _, spectrum, material in batch]


def _resolved(spectrum: Spectrum, material: ElectrolyteClass) -> dict[str, object] | None:
    from analysis.drt.peaks import processes_of
    from analysis.resolve import resolve

    try:
        resolved = resolve(spectrum, processes_of(material))
    except SpectrumError:
        return None
    distribution = resolved.distribution
    return {
        "t_start_s": spectrum.t_start_s,
        "t_end_s": spectrum.t_end_s,
        "current_A": spectrum.current_A,
        "kk_passed": resolved.summary.kk_passed,
        "noise": distribution.noise,
        "r_inf_ohm": distribution.r_inf_ohm,
        "r_p_ohm": distribution.r_p_ohm,
        "peaks": [
            {
                "name": peak.name,
                "tau_s": peak.tau_s,
                "resistance_ohm": peak.resistance_ohm,
                "std_ohm": peak.std_ohm,
                "capacitance_F": peak.capacitance_F,
                "inside_window": peak.inside,
            }
            for peak in resolved.peaks
        ],
        "warnings": list(resolved.warnings),
    }
