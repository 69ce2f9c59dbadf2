"""A text is a circuit, and says the same again; or it is a mistake with a place and a hint, never a crash."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.circuit.elements import KINDS
from analysis.circuit.notation import DEEPEST, LONGEST, MOST_ELEMENTS, parse_circuit
from analysis.circuit.stock import STOCK, circuit_named_or_parsed
from protocols.errors import CircuitError

LETTERS = st.sampled_from(sorted(KINDS))


def joined(children: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    some = st.lists(children, min_size=2, max_size=3)
    return some.map("-".join) | some.map(lambda parts: f"p({','.join(parts)})")


CIRCUITS = st.recursive(LETTERS, joined, max_leaves=10)
NEARLY = st.text(alphabet="RCLWQGosPEp0129_-,()[] ", max_size=30)


@given(CIRCUITS)
def test_a_circuit_says_itself_again(text: str) -> None:
    circuit = parse_circuit(text)
    assert parse_circuit(circuit.text) == circuit
    assert parse_circuit(circuit.text).text == circuit.text


@given(NEARLY | st.text(max_size=30))
def test_whatever_is_no_circuit_is_a_mistake_with_a_place(text: str) -> None:
    try:
        circuit = circuit_named_or_parsed(text)
    except CircuitError as error:
        assert 1 <= error.column <= len(text) + 1
        assert str(error.column) in str(error)
    else:
        assert parse_circuit(circuit.text) == circuit


@pytest.mark.parametrize(
    ("text", "same"),
    [
        (" R0 - p( R1 , CPE1 ) ", "R0-p(R1,CPE1)"),
        ("R-p(R,CPE)-p(R,Q)-W", "R0-p(R1,CPE1)-p(R2,CPE2)-W1"),
        ("R-p(R2,C)-R", "R0-p(R2,C1)-R1"),
        ("p(R1,p(C1,L1))", "p(R1,C1,L1)"),
        ("R(RQ)(RQ)W", "R0-p(R1,CPE1)-p(R2,CPE2)-W1"),
        ("R(Q[R(RQ)])Wo", "R0-p(CPE1,R1-p(R2,CPE2))-Wo1"),
        ("R_1-CPE_2", "R_1-CPE_2"),
    ],
)
def test_the_usual_ways_to_write_one(text: str, same: str) -> None:
    assert parse_circuit(text).text == same


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("", 1, "no element"),
        ("R0-", 4, "missing"),
        ("R0-X1", 4, "no element 'X'"),
        ("R0--R1", 4, "missing"),
        ("R0-R0", 4, "there already"),
        ("R0-(R1,C1)", 4, "bracket alone"),
        ("R0-p(R1)", 8, "single branch"),
        ("R0-p(R1,C1", 11, "')' is missing"),
        ("R0)", 3, "not expected"),
        ("R0+R1", 3, "'+'"),
        ("R(RQ]", 5, "')' is missing"),
        ("R()", 3, "nothing between"),
        ("R(TQ)", 3, "'T'"),
    ],
)
def test_a_mistake_has_a_place_and_a_hint(text: str, column: int, words: str) -> None:
    with pytest.raises(CircuitError, match="column") as caught:
        parse_circuit(text)
    assert caught.value.column == column
    assert words in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "R" * (LONGEST + 1),
        "-".join(["R"] * (MOST_ELEMENTS + 1)),
        "p(R," * (DEEPEST + 1) + "C" + ")" * (DEEPEST + 1),
        "(" * 200,
        "[(" * 150,
    ],
)
def test_size_and_depth_are_bounded(text: str) -> None:
    with pytest.raises(CircuitError):
        parse_circuit(text)


def test_parameters_have_names_and_units_in_the_order_of_the_text() -> None:
    parameters = parse_circuit("L1-R0-p(R1,CPE1)-Ws1-W1").parameters
    assert [(parameter.name, parameter.unit) for parameter in parameters] == [
        ("L1", "H"),
        ("R0", "Ω"),
        ("R1", "Ω"),
        ("CPE1_Q", "S s^α"),
        ("CPE1_alpha", ""),
        ("Ws1_R", "Ω"),
        ("Ws1_tau", "s"),
        ("W1", "Ω s^-1/2"),
    ]


@pytest.mark.parametrize("name", STOCK)
def test_every_stock_circuit_is_written_as_it_is_read(name: str) -> None:
    assert circuit_named_or_parsed(name).text == STOCK[name].text
    assert STOCK[name].description


def test_a_stock_circuit_is_found_as_people_write_its_name() -> None:
    assert circuit_named_or_parsed(" Full cell").text == STOCK["full_cell"].text
    with pytest.raises(CircuitError, match="garnet_symmetric"):
        circuit_named_or_parsed("garnet-symetric")
