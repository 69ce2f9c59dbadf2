"""Prometheus' text format, read by Prometheus' own parser."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families as parsed

from monitor.exposition import Family, HistogramFamily, render
from scheduler.histogram import Histogram

NUMBERS = st.floats(allow_nan=False)


@given(st.text(), st.text(), NUMBERS)
def test_any_label_and_value_comes_through(label: str, about: str, value: float) -> None:
    text = render([Family("some_volts", "gauge", about, [({"instrument": label}, value)])])
    [family] = parsed(text)
    [sample] = family.samples
    assert sample.labels == {"instrument": label}
    assert sample.value == value
    assert family.type == "gauge"


def test_a_family_without_values_is_left_out() -> None:
    assert render([Family("nothing_total", "counter", "Nothing.", [])]) == "\n"


@given(st.lists(NUMBERS.filter(math.isfinite), max_size=20))
def test_a_histogram_counts_all_up_to_each_bound(values: list[float]) -> None:
    histogram = Histogram((0.1, 1.0))
    for value in values:
        histogram.observe(value)
    [family] = parsed(render([HistogramFamily("took_seconds", "How long.", [({}, histogram)])]))
    found = {(sample.name, sample.labels.get("le")): sample.value for sample in family.samples}
    assert family.type == "histogram"
    assert found["took_seconds_bucket", "0.1"] == sum(value <= 0.1 for value in values)
    assert found["took_seconds_bucket", "1"] == sum(value <= 1.0 for value in values)
    assert found["took_seconds_bucket", "+Inf"] == found["took_seconds_count", None] == len(values)
