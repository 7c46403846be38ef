"""Stage `cams`: class maps of the classes that each image contains."""

from functools import partial
from typing import Any

from seedbed import cams, classifier
from seedbed.artifacts import Artifact
from seedbed.images import Images
from seedbed.networks import ClassifierNetwork
from seedbed.stage import Run, run_stage
from seedbed.types import cells
from seedbed.weights import restore


def compute(method: cams.Method, network: ClassifierNetwork, data: Artifact, pictures: Images, device: str, row: int) -> dict[str, Any]:
    """Class maps of one image."""
    maps, scores = method.compute(network, pictures[row], data.classes(row), device=device)
    return {**data.identity(row), "pair_class": maps.classes, "maps": maps.maps, "scores": scores}


def main(run: Run) -> None:
    """Run the stage."""
    method = run.params.method(cams.Method)
    data, trained = run.open("dataset"), run.open("classifier")
    pictures = run.images(data)
    network = run.trained(classifier.Method, trained).network(data.num_classes)
    restore(network, trained.weights(), where=str(trained.path))
    map_y, map_x = cells(data.max_size, method.stride)
    with run.create(method, data, trained, extents={**data.extents, "map_y": map_y, "map_x": map_x}) as out:
        one = partial(compute, method, network.to(run.device).eval(), data, pictures, run.device)
        for columns in run.each(one, range(len(data)), here=True):
            out.append(columns)


if __name__ == "__main__":
    run_stage(main, "cams")
