"""From a protocol to a program: what the researcher wrote, fitted to one cell and one channel.

Everything that the cell file lacks or the channel can't do is found here, before anything moves, and named
with its place in the protocol file.
"""

from __future__ import annotations

from dataclasses import replace

from protocols import compile_dc, nodes, steps
from protocols.capabilities import Capabilities
from protocols.cell import Cell
from protocols.compile_spectra import (
    between_passes,
    geis,
    inside_step,
    interval_s,
    peis,
    rest,
    spectrum_steps,
    when_due,
)
from protocols.compile_temperature import set_temperature
from protocols.context import Context, Where, range_for
from protocols.dc_steps import ConstantCurrent
from protocols.fitness import check_sampling, check_size, check_small_signal
from protocols.limits import limits_of, voltage_window
from protocols.nodes import Criterion, Decision, Jump, Message, Node, OnPasses, Person, Repeat
from protocols.numbering import Numbering
from protocols.problems import Problems
from protocols.program import Program
from protocols.protocol import Protocol
from protocols.spectra import GeisStep, Interval, PassSpectra, PeisStep, RestStep, SpectrumStep
from protocols.units import Amount


def compile_program(protocol: Protocol, cell: Cell, capabilities: Capabilities) -> Program:
    """Return the program that runs ``protocol`` on ``cell`` and a channel with ``capabilities``.

    Steps, decisions and messages are numbered from 0 in the order in which they stand in the program: first
    ``steps``, then ``afterwards`` and ``on_suspicion``. Raises InvalidFileError with every problem.
    """
    problems = Problems(protocol.source)
    content = protocol.content
    window = voltage_window(protocol, cell, capabilities, problems)
    compiler = _Compiler(Context(cell, capabilities, window, content.record, problems))
    body = compiler.nodes(content.steps, Where(("steps",), "steps"))
    after = compiler.quiet(content.afterwards, Where(("afterwards",), "afterwards"))
    suspicion = compiler.quiet(content.on_suspicion.steps, Where(("on_suspicion", "steps"), "on_suspicion"))
    limits = limits_of(protocol, cell, capabilities, window, body + after + suspicion, problems)
    for name, quiet in (("afterwards", after), ("on_suspicion", suspicion)):
        check_small_signal(body, quiet, name, problems)
    check_sampling(protocol, capabilities, problems)
    check_size(body, capabilities, problems)
    problems.raise_if_any()
    number = Numbering()
    record = content.record
    by_current = record.on_current_change
    return Program(
        protocol=protocol.name,
        cell=cell,
        steps=number.of(body),
        limits=limits,
        guards=content.guard_settings,
        watch_s=content.watch.value,
        record_s=record.every.value if record.every else None,
        record_dE_V=record.on_voltage_change.value,
        record_dI_A=compiler.si(by_current) if by_current else None,
        ends_on=content.ends_on,
        afterwards=number.of(after),
        on_suspicion=number.of(suspicion),
        after_suspicion=content.on_suspicion.then,
        retention_from=content.retention_from,
    )


class _Compiler:
    """Turns steps of the file into nodes of the program and numbers them."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def si(self, amount: Amount) -> float:
        """Return a quantity of the block ``record`` in SI."""
        return self._context.convert.si(amount, ("record",))

    def quiet(self, listed: tuple[SpectrumStep, ...], where: Where) -> tuple[Node, ...]:
        """Return the nodes of steps that run at open circuit."""
        return spectrum_steps(self._context, listed, where)

    def nodes(self, listed: tuple[steps.Step, ...], where: Where) -> tuple[Node, ...]:
        """Return the nodes of a list of steps; steps that do not fit are noted and left out."""
        return tuple(node for place, step in enumerate(listed) for node in self._node(step, place, where))

    def _node(self, step: steps.Step, place: int, where: Where) -> tuple[Node, ...]:
        name, info = next(iter(type(step).model_fields.items()))
        here = where.step(place, info.alias or name)
        context = self._context
        match step:
            case RestStep(rest=settings):
                return (rest(context, settings, here),)
            case GeisStep(geis=galvanostatic):
                return (geis(context, galvanostatic, here),)
            case PeisStep(peis=potentiostatic):
                return (peis(context, potentiostatic, here),)
            case steps.TemperatureStep(temperature=target):
                return set_temperature(context, target, here)
            case steps.RepeatStep(repeat=repeat):
                return self._repeat(repeat, here)
            case steps.RampStep(ramp=ramp):
                return self._ramp(ramp, here)
            case steps.IfStep(decision=decision):
                return (self._decision(decision, here),)
            case steps.MessageStep(message=text):
                return (Message(index=context.number(here), label=here.label, text=text),)
            case steps.WaitForPersonStep(wait_for_person=wait):
                return (self._wait(wait, here),)
            case _:
                return self._driven(step, here)

    def _driven(self, step: steps.DrivenStep, here: Where) -> tuple[Node, ...]:
        context = self._context
        match step:
            case steps.ConstantCurrentStep(constant_current=driven):
                return self._constant_current(driven, here)
            case steps.NucleationStep(nucleation=one_way):
                return _known(
                    compile_dc.constant_current(context, one_way.current, one_way.until, here, dense=True)
                )
            case steps.ConstantVoltageStep(constant_voltage=held):
                return (compile_dc.constant_voltage(context, held, here),)
            case steps.CcCvStep(cc_cv=charge):
                return compile_dc.cc_cv(context, charge, here)
            case steps.LinearSweepStep(linear_sweep=sweep):
                return (compile_dc.linear_sweep(context, sweep, here),)
            case steps.TafelStep(tafel=tafel):
                return (compile_dc.tafel(context, tafel, here),)
            case steps.CyclicVoltammetryStep(cyclic_voltammetry=scan):
                return compile_dc.cyclic_voltammetry(context, scan, here)

    def _constant_current(self, driven: ConstantCurrent, here: Where) -> tuple[Node, ...]:
        step = compile_dc.constant_current(self._context, driven.current, driven.until, here)
        if step is None or driven.spectra is None:
            return _known(step)
        inner = here.at("spectra")
        if interval_s(self._context, driven.spectra.every, step, inner) > step.duration_s * (1 + 1e-9):
            message = "The step ends before the first of these spectra is due."
            self._context.problems.add(
                (*inner.path, "every"), message, "Write a shorter time or less charge."
            )
            return (step,)
        return inside_step(self._context, step, driven.spectra.every, driven.spectra.steps, inner.at("steps"))

    def _wait(self, wait: steps.WaitForPerson, here: Where) -> Node:
        return nodes.Rest(
            index=self._context.number(here),
            label=here.label,
            duration_s=wait.at_most.value,
            host_ends=(Person(message=wait.message),),
        )

    def _repeat(self, repeat: steps.Repeat, here: Where) -> tuple[Node, ...]:
        inside = here.at("steps")
        spectra = repeat.spectra
        if spectra is None:
            body = self.nodes(repeat.steps, inside)
        elif spectra.after_cycles is not None:
            body = self.nodes(repeat.steps, inside)
            measured = self.quiet(spectra.steps, here.at("spectra", "steps"))
            body = (*body, OnPasses(listed=tuple(sorted(set(spectra.after_cycles))), body=measured))
        else:
            body = self._with_spectra(repeat, spectra, here)
        return (Repeat(total=repeat.times, stop=repeat.times, body=body, counts=repeat.counts is not None),)

    def _with_spectra(self, repeat: steps.Repeat, spectra: PassSpectra, here: Where) -> tuple[Node, ...]:
        """Return a repeat's body with spectra after passes, half-cycles, a time or a charge."""
        every = spectra.every
        if every is None:
            raise TypeError("spectra after listed cycles have no interval")
        half_cycles = self._half_cycles(repeat.steps, here.at("steps"))
        if not half_cycles and every.unit != "cycles":
            message = "There is no half-cycle directly in this repeat."
            hint = "Write 'spectra' in the repeat that holds the steps of constant current."
            self._context.problems.add((*here.path, "spectra"), message, hint)
            half_cycles = [[]]
        place = here.at("spectra", "steps")
        if every.unit in ("cycles", "half-cycles"):
            measured = self.quiet(spectra.steps, place)
            if every.unit == "cycles":
                half_cycles = half_cycles or [list(self.nodes(repeat.steps, here.at("steps")))]
            return between_passes(every, half_cycles, measured)
        return self._in_time(half_cycles, every, spectra.steps, place)

    def _half_cycles(self, listed: tuple[steps.Step, ...], where: Where) -> list[list[Node]]:
        """Return the nodes of a pass, cut after each half-cycle; none if it has no half-cycle of its own."""
        groups: list[list[Node]] = []
        before: list[Node] = []
        for place, step in enumerate(listed):
            found = self._node(step, place, where)
            if isinstance(step, steps.HALF_CYCLES):
                groups.append([*before, *found])
                before = []
            elif groups:
                groups[-1] += found
            else:
                before += found
        return groups

    def _in_time(
        self,
        half_cycles: list[list[Node]],
        every: Interval,
        spectra: tuple[SpectrumStep, ...],
        here: Where,
    ) -> tuple[Node, ...]:
        """Return a body with spectra inside half-cycles that are longer than the interval, else when due."""
        found: list[Node] = []
        for half_cycle in half_cycles:
            for node in half_cycle:
                if not isinstance(node, nodes.ConstantCurrent):
                    found.append(node)
                elif interval_s(self._context, every, node, here) <= node.duration_s:
                    found += inside_step(self._context, node, every, spectra, here)
                else:
                    found.append(node)
                    found.append(when_due(self._context, every, self.quiet(spectra, here), here))
        return tuple(found)

    def _ramp(self, ramp: steps.Ramp, here: Where) -> tuple[Node, ...]:
        found: list[Node] = []
        levels = ramp.levels()
        range_A = self._range_of(levels, here) if ramp.over == "current" else here.range_A
        for level in levels:
            inside = replace(
                here.at("steps"),
                label=f"{here.label} {level.text}",
                levels={**here.levels, ramp.over: level},
                range_A=range_A,
            )
            found += self.nodes(ramp.steps, inside)
        # A loop of one pass, so that 'leave' leaves the ramp.
        return (Repeat(total=1, stop=1, body=tuple(found)),) if _leaves(tuple(found)) else tuple(found)

    def _range_of(self, levels: tuple[Amount, ...], here: Where) -> float | None:
        """Return one current range for a whole ramp; None if its smallest level can't be set well in it."""
        context = self._context
        sizes_A = [abs(context.convert.si(level, (*here.path, "current"))) for level in levels]
        range_A = range_for(context.channel, max(sizes_A))
        return range_A if min(sizes_A) >= context.least_current_A(range_A) else None

    def _decision(self, decision: steps.If, here: Where) -> Node:
        index = self._context.number(here)
        criteria = tuple(
            Criterion.model_validate(
                {
                    "quantity": quantity,
                    "comparison": word,
                    "value": self._threshold(quantity, word, value, here),
                }
            )
            for quantity, word, value in decision.when.comparisons()
        )
        then, then_jump = self._way(decision.then, here.at("then"))
        otherwise, otherwise_jump = self._way(decision.otherwise, here.at("otherwise"))
        return Decision(
            index=index,
            label=here.label,
            criteria=criteria,
            then=then,
            then_jump=then_jump,
            otherwise=otherwise,
            otherwise_jump=otherwise_jump,
        )

    def _threshold(self, quantity: str, word: str, value: Amount | int, here: Where) -> float:
        if isinstance(value, int):
            return float(value)
        return self._context.convert.si(value, (*here.path, "when", quantity, word))

    def _way(self, way: Jump | tuple[steps.Step, ...], here: Where) -> tuple[tuple[Node, ...], Jump | None]:
        return ((), way) if isinstance(way, str) else (self.nodes(way, here), None)


def _known(step: nodes.ConstantCurrent | None) -> tuple[Node, ...]:
    return () if step is None else (step,)


def _leaves(found: tuple[Node, ...]) -> bool:
    """Whether a decision among these leaves the ramp that they stand in."""
    return any(
        (
            isinstance(node, Decision)
            and ("leave" in (node.then_jump, node.otherwise_jump) or _leaves(node.then + node.otherwise))
        )
        or (isinstance(node, OnPasses) and _leaves(node.body))
        for node in found
    )
