"""Stage `predictions`: class probabilities of the images that are evaluated."""

from collections.abc import Iterator, Sequence

from seedbed import predictions, segmenter
from seedbed.images import Images
from seedbed.networks.contracts import SegmentationNetwork
from seedbed.networks.inference import TrainedNetwork
from seedbed.run.slots import check_slots
from seedbed.run.stage import Run, run_stage
from seedbed.store.schemas import Columns


def predict(
    method: predictions.Method, pictures: Images, trained: TrainedNetwork[SegmentationNetwork], images: Sequence[str]
) -> Iterator[Columns]:
    """Probabilities of images."""
    network = trained.load()
    for predicted in method.predict(network, [pictures[image] for image in images], device=trained.device):
        yield {"probabilities": predicted.parts}


def main(run: Run) -> None:
    """Run the stage."""
    settings = run.params.settings(predictions.Settings)
    method = run.params.method(predictions.Method)
    check_slots(run.stage, settings, method)
    data, trained = run.open("dataset"), run.open(settings.segmenter)
    network: TrainedNetwork[SegmentationNetwork] = TrainedNetwork(
        run.rebuild_trained(segmenter.Method, trained), data.num_classes, trained, run.device
    )
    images, extents = data.split(settings.split), method.extents(data.max_size)
    run.per_image(method, predict, method, run.images(data), network, image_ids=images, extents=extents)


if __name__ == "__main__":
    run_stage(main, "predictions")
