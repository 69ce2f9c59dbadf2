"""The command ``analyze eis``: spectra of a recorded file or of a run, resolved."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from monitor.output import ConfigOption, JsonOption, emit, say
from monitor.run_source import is_number, open_run
from protocols.check import is_check
from protocols.errors import QuantityError, SpectrumError
from protocols.measurements import Spectrum
from protocols.units import parse_amount

if TYPE_CHECKING:
    from analysis.circuit.tree import Circuit
    from analysis.drt.distribution import Floats
    from analysis.drt.peaks import Ranges
    from analysis.resolve import Resolved
    from analysis.succession import Succession
    from analysis.timeline import Timeline
    from monitor.impedance_report import Outcome

SHOW_S = 2.0
Resolving = Callable[["Spectrum", "Floats | None"], "Resolved"]

DataArgument = Annotated[str, typer.Argument(help="A recorded file with spectra, or the number of a run.")]
CircuitOption = Annotated[
    str | None,
    typer.Option("--circuit", help="A circuit to fit: 'R0-p(R1,CPE1)-W1', or a stock one by name."),
]
PlotOption = Annotated[Path | None, typer.Option("--plot", help="Figure to write: .png, .svg or .pdf.")]
RangesOption = Annotated[
    str | None,
    typer.Option("--ranges", help="Names of processes by their τ: a stock list, or a YAML file."),
]
MethodOption = Annotated[
    Literal["hierarchical", "ridge"],
    typer.Option("--method", help="hierarchical: with a 95 % band, few false peaks; ridge: as DRTtools."),
]
ValidOption = Annotated[
    bool, typer.Option("--valid", help="Use only the frequencies that pass the Kramers–Kronig test.")
]
CorrectedOption = Annotated[
    bool,
    typer.Option("--corrected", help="Read each spectrum at one instant, from those before and after it."),
]
AreaOption = Annotated[
    str | None,
    typer.Option("--area", help="Electrode area, such as '1.13 cm²', for resistances per area."),
]
WidthOption = Annotated[
    Literal["single", "double"], typer.Option("--width", help="Columns of a journal that the figure fills.")
]


def eis(
    data: DataArgument,
    circuit: CircuitOption = None,
    plot: PlotOption = None,
    ranges: RangesOption = None,
    method: MethodOption = "hierarchical",
    valid: ValidOption = False,
    corrected: CorrectedOption = False,
    area: AreaOption = None,
    width: WidthOption = "double",
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Test impedance spectra, resolve them into processes, fit a circuit, draw them."""
    from analysis.resolve import resolve
    from monitor.impedance_report import Series, document, words
    from monitor.print_style import check_ending
    from monitor.processes import processes_named

    if plot is not None:
        check_ending(plot)
    wanted = None if circuit is None else _parsed(circuit)
    source = _source(data, config)
    processes = source.processes if ranges is None else processes_named(ranges)
    area_m2 = source.area_m2 if area is None else _area_m2(area)
    spectra = _corrected(source.spectra) if corrected else source.spectra
    outcomes = outcomes_of(
        spectra,
        lambda spectrum, start: resolve(
            spectrum, processes, wanted, method=method, only_valid=valid, start=start
        ),
    )
    series = Series(_timeline(outcomes), _succession(spectra), area_m2)
    emit(document(outcomes, series, source.note), words(outcomes, series, source.note), json)
    if not any(outcome.resolved for outcome in outcomes):
        raise typer.Exit(SpectrumError.exit_code)
    if plot is not None:
        _draw(outcomes, series.timeline, plot, source.title, width)
        say(f"wrote {plot}")


def outcomes_of(spectra: Sequence[Spectrum], resolving: Resolving) -> list[Outcome]:
    """Resolve spectra in their order; one that can't be is kept with the reason. Shows progress.

    A fit begins from the values of the spectrum before.
    """
    from monitor.impedance_report import Outcome

    outcomes: list[Outcome] = []
    start: Floats | None = None
    began = last = time.monotonic()
    for index, spectrum in enumerate(spectra):
        try:
            resolved = resolving(spectrum, start)
        except SpectrumError as error:
            outcomes.append(Outcome(index, spectrum, None, str(error)))
        else:
            outcomes.append(Outcome(index, spectrum, resolved))
            start = start if resolved.fit is None else resolved.fit.values
        if (now := time.monotonic()) - last >= SHOW_S:
            last = now
            left_s = (now - began) * (len(spectra) / (index + 1) - 1)
            say(f"{index + 1} of {len(spectra)} spectra, about {left_s:.0f} s left")
    return outcomes


def _parsed(text: str) -> Circuit:
    from analysis.circuit.stock import circuit_named_or_parsed

    return circuit_named_or_parsed(text)


@dataclass(frozen=True, slots=True)
class _Source:
    """Spectra, and what is known of their cell."""

    spectra: Sequence[Spectrum]
    title: str
    note: str = ""
    area_m2: float | None = None
    processes: Ranges | None = None
    """Those of the cell's electrolyte class."""


def _source(data: str, config: Path | None) -> _Source:
    """Return the spectra of a file or run. Raises SpectrumError if a run has none."""
    if (is_number(data) and not Path(data).exists()) or Path(data).is_dir():
        from analysis.drt.peaks import processes_of

        reader, run = open_run(data, config)
        stored = [found for found in reader.spectra(run) if not is_check(found[0].step)]
        if not stored:
            raise SpectrumError(f"run {run} has no spectra: its protocol measures none, or not yet")
        cell = reader.program(run).cell
        measured = [spectrum for spectrum, _ in stored]
        processes = processes_of(cell.electrolyte_class)
        return _Source(measured, f"run {run}: {cell.name}", area_m2=cell.area_m2, processes=processes)
    from drivers.recordings import read_spectra_and_note

    spectra, note = read_spectra_and_note(data)
    return _Source(spectra, Path(data).name, note)


def _area_m2(text: str) -> float:
    """Return an area. Raises QuantityError if it is none."""
    area_m2 = parse_amount(text, "area").value
    if not area_m2 > 0.0:
        raise QuantityError(f"an area of {text} is none", "Write it as '1.13 cm²'.")
    return area_m2


def _corrected(spectra: Sequence[Spectrum]) -> Sequence[Spectrum]:
    """Take the drift out of a series. Raises SpectrumError if that is possible for none of its spectra."""
    from analysis.spectrum_drift import corrected

    if len(spectra) < 3:
        raise SpectrumError("a drift is taken out between a spectrum before and one after: 3 are needed")
    found = corrected(spectra)
    if found == list(spectra):
        raise SpectrumError(
            "no spectrum could be corrected: that needs sweeps one after the other, with the time of each "
            "point, at the same frequencies and direct current"
        )
    return found


def _succession(spectra: Sequence[Spectrum]) -> Succession | None:
    if len(spectra) < 2:
        return None
    from analysis.succession import succession

    return succession(spectra)


def _timeline(outcomes: Sequence[Outcome]) -> Timeline | None:
    """Return the series that several spectra make, None for a single one."""
    resolved = [outcome.resolved for outcome in outcomes if outcome.resolved is not None]
    if len(resolved) < 2:
        return None
    from analysis.timeline import timeline

    return timeline(resolved)


def _draw(
    outcomes: Sequence[Outcome],
    timeline: Timeline | None,
    path: Path,
    title: str,
    width: Literal["single", "double"],
) -> None:
    resolved = [outcome.resolved for outcome in outcomes if outcome.resolved is not None]
    if timeline is None:
        from monitor.impedance_figure import draw_spectrum

        draw_spectrum(resolved[0], path, title, width)
        return
    from monitor.series_figure import draw_series

    draw_series(resolved, timeline, path, title, width)
