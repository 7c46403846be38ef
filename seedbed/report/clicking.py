"""What the stage `clicks` leaves for people and for `dvc plots`: figures, and a curve."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from seedbed.report import charts, export
from seedbed.report.export import PLOTS
from seedbed.scoring import clicking
from seedbed.store.artifact import Artifact

METRICS = Path("data/metrics")


def write(made: Artifact) -> None:
    """Write figures of what was clicked on, and how well it was selected by so many clicks, in files that are called like the stage."""
    clicked = made.array("start_iou") >= 0
    iou = np.concatenate([made.array("start_iou")[clicked][:, None], made.array("iou")[clicked]], axis=1)
    levels = made.array("levels")[clicked]
    figures = {"images": len(made.ids), **clicking.judge(iou, levels)}
    export.write_figures({made.name: figures}, METRICS / f"{made.name}.json")
    rows = clicking.average(iou)
    export.write_table(("clicks", "iou"), rows, PLOTS / f"{made.name}.csv")
    points = [(float(number), found, "") for number, found in rows]
    curve = charts.draw_curve(points, title="true things, by the number of clicks", x="clicks", y="IoU")
    export.write_picture(curve, PLOTS / f"{made.name}.png")
    if left_out := int(made.array("true_things").sum()) - int(clicked.sum()):
        print(
            f"{made.name}: {left_out} smaller things were not clicked on, because params.yaml: {made.name}.things is less", file=sys.stderr
        )
