"""Stage `cams`: class maps of the classes that each image contains."""

from collections.abc import Iterator, Sequence
from functools import partial

from seedbed import cams, classifier
from seedbed.artifacts import Artifact, Columns
from seedbed.images import Images
from seedbed.networks import ClassifierNetwork
from seedbed.stage import Run, run_stage
from seedbed.types import cells
from seedbed.weights import restored


def compute(
    method: cams.Method, network: ClassifierNetwork, data: Artifact, pictures: Images, device: str, rows: Sequence[int]
) -> Iterator[Columns]:
    """Class maps of images."""
    for row in rows:
        maps, scores = method.compute(network, pictures[row], data.classes(row), device=device)
        yield {**data.identity(row), "pair_class": maps.classes, "maps": maps.maps, "scores": scores}


def main(run: Run) -> None:
    """Run the stage."""
    method = run.params.method(cams.Method)
    data, trained = run.open("dataset"), run.open("classifier")
    pictures = run.images(data)
    network = restored(run.trained(classifier.Method, trained).network(data.num_classes), trained, device=run.device)
    map_y, map_x = cells(data.max_size, method.stride)
    with run.create(method, data, trained, extents={**data.extents, "map_y": map_y, "map_x": map_x}) as out:
        one = partial(compute, method, network, data, pictures, run.device)
        for columns in run.each(one, range(len(data)), here=True):
            out.append(columns)


if __name__ == "__main__":
    run_stage(main, "cams")
