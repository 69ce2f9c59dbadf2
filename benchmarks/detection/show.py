"""A picture of one run with what the guards said of it."""

from __future__ import annotations

from pathlib import Path

import matplotlib

from benchmarks.detection.classes import CLASSES, Seeds, draw
from benchmarks.detection.trial import Trial

matplotlib.use("Agg")
AROUND_S = 600.0


def show(name: str, number: int, seeds: Seeds, path: Path) -> list[str]:
    """Draw E of the whole run and around its last verdict; return the verdicts in words."""
    import matplotlib.pyplot as plt

    drawn = draw(CLASSES[name], number, seeds)
    trial = Trial(drawn.run.facts(), drawn.bench, interval_s=drawn.run.dt_s, event_s=drawn.event_s)
    stretches = []
    for stretch in drawn.run.stretches(drawn.until_s):
        trial.take(stretch)
        stretches.append(stretch)
    told = trial.diary.told
    figure, axes = plt.subplots(2, 1, figsize=(11, 7), layout="constrained")
    for axis in axes:
        for stretch in stretches:
            axis.plot(stretch.t_s / 3600.0, stretch.voltage_V * 1e3, linewidth=0.6)
        for verdict in told:
            axis.axvline(verdict.t_s / 3600.0, color="red" if verdict.verdict.stops else "orange", alpha=0.7)
        if drawn.event_s is not None:
            axis.axvline(drawn.event_s / 3600.0, color="black", linestyle=":")
        axis.set_ylabel("E / mV")
    axes[0].set_title(f"{name} {number} {drawn.where}")
    axes[1].set_xlabel("t / h")
    middle_s = told[-1].t_s if told else drawn.event_s
    if middle_s is not None:
        axes[1].set_xlim((middle_s - AROUND_S) / 3600.0, (middle_s + AROUND_S) / 3600.0)
    figure.savefig(path, dpi=120)
    plt.close(figure)
    return [f"{entry.t_s:.1f} s, tier {entry.verdict.tier}: {entry.verdict.message}" for entry in told]
