"""Wrong protocol files by the thousand: spoilt library files, random text and trees, each from a seed."""

from __future__ import annotations

import functools
import random
import re
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel

from protocols.protocol import LIBRARY, ProtocolFile, library_protocols
from protocols.validation import models_in

HEAD = "sandtime: 1\nname: fuzzed\n"
MAX_LINES = 14
"""The parser is pure Python: a spoilt file is a stretch of a library file, not all of it."""
WORDS = [
    "steps",
    "rest",
    "for",
    "until",
    "geis",
    "peis",
    "ramp",
    "repeat",
    "times",
    "counts",
    "current",
    "voltage",
    "rate",
    "temperature",
    "from",
    "to",
    "step",
    "amplitude",
    "frequency",
    "constant_current",
    "constant_voltage",
    "cc_cv",
    "nucleation",
    "linear_sweep",
    "cyclic_voltammetry",
    "tafel",
    "if",
    "when",
    "then",
    "otherwise",
    "message",
    "wait_for_person",
    "include",
    "spectra",
    "every",
    "after_cycles",
    "first",
    "second",
    "rates",
    "cycles",
    "width",
    "stable",
    "change",
    "spectrum",
    "within",
    "soak",
    "at_most",
    "time",
    "charge",
    "areal_capacity",
    "drift",
    "over",
    "above",
    "below",
    "retention",
    "overpotential",
    "limits",
    "guards",
    "record",
    "dense",
    "watch",
    "ends_on",
    "on_suspicion",
    "parameters",
    "value",
    "afterwards",
    "steady",
    "points_per_decade",
    "average",
    "response",
    "largest",
    "description",
    "name",
    "sandtime",
]
VALUES = (
    "1 s|0 s|-1 s|1 h|1 mA|-1 mA|$a|-$a|$current|-$current|$voltage vs ocv|0.1 mA/cm²|0.5 C|C/10|C/0|1 V|ocv|"
    "10 mV vs ocv|0.1 mV/s|60 °C|-300 °C|10 K|1 kHz|0 Hz|1 %|1|0|10|same|leave|end|cycles|on|off|5 cycles|"
    "3 half-cycles|2 h|0.1 mAh/cm²|1 mAh|10 µA rms|''|~|{}|[]|1e308 s|1e99 s|1e-99 s|1e99 A|1e-99 A|1e99 V|"
    "1e99 K|1e99 Hz|1e-99 mAh|1e99 mV/s|"
    "1e-99 mV/s|1e99 C|C/1e99|1e99 %|NaN s|inf V|1000000|9999999|"
    f"{'9' * 30} s|{'9' * 400}|{10**30} s|a.yaml|../a.yaml|*x|&x 1 s|!!int 1|<<|$|$$|${{a}}|"
    "'|\"|1 mA/cm²/cm²|"
    "1 m^9|1 s^-9|1 mA/cm^9|\U0001f50b|ﬀ s|１ s|¹ s|½ s|٣ s|1 s|1 ℃|1 Ω|1\u200bs|-\u0000|\ud7ff"
).split("|")
_USUAL = {
    "for": "1 s", "time": "1 h", "every": "10 s", "soak": "1 h", "at_most": "2 h", "over": "1 min",
    "current": "1 mA", "voltage": "0.5 V", "rate": "0.1 mV/s", "rates": "[0.1 mV/s]", "width": "50 mV",
    "amplitude": "10 µA", "largest": "10 µA", "response": "10 mV", "drift": "1 mV/h", "change": "1 %",
    "times": "3", "cycles": "2", "points_per_decade": "3", "average": "1", "after_cycles": "[1, 2]",
    "charge": "1 mAh", "areal_capacity": "0.1 mAh/cm²", "specific_capacity": "1 mAh/g", "to": "60 °C",
    "first": "0.3 V", "second": "-0.3 V", "counts": "cycles", "then": "end", "otherwise": "leave",
    "frequency": "{from: 1 kHz, to: 1 Hz}", "on_voltage_change": "1 mV", "within": "1 K",
}  # fmt: skip
"""A value that is right in most places of its key."""
_SIGNS = "ab $-:{}[]&*!#\n\t0.1µ'\"|>%@`,?\\~=<e9"


@functools.cache
def _library() -> tuple[list[str], ...]:
    return tuple(
        (LIBRARY / f"{name}.yaml").read_text(encoding="utf-8").splitlines(keepends=True)
        for name in library_protocols()
    )


def _spoilt(random: random.Random) -> str:
    """Return a stretch of a library file in which a few things are wrong."""
    lines = [line for line in random.choice(_library()) if not line.startswith("#")]
    start = random.randrange(max(1, len(lines) - MAX_LINES))
    text = HEAD * (random.random() < 0.7) + "".join(lines[start : start + MAX_LINES])
    for _ in range(random.randint(1, 3)):
        text = random.choice((_signs, _other_value, _moved_line, _lost_line))(text, random)
    return text


def _revalued(random: random.Random) -> str:
    """Return a library file with another value or two."""
    text = "".join(line for line in random.choice(_library()) if not line.startswith("#"))
    for _ in range(random.randint(1, 2)):
        text = _other_value(text, random)
    return text


def _signs(text: str, random: random.Random) -> str:
    start = random.randrange(len(text) + 1)
    filling = "".join(random.choices(_SIGNS, k=random.randint(0, 6)))
    return text[:start] + filling + text[start + random.randint(0, 8) :]


def _other_value(text: str, random: random.Random) -> str:
    places = [match.span(1) for match in re.finditer(r": ([^{}\[\],\n#]+)", text)]
    if not places:
        return text
    start, end = random.choice(places)
    return text[:start] + random.choice(VALUES) + text[end:]


def _moved_line(text: str, random: random.Random) -> str:
    lines = text.splitlines(keepends=True) or [""]
    line = lines.pop(random.randrange(len(lines)))
    shift = random.choice((" ", "  ", "    ", "- ", "\t"))
    lines.insert(random.randrange(len(lines) + 1), shift + line)
    return "".join(lines)


def _lost_line(text: str, random: random.Random) -> str:
    lines = text.splitlines(keepends=True) or [""]
    del lines[random.randrange(len(lines))]
    return "".join(lines)


def _noise(random: random.Random) -> str:
    """Return random bytes, as an editor that takes them for text would show them."""
    if random.random() < 0.5:
        return random.randbytes(random.randint(0, 80)).decode("utf-8", errors="replace")
    return HEAD * (random.random() < 0.5) + "".join(random.choices(_SIGNS, k=random.randint(0, 60)))


def _tree(random: random.Random) -> str:
    """Return a file whose shape is YAML and whose words are the language's, in no order."""
    keys = dict.fromkeys([*random.sample(("limits", "guards", "record", "parameters"), k=2), "steps"])
    return HEAD + "".join(f"{key}: {_flow(random, 0)}\n" for key in keys)


def _flow(random: random.Random, depth: int) -> str:
    form = random.random()
    if depth > 5 or form < 0.3:
        return random.choice(VALUES)
    if form < 0.55:
        return "[" + ", ".join(_flow(random, depth + 1) for _ in range(random.randint(0, 2))) + "]"
    entries = (f"{random.choice(WORDS)}: {_flow(random, depth + 1)}" for _ in range(random.randint(1, 3)))
    return "{" + ", ".join(entries) + "}"


def _shaped(random: random.Random) -> str:
    """Return a file that has the shape of the language, and values from anywhere."""
    blocks = [name for name in ("limits", "record", "on_suspicion", "afterwards") if random.random() < 0.2]
    fields = ProtocolFile.model_fields
    return HEAD + "".join(
        f"{key}: {_written(key, fields[key].annotation, random, 0)}\n" for key in [*blocks, "steps"]
    )


def _written(key: str, annotation: Any, random: random.Random, depth: int) -> str:
    models = models_in(annotation)
    if key in _USUAL and random.random() < 0.85:
        return _USUAL[key]
    if not models or depth > 6 or random.random() < 0.05:
        return _quoted(random.choice(VALUES))
    if "tuple[" in str(annotation) and random.random() < 0.97:
        many = random.randint(1, 2)
        return "[" + ", ".join(_model(random.choice(models), random, depth + 1) for _ in range(many)) + "]"
    return _model(random.choice(models), random, depth + 1)


def _model(model: type[BaseModel], random: random.Random, depth: int) -> str:
    optional = 0.5 / len(model.model_fields)
    entries = (
        f"{info.alias or name}: {_written(info.alias or name, info.annotation, random, depth)}"
        for name, info in model.model_fields.items()
        if info.is_required() or random.random() < optional
    )
    return "{" + ", ".join(entries) + "}"


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'" if value[:1] not in "{[" else value


_KINDS: tuple[Callable[[random.Random], str], ...] = (
    _spoilt,
    _noise,
    _tree,
    _shaped,
    _shaped,
    _revalued,
    _revalued,
)


def fuzzed(seed: int) -> str:
    """Return the text of one wrong (or, rarely, right) protocol file."""
    source = random.Random(seed)
    return _KINDS[seed % len(_KINDS)](source)
