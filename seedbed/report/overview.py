"""What an evaluation leaves for people and for `dvc plots`: figures, tables, charts of them, and overviews of images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seedbed.images import Images
from seedbed.reads import read_class_maps, read_entry
from seedbed.report import charts, drawing, export
from seedbed.report.export import PLOTS
from seedbed.report.layers import shade_objects
from seedbed.report.palette import UNLABELLED as NO_LABEL
from seedbed.report.palette import Colour, Palette, make_palette
from seedbed.scoring import judgement, metrics
from seedbed.scoring.judgement import CLASS_MAPS, CLASSIFIER, PREDICTIONS, SALIENCY, SUPERPIXELS, UNLABELLED, Judged, Scores
from seedbed.store.artifact import Artifact
from seedbed.types import IGNORE, Image, LabelMap

FIGURES = Path("data/metrics/evaluation.json")
IMAGES = Path("data/metrics/images.csv")

Truth = Callable[[str], Mapping[str, LabelMap]]  # of an image, by the name above it in a picture; nothing where it is not known
Made = Callable[[str, str], Mapping[str, LabelMap]]  # labels of an image of a kind, and what is to stand beside them, by name


def write(classifier: Mapping[str, Any], scores: Scores, *, charted: Sequence[str]) -> None:
    """Write figures, those of each image too, and tables and charts of them.

    Where no image has a truth, tables are empty and charts say so.

    classifier: its figures; none where it is not judged.
    charted: kinds of labels whose confusion matrix is wanted.
    """
    export.write_figures({**({CLASSIFIER: classifier} if classifier else {}), **scores.figures}, FIGURES)
    export.write_table(("what", "iou"), judgement.tabulate_iou(scores.figures), PLOTS / "iou.csv")
    known = {kind: content for kind, content in scores.figures.items() if content.get("miou") is not None}
    panels = {f"{_spell_out(kind)}\nmIoU {content['miou']:.3f}": content["iou"] for kind, content in known.items()}
    export.write_picture(charts.draw_bars(panels), PLOTS / "iou.png")
    for kind in charted:
        _write_confusion(scores, kind)
    export.write_table(("kind", "image", "miou", "boundary_miou"), scores.image_table(), IMAGES)
    points = list(scores.curve())
    export.write_table(("threshold", "miou", "mark"), points, PLOTS / "thresholds.csv")
    title = f"{_spell_out(CLASS_MAPS)}: the oracle is chosen with the truth at hand"
    export.write_picture(charts.draw_curve(points, title=title, x="threshold", y="mIoU"), PLOTS / "thresholds.png")


def _write_confusion(scores: Scores, kind: str) -> None:
    counts, names = scores.confusions.get(kind), scores.class_names
    rows = () if counts is None else judgement.tabulate_confusion(counts, names)
    export.write_table(("true", "predicted", "share", "pixels"), rows, PLOTS / f"confusion_{kind}.csv")
    if counts is None or not counts.any():
        picture = charts.draw_bars({})
    else:
        columns, title = [*names, UNLABELLED], f"{_spell_out(kind)}: percent of the pixels of each true class; empty: not one"
        picture = charts.draw_matrix(metrics.row_shares(counts), names, columns, title=title)
    export.write_picture(picture, PLOTS / f"confusion_{kind}.png")


@dataclass
class _Painter:
    """Draws labels in the colours of a data set, and knows which of them were seen."""

    data: Artifact
    seen: set[int] = field(default_factory=set)

    @property
    def palette(self) -> Palette:
        return make_palette(self.data.num_classes)

    def labels(self, labels: LabelMap) -> Image:
        self.seen |= {int(one) for one in np.unique(labels)}
        return drawing.draw_labels(labels, self.palette)

    @property
    def legend(self) -> dict[str, Colour]:
        """What the colours of labels mean that were seen so far."""
        colours = {self.data.class_names[one]: _colour(self.palette[one]) for one in sorted(self.seen - {IGNORE})}
        return colours | ({"no label": NO_LABEL} if IGNORE in self.seen else {})


def _colour(rgb: npt.NDArray[np.uint8]) -> Colour:
    red, green, blue = (int(one) for one in rgb)
    return red, green, blue


def draw_training_images(pictures: Images, images: Sequence[str], *, judged: Judged, truth: Truth) -> None:
    """Draw an overview of what was made of training images, of which there may be none."""
    painter = _Painter(pictures.data)

    def row(image: str) -> dict[str, Image]:
        columns = {"image": pictures[image]}
        if judged.class_maps is not None:
            light = read_class_maps(judged.class_maps, image).resize(judged.class_maps.size(image))
            columns[_spell_out(CLASS_MAPS)] = drawing.draw_class_maps(pictures[image], light, painter.palette)
            painter.seen |= set(light.classes)
        if judged.superpixels is not None:
            columns[SUPERPIXELS] = drawing.draw_regions(pictures[image], read_entry(judged.superpixels, "regions", image))
        if judged.saliency is not None and image in judged.saliency:
            objects = shade_objects(read_entry(judged.saliency, "objects", image))
            columns[SALIENCY] = drawing.draw_layer(objects, "objects", painter.palette, image=pictures[image])
        made = {_spell_out(name): read_entry(artifact, "labels", image) for name, artifact in judged.labels.items()}
        return columns | {name: painter.labels(one) for name, one in {**made, **truth(image)}.items()}

    rows = [row(image) for image in images]
    export.write_picture(
        drawing.arrange_sheet(rows, legend=painter.legend) if rows else charts.draw_bars({}), PLOTS / "training_images.png"
    )


def draw_predictions(pictures: Images, images: Sequence[str], *, made: Made, truth: Truth) -> None:
    """Draw an overview of predictions, of which there may be none."""
    painter = _Painter(pictures.data)

    def row(image: str) -> dict[str, Image]:
        labels = {**made(image, PREDICTIONS), **truth(image)}
        return {"image": pictures[image], **{_spell_out(name): painter.labels(one) for name, one in labels.items()}}

    rows = [row(image) for image in images]
    export.write_picture(drawing.arrange_sheet(rows, legend=painter.legend) if rows else charts.draw_bars({}), PLOTS / "predictions.png")


def draw_errors(pictures: Images, scores: Scores, kind: str, *, count: int, made: Made, truth: Truth) -> None:
    """Draw the images whose labels of a kind are worst, and where they are wrong."""
    painter = _Painter(pictures.data)
    worst = [image for image, _ in scores.worst(kind)[:count]]

    rows, captions = [], []
    for image in worst:
        [true] = truth(image).values()  # it has one, or nobody could say that it is bad
        photo, kinds = pictures[image], made(image, kind)
        columns = {"image": photo, "truth": painter.labels(true)}
        for name, labels in kinds.items():
            columns[_spell_out(name)] = painter.labels(labels)
            columns[f"errors of {_spell_out(name)}"] = drawing.draw_errors(photo, labels, true)
        rows.append(columns)
        captions.append(f"{image}: mIoU " + ", ".join(f"{_spell_out(name)} {scores.miou(image, name):.3f}" for name in kinds))
    legend = {**painter.legend, **drawing.LEGEND}
    export.write_picture(
        drawing.arrange_sheet(rows, captions=captions, legend=legend) if rows else charts.draw_bars({}), PLOTS / f"errors_{kind}.png"
    )


def _spell_out(name: str) -> str:
    return name.replace("_", " ")
