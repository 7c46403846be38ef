"""Stage `evaluation`: figures, tables and pictures of what the other stages made."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from seedbed import drawing, evaluation, export, judgement, truth
from seedbed.artifacts import Artifact
from seedbed.images import Images
from seedbed.judgement import Judged
from seedbed.stage import Run, run_stage
from seedbed.types import Image, LabelMap

FIGURES = Path("data/metrics/evaluation.json")
PLOTS = Path("data/plots")
Made = Mapping[str, Artifact]
LABELS = ("cams", "seeds", "refinement", "superpixels")


def true_labels(data: Artifact, pictures: Images, row: int) -> LabelMap | None:
    """The truth of an image, where there is one."""
    return truth.read(pictures.root, pictures.files[row], size=data.size(row), num_classes=data.num_classes)


def made_labels(method: evaluation.Method, data: Artifact, made: Made, row: int) -> dict[str, LabelMap]:
    """Every kind of labels that the pipeline made for a training image."""
    return {
        "class_maps": method.from_class_maps(made["cams"].class_maps(row).resized(data.size(row))),
        "seeds": made["seeds"].read("labels", row),
        "masks": made["refinement"].read("labels", row),
    }


def judge_labels(method: evaluation.Method, data: Artifact, pictures: Images, made: Made, rows: Sequence[int]) -> Iterator[Judged]:
    """Hold the labels of training images against their truth."""
    for row in rows:
        regions = made["superpixels"].read("regions", row)
        kinds = made_labels(method, data, made, row)
        yield judgement.judge(data.ids[row], true_labels(data, pictures, row), kinds, num_classes=data.num_classes, regions=regions)


def predicted_labels(method: evaluation.Method, data: Artifact, pictures: Images, made: Made, row: int) -> dict[str, LabelMap]:
    """Every kind of labels that is made of a prediction."""
    predictions = made["predictions"]
    probabilities = predictions.probabilities(predictions.row(data.ids[row])).resized(data.size(row))
    return method.from_probabilities(pictures[row], probabilities)


def judge_prediction(method: evaluation.Method, data: Artifact, pictures: Images, made: Made, rows: Sequence[int]) -> Iterator[Judged]:
    """Hold predictions against the truth."""
    for row in rows:
        kinds = predicted_labels(method, data, pictures, made, row)
        yield judgement.judge(data.ids[row], true_labels(data, pictures, row), kinds, num_classes=data.num_classes)


def draw_labels(method: evaluation.Method, data: Artifact, pictures: Images, made: Made, row: int) -> dict[str, Image]:
    """A row of the overview of training images."""
    image, palette, true = pictures[row], data.whole("palette"), true_labels(data, pictures, row)
    kinds = made_labels(method, data, made, row)
    return {
        "image": image,
        "class maps": drawing.class_maps(image, made["cams"].class_maps(row).resized(data.size(row)), palette),
        "superpixels": drawing.regions(image, made["superpixels"].read("regions", row)),
        **{kind: drawing.labels(kinds[kind], palette) for kind in ("seeds", "masks")},
        **({} if true is None else {"truth": drawing.labels(true, palette)}),
    }


def draw_prediction(method: evaluation.Method, data: Artifact, pictures: Images, made: Made, row: int) -> dict[str, Image]:
    """A row of the overview of predictions."""
    image, palette, true = pictures[row], data.whole("palette"), true_labels(data, pictures, row)
    kinds = predicted_labels(method, data, pictures, made, row)
    return {
        "image": image,
        **{kind.replace("_", " "): drawing.labels(labels, palette) for kind, labels in kinds.items()},
        **({} if true is None else {"truth": drawing.labels(true, palette)}),
    }


def main(run: Run) -> None:
    """Run the stage."""
    settings = run.params.settings(evaluation.Settings)
    method = run.params.method(evaluation.Method)
    data = run.open("dataset")
    pictures = run.images(data)
    made = {name: run.open(name) for name in (*LABELS, "predictions")}
    training, predicted = data.split(settings.split), [data.row(one) for one in made["predictions"].ids]
    judged = list(run.each(partial(judge_labels, method, data, pictures, made), training))
    judged += run.each(partial(judge_prediction, method, data, pictures, made), predicted)

    names = [str(one) for one in data.whole("class_names")]
    figures = {
        "classifier": judgement.classifier_figures(made["cams"].whole("scores")[predicted], data.whole("labels")[predicted], names),
        **judgement.figures(judged, names),
    }
    with run.create(method, data, *made.values(), extents=data.extents) as out:
        for columns in judgement.measurements(judged):
            out.append(columns)
    export.figures(figures, FIGURES)
    export.table(["what", "iou"], judgement.iou_table(figures), PLOTS / "iou.csv")
    labels, predictions = partial(draw_labels, method, data, pictures, made), partial(draw_prediction, method, data, pictures, made)
    export.pictures([labels(row) for row in training[: settings.pictures]], PLOTS / "training_images.png")
    export.pictures([predictions(row) for row in predicted[: settings.pictures]], PLOTS / "predictions.png")


if __name__ == "__main__":
    run_stage(main, "evaluation")
