"""Stage `evaluation`: figures, tables and pictures of what the other stages made."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from seedbed import drawing, evaluation, export, judgement
from seedbed.artifacts import Artifact, Columns
from seedbed.images import Images
from seedbed.judgement import Chosen
from seedbed.stage import Run, run_stage
from seedbed.truth import Truth
from seedbed.types import Image, LabelMap

FIGURES = Path("data/metrics/evaluation.json")
PLOTS = Path("data/plots")
KINDS = ("class_maps", "seeds", "masks", "predictions", "predictions_crf")  # of labels, in the order of the report


def made_labels(method: evaluation.Method, maps: Artifact, seeds: Artifact, masks: Artifact, image: str) -> dict[str, LabelMap]:
    """Every kind of labels that the pipeline made for a training image."""
    return {
        "class_maps": method.from_class_maps(maps.class_maps(image).resized(maps.size(image))),
        "seeds": seeds.read("labels", image),
        "masks": masks.read("labels", image),
    }


def predicted_labels(method: evaluation.Method, pictures: Images, predictions: Artifact, image: str) -> dict[str, LabelMap]:
    """Every kind of labels that is made of a prediction."""
    return method.from_probabilities(pictures[image], predictions.probabilities(image).resized(predictions.size(image)))


def judge(
    method: evaluation.Method,
    chosen: Chosen,
    pictures: Images,
    truth: Truth,
    maps: Artifact,
    seeds: Artifact,
    masks: Artifact,
    regions: Artifact,
    predictions: Artifact,
    num_classes: int,
    images: Sequence[str],
) -> Iterator[Columns]:
    """Hold labels against their truth: those of training images, and what is predicted."""
    for image in images:
        kinds = made_labels(method, maps, seeds, masks, image) if image in chosen else {}
        kinds |= predicted_labels(method, pictures, predictions, image) if image in predictions else {}
        partition = regions.read("regions", image) if image in chosen else None
        yield judgement.judge(truth[image], kinds, names=KINDS, num_classes=num_classes, regions=partition)


def main(run: Run) -> None:
    """Run the stage."""
    settings = run.params.settings(evaluation.Settings)
    method = run.params.method(evaluation.Method)
    data, maps, seeds, masks = run.open("dataset"), run.open("cams"), run.open("seeds"), run.open("refinement")
    regions, predictions = run.open("superpixels"), run.open("predictions")
    pictures = run.images(data)
    truth, chosen = Truth.of_images(pictures), Chosen(frozenset(data.learnable(settings.split)))
    reads = (chosen, pictures, truth, maps, seeds, masks, regions, predictions, data.num_classes)
    images = [image for image in data.usable if image in chosen or image in predictions]
    extents = {"kind": len(KINDS), "overlap": judgement.OVERLAP}
    judged = run.per_image(method, judge, method, *reads, images=images, extents=extents, whole={"kinds": KINDS})

    names, labelled = data.class_names, [image for image in predictions.ids if image in maps]
    scores = maps.whole("scores")[[maps.row(image) for image in labelled]]
    labels = data.whole("labels")[[data.row(image) for image in labelled]]
    figures = {"classifier": judgement.classifier_figures(scores, labels, names), **judgement.figures(judged, names)}
    export.figures(figures, FIGURES)
    export.table(["what", "iou"], judgement.iou_table(figures), PLOTS / "iou.csv")
    draw(settings, method, pictures, truth, {"class maps": maps, "seeds": seeds, "masks": masks, "superpixels": regions}, predictions)


def draw(
    settings: evaluation.Settings, method: evaluation.Method, pictures: Images, truth: Truth, made: Mapping[str, Artifact], last: Artifact
) -> None:
    """Overviews of training images and of predictions."""
    palette = pictures.data.whole("palette")

    def of_labels(kinds: Mapping[str, LabelMap]) -> dict[str, Image]:
        return {kind.replace("_", " "): drawing.labels(labels, palette) for kind, labels in kinds.items()}

    def true(image: str) -> dict[str, LabelMap]:
        labels = truth[image]
        return {} if labels is None else {"truth": labels}

    def training_image(image: str) -> dict[str, Image]:
        maps, regions = made["class maps"].class_maps(image), made["superpixels"].read("regions", image)
        return {
            "image": pictures[image],
            "class maps": drawing.class_maps(pictures[image], maps.resized(made["class maps"].size(image)), palette),
            "superpixels": drawing.regions(pictures[image], regions),
            **of_labels({kind: made[kind].read("labels", image) for kind in ("seeds", "masks")} | true(image)),
        }

    def prediction(image: str) -> dict[str, Image]:
        return {"image": pictures[image], **of_labels(predicted_labels(method, pictures, last, image) | true(image))}

    drawn = pictures.data.split(settings.split)[: settings.pictures]
    export.pictures([training_image(one) for one in drawn], PLOTS / "training_images.png")
    export.pictures([prediction(one) for one in last.ids[: settings.pictures]], PLOTS / "predictions.png")


if __name__ == "__main__":
    run_stage(main, "evaluation")
