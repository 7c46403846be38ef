"""What the stage `clicks` leaves for people and for `dvc plots`: figures, and a curve."""

from __future__ import annotations

import sys
from pathlib import Path

from seedbed.report import charts, export
from seedbed.report.export import PLOTS
from seedbed.scoring import clicking
from seedbed.store.artifact import Artifact

FIGURES = Path("data/metrics/clicks.json")


def write(made: Artifact) -> None:
    """Write figures of what was clicked on, and how well it was selected by so many clicks."""
    clicked = made.array("iou")[..., 0] >= 0
    iou, levels = made.array("iou")[clicked], made.array("levels")[clicked]
    export.write_figures({"clicks": {"images": len(made.ids), **clicking.judge(iou, levels)}}, FIGURES)
    rows = clicking.average(iou)
    export.write_table(("clicks", "iou"), rows, PLOTS / "clicks.csv")
    points = [(float(number), found, "") for number, found in rows]
    export.write_picture(charts.draw_curve(points, title="true things, by the number of clicks", x="clicks", y="IoU"), PLOTS / "clicks.png")
    if left_out := int(made.array("true_things").sum()) - int(clicked.sum()):
        print(f"clicks: {left_out} smaller things were not clicked on, because params.yaml: clicks.things is less", file=sys.stderr)
