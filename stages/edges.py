"""Stage `edges`: what links neighbouring cells of each image, or nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from seedbed import affinity, edges
from seedbed.images import Images
from seedbed.run.slots import check_affinity, check_slots
from seedbed.run.stage import Run, run_stage
from seedbed.store.schemas import Columns

if TYPE_CHECKING:
    from seedbed.networks.inference import TrainedNetwork


def find(method: edges.Method, pictures: Images, trained: TrainedNetwork[Any], images: Sequence[str]) -> Iterator[Columns]:
    """Edges of images."""
    for found in method.find(trained.load(), [pictures[image] for image in images], device=trained.device):
        yield {"boundaries": found.boundaries, "displacement": found.displacement, "distances": found.distances}


def main(run: Run) -> None:
    """Run the stage."""
    settings = run.params.settings(edges.Settings)
    method = run.params.method(edges.Method)
    check_slots(run.stage, settings, method)
    data, trained = run.open("dataset"), run.open_slot(settings.affinity)
    if trained is None:
        run.per_image(method, find, image_ids=(), extents=edges.NOTHING, whole={"cell_size": 1})
        return
    from seedbed.networks.inference import TrainedNetwork  # with torch, for which nobody pays where nothing is found

    learned = run.rebuild_trained(affinity.Method, trained)
    check_affinity(run.stage, method, trained.name, learned)
    network: TrainedNetwork[Any] = TrainedNetwork(learned, (), trained, run.device)
    extents, whole = learned.extents(data.max_size), {"cell_size": learned.stride}
    run.per_image(method, find, method, run.images(data), network, image_ids=data.labelled, extents=extents, whole=whole)


if __name__ == "__main__":
    run_stage(main, "edges")
