"""Stage `evaluation`: figures, tables and pictures of what the other stages made."""

from collections.abc import Iterator, Sequence

from seedbed import evaluation
from seedbed.images import Images
from seedbed.reads import Labels, read_class_maps, read_entry, read_instances, read_probabilities
from seedbed.report import overview as report
from seedbed.run.machine import Place
from seedbed.run.slots import check_judged
from seedbed.run.stage import Run, run_stage
from seedbed.scoring import judgement
from seedbed.scoring.instance_truth import InstanceTruth
from seedbed.scoring.judgement import CLASS_MAPS, PREDICTIONS, REFINED, TAKEN, Judge, Judged, Scores, Selection
from seedbed.scoring.truth import Truth
from seedbed.store.artifact import Artifact
from seedbed.store.schemas import Columns
from seedbed.types import LabelMap, Probabilities


def label_predictions(
    method: evaluation.Method, pictures: Images, predictions: Artifact | None, place: Place, images: Sequence[str]
) -> dict[str, dict[str, LabelMap]]:
    """Labels of those images that have a prediction, by their kind."""
    if predictions is None:
        return {}
    predicted = [image for image in images if image in predictions]
    enlarged = [enlarge(predictions, image) for image in predicted]
    made = method.from_probabilities([pictures[image] for image in predicted], enlarged, device=place.device)
    return dict(zip(predicted, made, strict=True))


def enlarge(predictions: Artifact, image: str) -> Probabilities:
    """A prediction at the size of its image."""
    return read_probabilities(predictions, image).resize(predictions.size(image))


def judge(
    method: evaluation.Method,
    kinds: tuple[str, ...],
    chosen: Selection,
    pictures: Images,
    truth: Truth,
    true_instances: InstanceTruth,
    contained: Labels,
    judged: Judged,
    num_classes: int,
    place: Place,
    images: Sequence[str],
) -> Iterator[Columns]:
    """Hold labels against their truth, and against the classes that images contain: those of training images, and what is predicted."""
    how = Judge(kinds, num_classes, method.boundaries, method.sweep.thresholds, method.size_bounds, judged.most_instances)
    for group in place.group(images):
        predicted = label_predictions(method, pictures, judged.predictions, place, group)
        for image in group:
            labels, class_maps, regions, objects, instances, true, corrected = {}, None, None, None, None, None, False
            if image in chosen:
                if judged.class_maps is not None:
                    class_maps = read_class_maps(judged.class_maps, image).resize(judged.class_maps.size(image))
                    labels[CLASS_MAPS] = method.from_class_maps(class_maps)
                if judged.superpixels is not None:
                    regions = read_entry(judged.superpixels, "regions", image)
                if judged.saliency is not None and image in judged.saliency:
                    objects = read_entry(judged.saliency, "objects", image)
                labels |= {name: read_entry(artifact, "labels", image) for name, artifact in judged.labels.items()}
                corrected = judged.is_corrected(image)
                if judged.instances is not None and image in judged.instances:
                    instances, true = read_instances(judged.instances, image), true_instances[image]
            labels |= predicted.get(image, {})
            yield how.columns(
                truth[image],
                labels,
                size=pictures.data.size(image),
                contained=contained.get(image),
                class_maps=class_maps,
                regions=regions,
                objects=objects,
                instances=instances,
                true_instances=true,
                corrected=corrected,
            )


def main(run: Run) -> None:
    """Run the stage."""
    settings = run.params.settings(evaluation.Settings)
    method = run.params.method(evaluation.Method)
    check_judged(settings.slots, settings.labels, taken=TAKEN)
    data = run.open("dataset")
    judged = Judged(
        run.open_slot(settings.class_maps),
        run.open_slots(settings.labels),
        run.open_slot(settings.superpixels),
        run.open_slot(settings.instances),
        run.open_slot(settings.saliency),
        run.open_slot(settings.predictions),
    )
    pictures = run.images_watching_raw_data(data)
    truth, training = Truth.of_images(pictures), data.learnable(settings.split) if settings.needs_training_images else []
    chosen = Selection(frozenset(training))
    things = InstanceTruth.unread(truth) if judged.instances is None else InstanceTruth.of(truth, data.made_by.method)
    reads = (settings.kinds, chosen, pictures, truth, things, Labels(data), judged, data.num_classes, run.place(method))
    predicted = set(judged.predicted)
    images = [image for image in data.usable if image in chosen or image in predicted]
    extents = {**settings.extents, **method.extents(data.max_size), "instance": judged.most_instances}
    whole = {
        "kinds": settings.kinds,
        "thresholds": method.sweep.thresholds,
        "threshold": method.threshold,
        "size_bounds": method.size_bounds,
    }
    counted = run.per_image(method, judge, method, *reads, image_ids=images, extents=extents, whole=whole)
    scores = Scores(counted, data.class_names)
    report.write(judgement.judge_classifier(judged.class_maps, data, judged.predicted), scores, charted=settings.charted)

    def true(image: str) -> dict[str, LabelMap]:
        labels = truth[image]
        return {} if labels is None else {"truth": labels}

    def made(image: str, kind: str) -> dict[str, LabelMap]:
        if kind != PREDICTIONS:
            return {kind: read_entry(judged.labels[kind], "labels", image)}
        assert judged.predictions is not None
        return {PREDICTIONS: enlarge(judged.predictions, image).labels, REFINED: read_entry(counted, "refined", image)}

    report.draw_training_images(pictures, training[: settings.pictures], judged=judged, truth=true)
    report.draw_predictions(pictures, judged.predicted[: settings.pictures], made=made, truth=true)
    for kind in settings.charted:
        report.draw_errors(pictures, scores, kind, count=settings.pictures, made=made, truth=true)


if __name__ == "__main__":
    run_stage(main, "evaluation")
