"""`seedbed summary`: the figures of the last run, and what to open."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.table import Table

from seedbed.errors import ArtifactError
from seedbed.store.schemas import find_kind

FIGURES = Path("data/metrics/evaluation.json")
OF_CLICKS = "clicks*.json"  # beside it, which another pipeline leaves
SHOWN = {
    "classifier": ("mean_average_precision",),
    "superpixels": (
        *("mean_count", "achievable_segmentation_accuracy", "undersegmentation_error"),
        *("boundary_recall", "boundary_precision"),
    ),
    "saliency": ("object_iou", "object_precision", "object_recall", "background_precision", "unknown"),
    "instances": ("things", "true_things", "ap", "ap50", "ap75"),
    "clicks": ("things", "clicks_to_80", "clicks_to_85", "clicks_to_90", "failures_at_80", "failures_at_85", "failures_at_90"),
}
LABELS = ("miou", "boundary_miou", "coverage", "precision")
REPORT = "report.html"
TO_OPEN = (
    (REPORT, "all that a run has to show, in one file"),
    ("data/plots/training_images.png", "class maps, superpixels, seeds and masks of training images, beside the truth"),
    ("data/plots/predictions.png", "predictions of the trained network on images that it never saw"),
    ("data/plots/errors_predictions.png", "the images with the worst predictions, and their errors; also errors_masks.png"),
    ("data/metrics/images.csv", "every image's mIoU, worst first"),
    ("data/plots/iou.png", "every class's IoU; in the same folder confusion matrices, and class maps by threshold"),
    ("data/plots/clicks.png", "how well true things are selected, by the number of clicks"),
    ("data/metrics/evaluation.json", "every figure, class by class; `seedbed compare` compares two runs"),
)


def figures_table() -> Table:
    """The main figures, a row for each kind of labels."""
    files = [one for one in (FIGURES, *sorted(FIGURES.parent.glob(OF_CLICKS))) if one.is_file()]
    if not files:
        raise ArtifactError(str(FIGURES), found="no such file", expected="the figures of a run", do="run `dvc repro`")
    report: dict[str, dict[str, Any]] = {}
    for file in files:
        try:
            report |= dict(json.loads(file.read_text(encoding="utf-8")))
        except ValueError as error:
            raise ArtifactError(
                str(file),
                found=f"a file that is not JSON: {error}",
                expected="the figures of a run",
                do=f"run `dvc repro --force --single-item {file.stem}`",
            ) from error
    table = Table(box=None, header_style="bold")
    for column in ("what", "images", "figures"):
        table.add_column(column)
    for kind, content in report.items():
        shown = [
            f"{name.replace('_', ' ')} {content[name]}"
            for name in SHOWN.get(find_kind(kind) or kind, LABELS)
            if content.get(name) is not None
        ]
        oracle = content.get("oracle", {})
        if oracle.get("miou") is not None:
            shown.append(f"oracle (best threshold by the truth): miou {oracle['miou']} at {oracle['threshold']}")
        table.add_row(kind, str(content["images"]), "   ".join(shown))
    return table


def list_files_to_open() -> str:
    """Files that are worth a look and exist."""
    lines = [f"  {path:36} {what}" for path, what in TO_OPEN if Path(path).exists()]
    return "\n".join(["", "Open:", *lines, "", "Every mask, in the browser: `seedbed view`"])
