"""Stage `predictions`: class probabilities of the images that are evaluated."""

from collections.abc import Iterator, Sequence
from functools import partial

from seedbed import predictions, segmenter
from seedbed.artifacts import Artifact, Columns
from seedbed.images import Images
from seedbed.networks import SegmentationNetwork
from seedbed.stage import Run, run_stage
from seedbed.types import cells
from seedbed.weights import restored


def predict(
    method: predictions.Method, network: SegmentationNetwork, data: Artifact, pictures: Images, device: str, rows: Sequence[int]
) -> Iterator[Columns]:
    """Probabilities of images."""
    for row in rows:
        yield {**data.identity(row), "probabilities": method.predict(network, pictures[row], device=device).maps}


def main(run: Run) -> None:
    """Run the stage."""
    settings = run.params.settings(predictions.Settings)
    method = run.params.method(predictions.Method)
    data, trained = run.open("dataset"), run.open("segmenter")
    pictures = run.images(data)
    network = restored(run.trained(segmenter.Method, trained).network(data.num_classes), trained, device=run.device)
    map_y, map_x = cells(data.max_size, method.stride)
    with run.create(method, data, trained, extents={**data.extents, "map_y": map_y, "map_x": map_x}) as out:
        one = partial(predict, method, network, data, pictures, run.device)
        for columns in run.each(one, data.split(settings.split), here=True):
            out.append(columns)


if __name__ == "__main__":
    run_stage(main, "predictions")
