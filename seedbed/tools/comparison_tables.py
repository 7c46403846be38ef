"""A comparison of two runs for people, and as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from seedbed.errors import join_names
from seedbed.tools.bootstrap import Difference
from seedbed.tools.compare import ABSENT, Comparison, FigureChange, KindChange, ParameterChange, StageChange
from seedbed.tools.summary import LABELS, SHOWN

NAMES = 4  # of files or parameters in a reason
ALONE = 3  # parameters of a block that only one run has: more are counted
SIDE_BY_SIDE = 5  # kinds of labels in a table of their changes
SURE = "[dim]intervals are over the choice of images, and say nothing of other seeds; * leaves out 0[/]"
COLOURS = {True: "green", False: "red"}


def show_comparison(comparison: Comparison) -> Group:
    """All that differs, in tables."""
    parts = list(_parts(comparison))
    first = f"[bold]before[/]: {escape(comparison.before)}   [bold]after[/]: {escape(comparison.after)}"
    remarks = [f"[yellow]![/] {escape(line)}" for line in comparison.remarks]
    return Group(first, *remarks, *(part for table in parts for part in ("", table)), *([] if parts else ["nothing differs"]))


def _parts(comparison: Comparison) -> Iterator[RenderableType]:
    if comparison.parameters:
        yield _parameters(comparison)
    if comparison.stages:
        yield _stages(comparison.stages)
    if comparison.kinds:
        yield _kinds(comparison)
        yield from _classes(comparison)
    if any(one.pairs for one in comparison.kinds):
        yield SURE
    if figures := _main_figures(comparison):
        yield _figures(figures)
    if comparison.gained or comparison.lost:
        yield _images(comparison)


def _parameters(comparison: Comparison) -> RenderableType:
    table = _table("parameter", "before", "after")
    read = [one for one in comparison.parameters if one.read]
    for block, changes in _by_block(read):
        one_sided = {(one.before is ABSENT, one.after is ABSENT) for one in changes}
        if len(changes) > ALONE and len(one_sided) == 1 and one_sided != {(False, False)}:  # a method that only one run selects
            count = f"{len(changes)} parameters"
            table.add_row(escape(block), *(("-", count) if changes[0].before is ABSENT else (count, "-")))
            continue
        for one in changes:
            table.add_row(escape(one.address), escape(write_value(one.before)), escape(write_value(one.after)))
    unread = [one.address for one in comparison.parameters if not one.read]
    line = f"[dim]not read by the methods that are selected: {escape(shorten_names(unread))}[/]"
    return Group(*([table] if read else []), *([line] if unread else []))


def _by_block(parameters: Sequence[ParameterChange]) -> Iterator[tuple[str, list[ParameterChange]]]:
    """Parameters by stage and method, or setting, that they belong to."""
    blocks: dict[str, list[ParameterChange]] = {}
    for one in parameters:
        blocks.setdefault(".".join(one.address.split(".")[:2]), []).append(one)
    yield from blocks.items()


def _stages(stages: Sequence[StageChange]) -> Table:
    table = _table("stage", "result", "why")
    for one in stages:
        result = f"only in {one.only}" if one.only else "the same" if one.same_result else "differs"
        table.add_row(escape(one.stage), escape(result), escape("; ".join(explain(one))))
    return table


def explain(stage: StageChange) -> Iterator[str]:
    """Why a stage differs."""
    parameters = [address.removeprefix(f"{stage.stage}.") for address in stage.parameters]
    for what, names in {"parameter": parameters, "code": stage.code, "input": stage.inputs}.items():
        if names:
            yield f"{what}{'s' if len(names) > 1 and what != 'code' else ''} {shorten_names(names)}"
    yield from stage.other


def _kinds(comparison: Comparison) -> RenderableType:
    table = _table("labels", "images", "mIoU before", "after", "change", _interval_title(comparison), right=5)
    for one in comparison.kinds:
        images = f"{len(one.pairs.images):,}" if one.pairs else ""
        table.add_row(escape(one.kind), images, *_cells(one.miou))
    return table


def _classes(comparison: Comparison) -> Iterator[RenderableType]:
    """IoU of the classes: of the kind whose images are listed all that is known, of the others the change."""
    first = next((one for one in comparison.kinds if one.kind == comparison.shown), comparison.kinds[-1])
    table = _table(f"class, of {escape(first.kind)}", "IoU before", "after", "change", _interval_title(comparison), right=4)
    for name, difference in first.classes.items():
        table.add_row(escape(name), *_cells(difference))
    yield table
    others = [one for one in comparison.kinds if one is not first]
    for start in range(0, len(others), SIDE_BY_SIDE):
        yield _others(others[start : start + SIDE_BY_SIDE])


def _others(kinds: Sequence[KindChange]) -> Table:
    table = _table("change of IoU", *(escape(one.kind) for one in kinds), right=len(kinds))
    for name in dict.fromkeys(name for one in kinds for name in one.classes):
        cells = (one.classes.get(name) for one in kinds)
        table.add_row(escape(name), *("" if cell is None else _write_change(cell) for cell in cells))
    return table


def _main_figures(comparison: Comparison) -> list[FigureChange]:
    """Those beside mIoU that `seedbed summary` shows."""
    return [one for one in comparison.figures if one.name in SHOWN.get(one.kind, LABELS[1:]) or one.name == "oracle.miou"]


def _figures(figures: Sequence[FigureChange]) -> Table:
    table = _table("figure", "of", "before", "after", "change", right=3)
    table.columns[1].justify = "left"
    for one in figures:
        name, change = one.name.replace("_", " ").replace(".", " "), "" if one.change is None else f"{one.change:+.4f}"
        table.add_row(escape(name), escape(one.kind), _number(one.before), _number(one.after), change)
    return table


def _images(comparison: Comparison) -> RenderableType:
    sides = Table(box=None, show_header=False, pad_edge=False, padding=(0, 4, 0, 0))
    lists = [("gained most", comparison.gained), ("lost most", comparison.lost)]
    sides.add_row(*(_image_list(f"{title}, {comparison.shown}", images) for title, images in lists))
    return sides


def _image_list(title: str, images: Sequence[tuple[str, float, float]]) -> Table:
    table = _table(escape(title), "mIoU before", "after", right=2)
    for image, before, after in images:
        table.add_row(escape(image), f"{before:.3f}", f"{after:.3f}")
    return table


def _table(*columns: str, right: int = 0) -> Table:
    """A table whose last columns are numbers."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for place, column in enumerate(columns):
        table.add_column(column, justify="right" if place >= len(columns) - right else "left")
    return table


def _interval_title(comparison: Comparison) -> str:
    known = any(one.pairs for one in comparison.kinds)
    return f"{100 * comparison.how.level:g} % interval" if known else ""


def _cells(one: Difference) -> tuple[str, str, str, str]:
    interval = "" if math.isnan(one.low) else f"{one.low:+.4f} to {one.high:+.4f}"
    return _number(one.before), _number(one.after), _write_change(one), interval


def _write_change(one: Difference) -> str:
    """A change, coloured and marked where its interval leaves no doubt."""
    if math.isnan(one.change):
        return ""
    return f"[{COLOURS[one.change > 0]}]{one.change:+.4f}*[/]" if one.sure else f"{one.change:+.4f} "


def _number(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else f"{value:.4f}"


def write_value(value: Any) -> str:
    """A value as params.yaml has it."""
    return "-" if value is ABSENT else json.dumps(value, ensure_ascii=False)


def shorten_names(names: Sequence[str]) -> str:
    """The first of some names, and how many more there are."""
    return join_names(names[:NAMES]) + (f" and {len(names) - NAMES} more" if len(names) > NAMES else "")


def comparison_as_json(comparison: Comparison) -> dict[str, Any]:
    """All that differs, as plain data."""
    return {
        "before": comparison.before,
        "after": comparison.after,
        "remarks": list(comparison.remarks),
        "parameters": [vars(one) for one in comparison.parameters],
        "stages": [vars(one) for one in comparison.stages],
        "figures": [{**vars(one), "change": None if one.change is None else round(one.change, 6)} for one in comparison.figures],
        "intervals": vars(comparison.how),
        "kinds": [_kind_as_json(one) for one in comparison.kinds],
        "images": {
            "kind": comparison.shown,
            "gained": [_image_as_json(*one) for one in comparison.gained],
            "lost": [_image_as_json(*one) for one in comparison.lost],
        },
    }


def _kind_as_json(one: KindChange) -> dict[str, Any]:
    pairs = one.pairs
    paired = (
        None
        if pairs is None
        else {
            "images": len(pairs.images),
            "only_before": pairs.only_before,
            "only_after": pairs.only_after,
            "other_truth": pairs.other_truth,
        }
    )
    classes = {name: _difference_as_json(difference) for name, difference in one.classes.items()}
    return {"kind": one.kind, "paired": paired, "miou": _difference_as_json(one.miou), "classes": classes}


def _difference_as_json(one: Difference) -> dict[str, float | None]:
    values = {"before": one.before, "after": one.after, "change": one.change, "low": one.low, "high": one.high}
    return {name: None if math.isnan(value) else round(value, 6) for name, value in values.items()}


def _image_as_json(image: str, before: float, after: float) -> dict[str, Any]:
    return {"image": image, "before": round(before, 6), "after": round(after, 6), "change": round(after - before, 6)}
