"""Stage `evaluation`: figures, tables and pictures of what the other stages made."""

from collections.abc import Iterator, Sequence

from seedbed import evaluation
from seedbed.evaluation import CONFUSED, KINDS
from seedbed.images import Images
from seedbed.reads import Labels, read_class_maps, read_entry, read_probabilities
from seedbed.report import overview as report
from seedbed.run.stage import Run, run_stage
from seedbed.scoring import judgement
from seedbed.scoring.judgement import REFINED, Judge, Scores, Selection
from seedbed.scoring.truth import Truth
from seedbed.store.artifact import Artifact
from seedbed.store.schemas import Columns
from seedbed.types import LabelMap, Probabilities


def enlarge(predictions: Artifact, image: str) -> Probabilities:
    """A prediction at the size of its image."""
    return read_probabilities(predictions, image).resize(predictions.size(image))


def judge(
    method: evaluation.Method,
    chosen: Selection,
    pictures: Images,
    truth: Truth,
    contained: Labels,
    maps: Artifact,
    seeds: Artifact,
    masks: Artifact,
    regions: Artifact,
    predictions: Artifact,
    num_classes: int,
    images: Sequence[str],
) -> Iterator[Columns]:
    """Hold labels against their truth, and against the classes that images contain: those of training images, and what is predicted."""
    how = Judge(KINDS, num_classes, method.boundaries, method.sweep.thresholds)
    for image in images:
        kinds, class_maps, partition = {}, None, None
        if image in chosen:
            class_maps, partition = read_class_maps(maps, image).resize(maps.size(image)), read_entry(regions, "regions", image)
            made = (method.from_class_maps(class_maps), read_entry(seeds, "labels", image), read_entry(masks, "labels", image))
            kinds = dict(zip(("class_maps", "seeds", "masks"), made, strict=True))
        if image in predictions:
            kinds |= method.from_probabilities(pictures[image], enlarge(predictions, image))
        yield how.columns(truth[image], kinds, contained=contained.get(image), class_maps=class_maps, regions=partition)


def main(run: Run) -> None:
    """Run the stage."""
    settings = run.params.settings(evaluation.Settings)
    method = run.params.method(evaluation.Method)
    data, maps, seeds, masks = run.open("dataset"), run.open("cams"), run.open("seeds"), run.open("refinement")
    regions, predictions = run.open("superpixels"), run.open("predictions")
    pictures = run.images_watching_raw_data(data)
    truth, chosen = Truth.of_images(pictures), Selection(frozenset(data.learnable(settings.split)))
    reads = (chosen, pictures, truth, Labels(data), maps, seeds, masks, regions, predictions, data.num_classes)
    images = [image for image in data.usable if image in chosen or image in predictions]
    whole = {"kinds": KINDS, "thresholds": method.sweep.thresholds, "threshold": method.threshold}
    judged = run.per_image(method, judge, method, *reads, images=images, extents=method.extents(data.max_size), whole=whole)
    verdict = Scores(judged, data.class_names)
    report.write(judgement.of_classifier(maps, data, predictions.ids), verdict, confused=CONFUSED)

    def true(image: str) -> dict[str, LabelMap]:
        labels = truth[image]
        return {} if labels is None else {"truth": labels}

    def masked(image: str) -> dict[str, LabelMap]:
        return {"masks": read_entry(masks, "labels", image)}

    def predicted(image: str) -> dict[str, LabelMap]:
        return {"predictions": enlarge(predictions, image).labels, REFINED: read_entry(judged, "refined", image)}

    drawn, made = data.split(settings.split)[: settings.pictures], {"seeds": seeds, "masks": masks}
    report.draw_training_images(pictures, drawn, maps=maps, regions=regions, labels=made, truth=true)
    report.draw_predictions(pictures, predictions.ids[: settings.pictures], predicted=predicted, truth=true)
    for kind, labels in zip(CONFUSED, (masked, predicted), strict=True):
        report.draw_errors(pictures, verdict, kind, count=settings.pictures, made=labels, truth=true)


if __name__ == "__main__":
    run_stage(main, "evaluation")
