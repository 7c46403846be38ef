"""Stage `predictions`: class probabilities of the images that are evaluated."""

from collections.abc import Iterator, Sequence

from seedbed import predictions, segmenter
from seedbed.images import Images
from seedbed.networks.contracts import PatchSegmenter, SegmentationNetwork
from seedbed.networks.inference import TrainedNetwork
from seedbed.reads import Views
from seedbed.run.slots import check_learned, check_slots, join_views
from seedbed.run.stage import Run, run_stage
from seedbed.store.schemas import Columns


def predict(
    method: predictions.Method,
    pictures: Images,
    patches: Views,
    trained: TrainedNetwork[SegmentationNetwork | PatchSegmenter],
    images: Sequence[str],
) -> Iterator[Columns]:
    """Probabilities of images."""
    reads = [pictures[image] for image in images], [patches[image] for image in images]
    for predicted in method.predict(trained.load(), *reads, device=trained.device):
        yield {"probabilities": predicted.parts}


def main(run: Run) -> None:
    """Run the stage."""
    settings = run.params.settings(predictions.Settings)
    method = run.params.method(predictions.Method)
    check_slots(run.stage, settings, method)
    data, trained = run.open("dataset"), run.open(settings.segmenter)
    learned = run.rebuild_trained(segmenter.Method, trained)
    check_learned(run.stage, method, settings.features, settings.segmenter, learned, inputs=trained.made_by.inputs)
    views = join_views(run.stage, run.open_slot(settings.features), run.open_slots(settings.views))
    sizes = (data.num_classes, *(one.lengths["channel"] for one in views[:1]))
    network: TrainedNetwork[SegmentationNetwork | PatchSegmenter] = TrainedNetwork(learned, sizes, trained, run.place(method).device)
    reads, extents = (run.images(data), Views(views), network), method.extents(data.max_size)
    run.per_image(method, predict, method, *reads, image_ids=data.split(settings.split), extents=extents)


if __name__ == "__main__":
    run_stage(main, "predictions")
