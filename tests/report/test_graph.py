"""The graph of the stages: order, arrows, and what is written in each."""

from __future__ import annotations

from itertools import pairwise

import pytest

from seedbed.errors import MachineError
from seedbed.report.graph import ACROSS, WIDTH, Stage, draw_graph, reduce_reads
from tests.support.drawings import Drawing


def test_arrows_that_others_imply_are_left_out() -> None:
    reads = {"a": [], "b": ["a"], "c": ["b", "a", "b"], "d": ["a"]}
    assert reduce_reads(["a", "b", "c", "d"], reads) == [("a", "b"), ("b", "c"), ("a", "d")]


def test_a_stage_stands_to_the_right_of_what_it_reads() -> None:
    stages = [Stage("last", "m", ("middle", "first")), Stage("first", "m"), Stage("middle", "m", ("first",))]
    drawn = Drawing(draw_graph(stages))
    left = [drawn.place(name)[0] for name in ("first", "middle", "last")]
    assert [after - before for before, after in pairwise(left)] == [WIDTH + ACROSS] * 2
    assert len(drawn.all("path", "arrow")) == 2
    assert "last\nmethod m\nreads middle, first" in drawn.titles and "first\nmethod m\nreads raw images" in drawn.titles


def test_an_arrow_that_passes_a_stage_goes_beside_it() -> None:
    stages = [Stage("a", ""), Stage("b", "", ("a",)), Stage("c", "", ("b",)), Stage("e", "", ("a",)), Stage("d", "", ("c", "e"))]
    drawn = Drawing(draw_graph(stages))
    boxes = {name: place for name in "abcde" for place in [drawn.place(name)]}
    assert boxes["e"][0] == boxes["b"][0] and boxes["e"][1] != boxes["b"][1]
    [passing] = [path["d"] for path in drawn.all("path", "arrow") if "H" in path["d"]]
    level = float(passing.split("H")[0].split()[-1])  # where it goes straight on, in the column of c
    top = boxes["c"][1]
    assert not top - 20 < level < top + 60
    assert all(float(box["y"]) + float(box["height"]) <= float(drawn.root.attrib["height"]) for box in drawn.all("rect", "stage"))


def test_a_stage_says_what_it_took_or_why_it_is_not_there() -> None:
    stages = [
        Stage("seeds", "a_method_whose_name_is_long", took="12.0 s", share=0.25, disk="1.5 MB"),
        Stage("masks", "<crf>", ("seeds", "unknown"), problem="it never ran here"),
        Stage("worse", "crf", ("seeds",), problem="data/worse.zarr: found nothing", damaged=True),
    ]
    drawn = Drawing(draw_graph(stages))
    assert {"12.0 s", "1.5 MB", "<crf>", "nothing here", "damaged"} < set(drawn.texts)
    assert [box["class"] for box in drawn.all("rect", "stage")] == ["stage", "stage absent", "stage damaged"]
    assert float(drawn.all("rect", "bar")[0]["width"]) == (WIDTH - 20) / 4
    assert any(title.endswith("data/worse.zarr: found nothing") for title in drawn.titles)


def test_stages_that_read_each_other_are_refused() -> None:
    with pytest.raises(MachineError, match=r"dvc\.yaml: found stages that read each other: .*; expected stages that can run"):
        draw_graph([Stage("a", "", ("b",)), Stage("b", "", ("a",))])
