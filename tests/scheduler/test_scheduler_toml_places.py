"""Where in a TOML file a key stands."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.toml_places import place_in_message, place_of

TEXT = '''\
# a remark with [brackets] = "and more"
data = "data"   # [not.a.table]

[instruments.vsp]
driver = "biologic"
notes = """
[not.a.table]
address = "nor a key" """
channels = [
  1, # ]
  2,
]
address = "x"

[stations."bench 1"]
instrument = "vsp"
inner.key = 3

[[simulation.vsp.faults]]
kind = "one"
[[simulation.vsp.faults]]
kind = { of = "two" }
'''


@pytest.mark.parametrize(
    ("path", "begins"),
    [
        (("data",), 'data = "data"'),
        (("instruments", "vsp"), "instruments.vsp]"),
        (("instruments", "vsp", "address"), 'address = "x"'),
        (("instruments", "vsp", "channels", 1), "channels ="),
        (("stations", "bench 1", "instrument"), 'instrument = "vsp"\ninner'),
        (("stations", "bench 1", "inner", "key"), "inner.key"),
        (("stations", "bench 1", "missing"), 'stations."bench 1"]'),
        (("simulation", "vsp", "faults", 0, "kind"), 'kind = "one"'),
        (("simulation", "vsp", "faults", 1, "kind", "of"), "kind = {"),
    ],
)
def test_a_key_is_found_where_it_stands(path: tuple[object, ...], begins: str) -> None:
    tomllib.loads(TEXT)
    line, column = place_of(TEXT, path)
    assert "\n".join(TEXT.splitlines()[line - 1 :])[column - 1 :].startswith(begins)


def test_what_is_not_written_has_no_place() -> None:
    assert place_of(TEXT, ("mqtt", "broker")) == (0, 0)
    assert place_of("", ()) == (0, 0)


def test_the_place_in_a_message_is_taken_out_of_it() -> None:
    with pytest.raises(tomllib.TOMLDecodeError) as raised:
        tomllib.loads("a = 1\nb = \n")
    message, line, column = place_in_message(str(raised.value))
    assert (line, column) == (2, 5)
    assert "line" not in message


@given(st.text(alphabet="[]{}=\"'\\\n#.ab 1", max_size=200), st.lists(st.sampled_from("ab1"), max_size=3))
def test_no_text_is_too_odd(text: str, path: list[str]) -> None:
    line, column = place_of(text, path)
    assert 0 <= line <= text.count("\n") + 1
    assert column >= 0
