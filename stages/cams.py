"""Stage `cams`: class maps of the classes that each image contains."""

from collections.abc import Iterator, Sequence

from seedbed import cams, classifier
from seedbed.images import Images
from seedbed.networks.contracts import ClassifierNetwork
from seedbed.networks.inference import TrainedNetwork
from seedbed.reads import Labels, TrainedHead, Views
from seedbed.run import result_warnings
from seedbed.run.slots import check_learned, check_slots, join_views
from seedbed.run.stage import Run, run_stage
from seedbed.store.schemas import Columns


def compute(
    method: cams.Method,
    pictures: Images,
    patches: Views,
    labels: Labels,
    trained: TrainedNetwork[ClassifierNetwork] | TrainedHead,
    num_classes: int,
    images: Sequence[str],
) -> Iterator[Columns]:
    """Class maps of images."""
    reads = [pictures[image] for image in images], [patches[image] for image in images], [labels[image] for image in images]
    for maps, scores in method.compute(trained.load(), *reads, device=trained.device):
        yield {"maps": maps.spread(num_classes), "present": maps.present(num_classes), "scores": scores}


def main(run: Run) -> None:
    """Run the stage."""
    settings = run.params.settings(cams.Settings)
    method = run.params.method(cams.Method)
    check_slots(run.stage, settings, method)
    data, trained = run.open("dataset"), run.open(settings.classifier)
    learned = run.rebuild_trained(classifier.Method, trained)
    check_learned(run.stage, method, settings.features, settings.classifier, learned, inputs=trained.made_by.inputs)
    views = join_views(run.stage, run.open_slot(settings.features), run.open_slots(settings.views))
    sees: TrainedNetwork[ClassifierNetwork] | TrainedHead = (
        TrainedHead(trained) if method.needs_features else TrainedNetwork(learned, (data.num_classes,), trained, run.device)
    )
    reads = run.images(data), Views(views), Labels(data), sees, data.num_classes
    made = run.per_image(method, compute, method, *reads, image_ids=data.labelled, extents=method.extents(data.max_size))
    result_warnings.warn_of_empty_class_maps(made)


if __name__ == "__main__":
    run_stage(main, "cams")
