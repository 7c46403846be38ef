"""The law that every parameter is alive finds what it is there for."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any, Literal

import pytest

from seedbed.methods import parameters
from tests.support.leaves import Plain, Trial


@parameters
class Edges:
    """A block within another."""

    width: float
    kind: Literal["thin", "bold", "dotted"]


@parameters
class Toy:
    """Something with parameters of every type."""

    flag: bool
    count: int
    sizes: tuple[float, ...]
    name: str
    edges: Edges


USUAL: Plain = {"flag": True, "count": 2, "sizes": [1, 0.5], "name": "one", "edges": {"width": 0, "kind": "thin"}}


def toy_complaints(compute: Callable[[Toy], Any], **tables: Any) -> list[str]:
    tables = {"situations": {}, "other_values": {"Toy.name": ["two"]}, "excused": {}} | tables
    return list(Trial(of="toys.toy", kind=Toy, usual=USUAL, compute=compute, **tables).complaints())


def everything(toy: Toy) -> dict[str, Any]:
    return dataclasses.asdict(toy)


def without(*names: str, **changes: Any) -> Callable[[Toy], Any]:
    return lambda toy: {name: one for name, one in (everything(toy) | changes).items() if name not in names}


@pytest.mark.parametrize(
    ("compute", "complaint"),
    [
        (without("flag"), r"toys\.toy\.flag: {'flag': False} change nothing; is it read at all\?"),
        (without("count"), r"toys\.toy\.count: {'count': 3} and .* change nothing"),
        (lambda toy: {**everything(toy), "sizes": toy.sizes[0]}, r"toys\.toy\.sizes: {'sizes': \[1, 0.75\]} and .* change nothing"),
        (lambda toy: {**everything(toy), "sizes": toy.sizes[:2]}, r"toys\.toy\.sizes: {'sizes': \[1, 0.5, 0.75\]} and .* change nothing"),
        (without("edges"), r"toys\.toy\.edges\.width: .* change nothing"),
        (lambda toy: (toy.edges.kind == "thin", without("edges")(toy), toy.edges.width), None),
        (lambda toy: (toy.edges.kind == "bold", without("edges")(toy), toy.edges.width), r"{'kind': 'dotted'} change nothing"),
        (lambda toy: (everything(toy) | {"count": 0}, toy.count * 1e-12), r"toys\.toy\.count: .* change nothing"),  # rounding
        (everything, None),
    ],
)
def test_a_parameter_that_does_nothing_is_found(compute: Callable[[Toy], Any], complaint: str | None) -> None:
    found = toy_complaints(compute)
    assert bool(found) == (complaint is not None)
    assert complaint is None or any(re.search(complaint, one) for one in found), found


def test_excuses_are_held_to() -> None:
    excused = {"Toy.flag": "it is ignored"}
    assert toy_complaints(without("flag"), excused=excused) == []
    assert toy_complaints(everything, excused=excused) == [
        "toys.toy.flag: excused, but {'flag': False} changes the result; excuse it no more"
    ]


def test_what_cannot_be_guessed_is_asked_for() -> None:
    assert toy_complaints(everything, other_values={}) == ["toys.toy.name: say what else than 'one' it can be"]
    assert toy_complaints(everything, other_values={"Toy.name": [3]}) == ["toys.toy.name: nothing of [3] is taken; say what else it can be"]


def test_what_shows_in_one_situation_is_alive() -> None:
    def compute(toy: Toy) -> Any:
        return (without("flag")(toy), toy.flag and toy.count > 5)

    assert toy_complaints(compute) != [] and toy_complaints(compute, situations={"Toy": [{"count": 6}]}) == []


def test_of_a_block_that_is_passed_on_the_first_parameter_alone_is_tried() -> None:
    def compute(toy: Toy) -> Any:
        return (without("edges")(toy), toy.edges.width)

    assert toy_complaints(compute) != [] and toy_complaints(compute, passed_on=("Edges",)) == []
    assert toy_complaints(without("edges"), passed_on=("Edges",)) != []
