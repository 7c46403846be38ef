"""The graph of the stages as a drawing: a stage stands to the right of all that it reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

from seedbed.errors import MachineError
from seedbed.report.markup import Attributes, Markup, element
from seedbed.report.svg import cut, frame, write

WIDTH, HEIGHT, ACROSS, DOWN = 126, 74, 26, 18  # pixels: a stage, and between two
PASSING = 26  # what an arrow takes that passes a stage
SWEEPS = 6  # that put the stages of a column in order


@dataclass(frozen=True)
class Stage:
    """What is told of a stage."""

    name: str
    method: str
    reads: tuple[str, ...] = ()  # stages
    problem: str = ""  # why there is nothing of it, or nothing sound
    damaged: bool = False
    took: str = ""  # its last computation
    share: float = 0  # of the time of all stages
    computed: str = ""  # then
    reused: str = ""
    images: str = ""
    disk: str = ""


def draw_graph(stages: Sequence[Stage]) -> Markup:
    """Stages, and arrows from what each reads. Arrows that follow from others are left out."""
    by_name = {stage.name: stage for stage in stages}
    reads = {stage.name: [one for one in stage.reads if one in by_name] for stage in stages}
    order = _sort(reads)
    depth: dict[str, int] = {}
    for name in order:
        depth[name] = max((depth[one] + 1 for one in reads[name]), default=0)
    arrows = list(reduce_reads(order, reads))
    columns, links, routes = _lay_out(order, depth, arrows)
    _put_in_order(columns, links)
    places = _place(columns, by_name)
    width = len(columns) * (WIDTH + ACROSS) - ACROSS
    height = max(top + HEIGHT for one, (_, top) in places.items() if one in by_name) + 2
    height = max(height, max((top + PASSING for _, top in places.values()), default=0))
    drawn = [_draw_arrow([places[one] for one in route], [one in by_name for one in route]) for route in routes]
    drawn += [_draw_stage(by_name[name], *places[name]) for name in order]
    return frame(width + 4, height + 2, "the graph of the stages", *drawn)


def _sort(reads: Mapping[str, Sequence[str]]) -> list[str]:
    try:
        return list(TopologicalSorter(reads).static_order())
    except CycleError as error:
        found = f"stages that read each other: {', '.join(error.args[1])}"
        raise MachineError("dvc.yaml", found=found, expected="stages that can run one after the other", do="correct it") from error


def reduce_reads(order: Sequence[str], reads: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
    """What is read and by whom, without pairs that others imply.

    order: what is read before whoever reads it.
    """
    before: dict[str, set[str]] = {}
    kept = []
    for name in order:
        behind = set().union(*(before[one] for one in reads[name]))
        kept += [(one, name) for one in dict.fromkeys(reads[name]) if one not in behind]
        before[name] = behind | set(reads[name])
    return kept


def _lay_out(
    order: Sequence[str], depth: Mapping[str, int], arrows: Sequence[tuple[str, str]]
) -> tuple[list[list[str]], list[tuple[str, str]], list[list[str]]]:
    """Columns of stages and of places where arrows pass; pairs of neighbours; and the way of each arrow."""
    columns: list[list[str]] = [[] for _ in range(1 + max(depth.values(), default=0))]
    for name in order:
        columns[depth[name]].append(name)
    links, routes = [], []
    for source, target in arrows:
        between = [f"{source} > {target} > {column}" for column in range(depth[source] + 1, depth[target])]
        for column, passing in enumerate(between, start=depth[source] + 1):
            columns[column].append(passing)
        routes.append([source, *between, target])
        links += list(pairwise(routes[-1]))
    return columns, links, routes


def _put_in_order(columns: list[list[str]], links: Sequence[tuple[str, str]]) -> None:
    """Sort every column so that arrows cross little: each stands about where its neighbours do."""
    neighbours: dict[str, list[str]] = {}
    for one, other in links:
        neighbours.setdefault(one, []).append(other)
        neighbours.setdefault(other, []).append(one)
    for sweep in range(SWEEPS):
        there = {name: (row + 0.5) / len(column) for column in columns for row, name in enumerate(column)}
        pairs = list(pairwise(columns))
        sides = pairs if sweep % 2 == 0 else [(right, left) for left, right in reversed(pairs)]
        for fixed, moved in sides:
            beside = {name: [there[one] for one in neighbours.get(name, ()) if one in fixed] for name in moved}
            wanted = {name: sum(near) / len(near) if near else there[name] for name, near in beside.items()}
            moved.sort(key=wanted.__getitem__)
            there |= {name: (row + 0.5) / len(moved) for row, name in enumerate(moved)}


def _place(columns: Sequence[Sequence[str]], stages: Mapping[str, Stage]) -> dict[str, tuple[float, float]]:
    """The left upper corner of everything."""
    heights = [[HEIGHT if name in stages else PASSING for name in column] for column in columns]
    tallest = max((sum(one) + DOWN * (len(one) - 1) for one in heights), default=0)
    places = {}
    for number, (column, tall) in enumerate(zip(columns, heights, strict=True)):
        top = 2 + (tallest - sum(tall) - DOWN * (len(tall) - 1)) / 2
        for name, height in zip(column, tall, strict=True):
            places[name] = 2.0 + number * (WIDTH + ACROSS), top
            top += height + DOWN
    return places


def _draw_arrow(places: Sequence[tuple[float, float]], stages: Sequence[bool]) -> Markup:
    """A line that leaves a stage on the right and goes into another on the left."""
    steps, (x, y) = [], places[0]
    x, y = x + WIDTH, y + HEIGHT / 2
    steps.append(f"M{x:g} {y:g}")
    for (left, top), stage in zip(places[1:], stages[1:], strict=True):
        middle = top + (HEIGHT if stage else PASSING) / 2
        half = (left - x) / 2
        steps.append(f"C{x + half:g} {y:g} {left - half:g} {middle:g} {left:g} {middle:g}")
        x, y = left, middle
        if not stage:
            x = left + WIDTH
            steps.append(f"H{x:g}")
    head = f"M{x - 5:g} {y - 3.5:g}L{x:g} {y:g}L{x - 5:g} {y + 3.5:g}"
    return element("path", {"class": "arrow", "d": " ".join([*steps, head])})


def _draw_stage(stage: Stage, left: float, top: float) -> Markup:
    told = [stage.name, f"method {stage.method}", f"reads {', '.join(stage.reads) or 'raw images'}", stage.problem]
    style = "stage damaged" if stage.damaged else "stage absent" if stage.problem else "stage"
    box: Attributes = {"class": style, "x": left, "y": top, "width": WIDTH, "height": HEIGHT, "rx": 7}
    parts = [
        element("title", {}, "\n".join(one for one in told if one)),
        element("rect", box),
        write(stage.name, left + 10, top + 17, style="name"),
        write(cut(stage.method, WIDTH - 20), left + 10, top + 34, style="faint"),
    ]
    if stage.problem:
        parts.append(
            write("damaged" if stage.damaged else "nothing here", left + 10, top + 53, style="wrong" if stage.damaged else "faint")
        )
    else:
        parts += [
            write(stage.took, left + 10, top + 53, style="number"),
            write(stage.disk, left + WIDTH - 10, top + 53, style="faint", anchor="end"),
        ]
    if stage.share:
        line: Attributes = {"x": left + 10, "y": top + HEIGHT - 9, "height": 3, "rx": 1.5}
        parts.append(element("rect", {"class": "track", "width": WIDTH - 20, **line}))
        parts.append(element("rect", {"class": "bar", "width": round((WIDTH - 20) * stage.share, 2), **line}))
    return element("g", {}, *parts)
