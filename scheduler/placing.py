"""Which stations a run may have: those that have what it asks for, and for which its protocol compiles."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from protocols.capabilities import Capabilities
from protocols.errors import InvalidFileError, NotAllowedError, Problem
from protocols.program import Program
from protocols.queueing import Request
from protocols.wishes import Wish, parse_wish, unmet
from scheduler.requests import Submission
from scheduler.stations import Stations, kind_of
from scheduler.submissions import compile_submission, submission_of
from storage.reader import Reader

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Offer:
    """What a station has."""

    able: Capabilities
    chamber: str
    kind: str
    """See :func:`scheduler.stations.kind_of`."""


Compiled = Sequence[Program] | InvalidFileError
"""The programs of a series, or why there are none."""


@dataclass(frozen=True, slots=True)
class Fit:
    """What was found for the runs of a series."""

    stations: tuple[str, ...]
    """Those that will do."""
    compiled: Mapping[str, Compiled]
    """Kind of station → what came of the series there."""

    def programs(self, place: int) -> dict[str, Program]:
        """Return the programs of one run of the series, by kind of station."""
        return {
            kind: found[place]
            for kind, found in self.compiled.items()
            if not isinstance(found, InvalidFileError)
        }


@dataclass(frozen=True, slots=True)
class Floating:
    """A run that has no station yet."""

    submission: Submission
    programs: Mapping[str, Program]
    """Kind of station → the program for it."""


def offers_of(stations: Stations, wanted: str = "") -> dict[str, Offer]:
    """Return what the wanted station has, or (none is wanted) each. Raises InvalidFileError."""
    found = {}
    for name in [wanted] if wanted else stations.config.stations:
        wired, able = stations.config.station(name), stations.able(name)
        found[name] = Offer(able, wired.chamber or "", kind_of(able))
    return found


def place_series(
    series: Sequence[Submission], offers: Mapping[str, Offer], known: Mapping[str, Compiled] = {}
) -> Fit:
    """Return where the runs of a series may go, all of them to the same station.

    ``known``: what was compiled before, for some kinds of station.

    Raises InvalidFileError: of a wanted station the protocol's own mistakes, else each station's reason.
    """
    wishes = tuple(parse_wish(text) for text in series[0].needs)
    refused: dict[str, InvalidFileError] = {}
    compiled: dict[str, Compiled] = dict(known)
    able: list[str] = []
    for name, offer in offers.items():
        missing = _missing(series[0].chamber, wishes, offer)
        if missing:
            refused[name] = InvalidFileError([Problem("service.toml", 0, 0, missing)])
            continue
        if offer.kind not in compiled:
            compiled[offer.kind] = _compile(series, offer.able)
        found = compiled[offer.kind]
        if isinstance(found, InvalidFileError):
            refused[name] = found
        else:
            able.append(name)
    if not able:
        raise _refusal(refused, wanted=bool(series[0].station))
    return Fit(tuple(able), compiled)


def find_again(request: Request, stations: Stations, reader: Reader) -> tuple[Floating, tuple[str, ...]]:
    """Return what an earlier daemon had found for a run without a station, and the stations that will do now.

    What service.toml says of stations may have changed since.
    """
    submission = submission_of(request, reader.extra(request.run))  # noqa: S610 - not Django's extra
    known: dict[str, Compiled] = {}
    for kind, digest in request.programs.items():
        program = reader.catalogue.program(digest) if digest else None
        known[kind] = InvalidFileError([]) if program is None else [program]
    try:
        fit = place_series([submission], offers_of(stations), known)
    except InvalidFileError as error:
        log.warning("run %d: no station of service.toml can do it any more: %s", request.run, error)
        return Floating(submission, {}), ()
    return Floating(submission, fit.programs(0)), fit.stations


def require_one_cell(series: Sequence[Submission]) -> None:
    """Raise NotAllowedError unless the runs of a series are for one cell and ask for the same."""
    asked = {(s.cell_text, s.station, s.chamber, s.needs, s.priority, s.not_before_unix_s) for s in series}
    if len(asked) != 1:
        raise NotAllowedError("the runs of a series are for one cell and ask the same of one station")


def _missing(chamber: str, wishes: tuple[Wish, ...], offer: Offer) -> str:
    if chamber and offer.chamber != chamber:
        return f"chamber {chamber} is asked for, the station is in {offer.chamber or 'none'}"
    return unmet(wishes, offer.able)


def _compile(series: Sequence[Submission], able: Capabilities) -> Compiled:
    try:
        return [compile_submission(submission, able) for submission in series]
    except InvalidFileError as error:
        return error


def _refusal(refused: Mapping[str, InvalidFileError], *, wanted: bool) -> InvalidFileError:
    """Return why no station will do; stations with the same reason are named together."""
    if not refused:
        hint = "declare one in service.toml, as [stations.NAME]"
        return InvalidFileError([Problem("service.toml", 0, 0, "there is no station", hint)])
    named: dict[Problem, list[str]] = {}
    for name, error in refused.items():
        for problem in error.problems:
            named.setdefault(problem, []).append(name)
    if wanted or all(len(names) == len(refused) for names in named.values()):
        return InvalidFileError(list(named))
    return InvalidFileError(
        [
            replace(problem, message=f"not on {', '.join(names)}: {problem.message}")
            for problem, names in named.items()
        ]
    )
