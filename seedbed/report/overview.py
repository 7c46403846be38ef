"""What an evaluation leaves for people and for `dvc plots`: figures, tables, charts of them, and overviews of images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from seedbed.images import Images
from seedbed.reads import read_class_maps, read_entry
from seedbed.report import charts, drawing, export
from seedbed.report.export import PLOTS
from seedbed.scoring import judgement, metrics
from seedbed.scoring.judgement import CLASS_MAPS, UNLABELLED, Scores
from seedbed.store.artifact import Artifact
from seedbed.types import Image, LabelMap

FIGURES = Path("data/metrics/evaluation.json")
IMAGES = Path("data/metrics/images.csv")

Labels = Callable[[str], Mapping[str, LabelMap]]  # of an image, by the name above them in a picture


def write(classifier: Mapping[str, Any], verdict: Scores, *, confused: Sequence[str]) -> None:
    """Write figures, those of each image too, and tables and charts of them.

    Where no image has a truth, tables are empty and charts say so.

    confused: kinds of labels whose confusion matrix is wanted.
    """
    export.figures({"classifier": classifier, **verdict.figures}, FIGURES)
    export.table(("what", "iou"), judgement.iou_table(verdict.figures), PLOTS / "iou.csv")
    known = {kind: content for kind, content in verdict.figures.items() if content.get("miou") is not None}
    panels = {f"{_words(kind)}\nmIoU {content['miou']:.3f}": content["iou"] for kind, content in known.items()}
    export.picture(charts.bars(panels), PLOTS / "iou.png")
    for kind in confused:
        _write_confusion(verdict, kind)
    export.table(("kind", "image", "miou", "boundary_miou"), verdict.image_table(), IMAGES)
    points = list(verdict.curve())
    export.table(("threshold", "miou", "mark"), points, PLOTS / "thresholds.csv")
    title = f"{_words(CLASS_MAPS)}: the oracle is chosen with the truth at hand"
    export.picture(charts.curve(points, title=title, x="threshold", y="mIoU"), PLOTS / "thresholds.png")


def _write_confusion(verdict: Scores, kind: str) -> None:
    counts, names = verdict.confusions.get(kind), verdict.class_names
    rows = () if counts is None else judgement.confusion_table(counts, names)
    export.table(("true", "predicted", "share", "pixels"), rows, PLOTS / f"confusion_{kind}.csv")
    if counts is None or not counts.any():
        picture = charts.bars({})
    else:
        columns, title = [*names, UNLABELLED], f"{_words(kind)}: percent of the pixels of each true class; empty: not one"
        picture = charts.matrix(metrics.row_shares(counts), names, columns, title=title)
    export.picture(picture, PLOTS / f"confusion_{kind}.png")


def draw_training_images(
    pictures: Images, images: Sequence[str], *, maps: Artifact, regions: Artifact, labels: Mapping[str, Artifact], truth: Labels
) -> None:
    """Draw an overview of what was made of training images.

    labels: by the name above them.
    """
    palette = pictures.data.array("palette")

    def row(image: str) -> dict[str, Image]:
        light = read_class_maps(maps, image).resize(maps.size(image))
        made = {name: read_entry(artifact, "labels", image) for name, artifact in labels.items()}
        return {
            "image": pictures[image],
            "class maps": drawing.class_maps(pictures[image], light, palette),
            "superpixels": drawing.regions(pictures[image], read_entry(regions, "regions", image)),
            **{name: drawing.labels(one, palette) for name, one in {**made, **truth(image)}.items()},
        }

    export.picture(drawing.sheet([row(image) for image in images]), PLOTS / "training_images.png")


def draw_predictions(pictures: Images, images: Sequence[str], *, predicted: Labels, truth: Labels) -> None:
    """Draw an overview of predictions."""
    palette = pictures.data.array("palette")

    def row(image: str) -> dict[str, Image]:
        labels = {**predicted(image), **truth(image)}
        return {"image": pictures[image], **{_words(name): drawing.labels(one, palette) for name, one in labels.items()}}

    export.picture(drawing.sheet([row(image) for image in images]), PLOTS / "predictions.png")


def draw_errors(pictures: Images, verdict: Scores, kind: str, *, count: int, made: Labels, truth: Labels) -> None:
    """Draw the images whose labels of a kind are worst, and where they are wrong.

    made: labels of that kind, and what else is to stand beside them.
    """
    palette = pictures.data.array("palette")
    worst = [image for image, _ in verdict.worst(kind)[:count]]

    rows, captions = [], []
    for image in worst:
        photo, [true], kinds = pictures[image], truth(image).values(), made(image)  # it has a truth, or nobody could say that it is bad
        columns = {"image": photo, "truth": drawing.labels(true, palette)}
        for name, labels in kinds.items():
            columns[_words(name)] = drawing.labels(labels, palette)
            columns[f"errors of {_words(name)}"] = drawing.errors(photo, labels, true)
        rows.append(columns)
        captions.append(f"{image}: mIoU " + ", ".join(f"{_words(name)} {verdict.miou(image, name):.3f}" for name in kinds))
    sheet = drawing.sheet(rows, captions=captions, legend=drawing.LEGEND) if rows else charts.bars({})
    export.picture(sheet, PLOTS / f"errors_{kind}.png")


def _words(name: str) -> str:
    return name.replace("_", " ")
