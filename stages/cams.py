"""Stage `cams`: class maps of the classes that each image contains."""

from collections.abc import Iterator, Sequence

from seedbed import cams, classifier
from seedbed.images import Images
from seedbed.networks.contracts import ClassifierNetwork
from seedbed.networks.inference import TrainedNetwork
from seedbed.reads import Labels
from seedbed.run import result_warnings
from seedbed.run.slots import check_slots
from seedbed.run.stage import Run, run_stage
from seedbed.store.schemas import Columns


def compute(
    method: cams.Method, pictures: Images, labels: Labels, trained: TrainedNetwork[ClassifierNetwork], images: Sequence[str]
) -> Iterator[Columns]:
    """Class maps of images."""
    network = trained.load()
    classes = [labels[image] for image in images]
    for maps, scores in method.compute(network, [pictures[image] for image in images], classes, device=trained.device):
        yield {"maps": maps.spread(trained.num_classes), "present": maps.present(trained.num_classes), "scores": scores}


def main(run: Run) -> None:
    """Run the stage."""
    settings = run.params.settings(cams.Settings)
    method = run.params.method(cams.Method)
    check_slots(run.stage, settings, method)
    data, trained = run.open("dataset"), run.open(settings.classifier)
    network: TrainedNetwork[ClassifierNetwork] = TrainedNetwork(
        run.rebuild_trained(classifier.Method, trained), data.num_classes, trained, run.device
    )
    reads = (run.images(data), Labels(data), network)
    made = run.per_image(method, compute, method, *reads, image_ids=data.labelled, extents=method.extents(data.max_size))
    result_warnings.warn_of_empty_class_maps(made)


if __name__ == "__main__":
    run_stage(main, "cams")
