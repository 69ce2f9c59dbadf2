"""Figures for Prometheus: what the daemon does and how well it keeps up. Names carry their units.

Labels are instruments, chambers, states and kinds: as many series as service.toml has instruments, and never
one for each run or cell.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import get_args

from monitor.exposition import Family, HistogramFamily, Labels, render
from monitor.process_figures import process_families
from protocols.records import RunState
from scheduler.climate import Climate
from scheduler.keeper import Keeper
from scheduler.recorder import LiveBlock, Recorder
from scheduler.service import Service
from storage.tables import StoredEvent

AnyFamily = Family | HistogramFamily


@dataclass(slots=True)
class Publications:
    """What waits to be published, and what was dropped because nobody took it."""

    events_waiting: int = 0
    events_dropped: int = 0
    samples_dropped: int = 0


@dataclass(frozen=True, slots=True)
class Access:
    """Who may read the figures."""

    enabled: bool
    needs_token: bool
    tokens: tuple[str, ...]


class Metrics:
    """Counts what passes by, and asks the rest when it is asked itself."""

    def __init__(
        self,
        service: Service,
        recorder: Recorder,
        keepers: Mapping[str, Keeper],
        climates: Mapping[str, Climate],
        publications: Callable[[], Publications],
    ) -> None:
        self._service = service
        self._recorder = recorder
        self._keepers = keepers
        self._climates = climates
        self._publications = publications
        self._samples: Counter[str] = Counter()
        self._verdicts: Counter[tuple[str, str]] = Counter()
        recorder.on_samples(self._take_samples)
        recorder.on_event(self._take_event)

    def text(self) -> str:
        """Return everything in Prometheus' text format."""
        return render([*self._of_runs(), *self._of_storage(), *self._of_instruments(), *process_families()])

    def _take_samples(self, live: LiveBlock) -> None:
        self._samples[live.instrument] += len(live.samples)

    def _take_event(self, stored: StoredEvent) -> None:
        if stored.event.kind == "verdict":
            data = stored.event.data
            self._verdicts[str(data.get("kind")), str(data.get("tier"))] += 1

    def _of_runs(self) -> Iterator[AnyFamily]:
        states = Counter(info.state for info in self._service.infos())
        by_state: list[tuple[Labels, float]] = [
            ({"state": state}, states[state]) for state in get_args(RunState)
        ]
        verdicts: list[tuple[Labels, float]] = [
            ({"kind": kind, "tier": tier}, count) for (kind, tier), count in sorted(self._verdicts.items())
        ]
        yield _one("sandtime_info", "Version of sandtime.", 1, version=version("sandtime"))
        yield _one("sandtime_ready", "1 once every instrument was looked at.", self._service.ready)
        yield Family("sandtime_runs", "gauge", "Runs by state.", by_state)
        yield _one("sandtime_queue_length_runs", "Runs that wait for a station.", states["queued"])
        yield Family("sandtime_verdicts_total", "counter", "Verdicts of the guards.", verdicts)

    def _of_storage(self) -> Iterator[AnyFamily]:
        recorder, info, published = self._recorder, self._service.storage.info(), self._publications()
        commits: list[tuple[Labels, float]] = [
            ({"outcome": outcome}, recorder.commits.count[outcome]) for outcome in ("ok", "failed")
        ]
        dropped: list[tuple[Labels, float]] = [
            ({"what": "events"}, published.events_dropped),
            ({"what": "samples"}, published.samples_dropped),
        ]
        yield _one("sandtime_storing", "1 while commits succeed.", recorder.storing)
        yield Family("sandtime_commits_total", "counter", "Commits by what came of them.", commits)
        yield HistogramFamily(
            "sandtime_commit_seconds", "Time that a commit took.", [({}, recorder.commits.took)]
        )
        yield _one(
            "sandtime_commit_delay_seconds", "Age of the oldest that is not yet durable.", recorder.behind_s
        )
        yield _one(
            "sandtime_samples_waiting", "Samples that wait in memory for a commit.", recorder.waiting_samples
        )
        if info.free_bytes is not None:
            yield _one(
                "sandtime_storage_free_bytes", "Free space of the data folder's disk.", info.free_bytes
            )
        yield _one("sandtime_events_waiting", "Events that wait to be published.", published.events_waiting)
        yield Family("sandtime_publications_dropped_total", "counter", "Never published: too slow.", dropped)

    def _of_instruments(self) -> Iterator[AnyFamily]:
        keepers = self._keepers.items()
        yield Family(
            "sandtime_instrument_reachable",
            "gauge",
            "1 while an instrument is in contact.",
            [({"instrument": name}, keeper.reachable) for name, keeper in keepers],
        )
        yield Family(
            "sandtime_chamber_reachable",
            "gauge",
            "1 while a temperature chamber is in contact.",
            [({"chamber": name}, climate.reachable) for name, climate in self._climates.items()],
        )
        yield Family(
            "sandtime_samples_total",
            "counter",
            "Samples that were handed over.",
            [({"instrument": name}, self._samples[name]) for name, _ in keepers],
        )
        yield Family(
            "sandtime_polls_total",
            "counter",
            "Polls that an instrument has answered.",
            [({"instrument": name}, keeper.figures.polls) for name, keeper in keepers],
        )
        yield HistogramFamily(
            "sandtime_poll_lateness_seconds",
            "How much later than intended polls began.",
            [({"instrument": name}, keeper.figures.lateness) for name, keeper in keepers],
        )


def _one(name: str, about: str, value: float, **labels: str) -> Family:
    return Family(name, "gauge", about, [(labels, value)])
