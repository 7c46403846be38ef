"""Stage `instances`: things of each image told apart, or nothing."""

from collections.abc import Iterator, Sequence

from seedbed import instances
from seedbed.reads import AllEvidence, Edges, Maps, Patches, Pictures, Regions, list_columns
from seedbed.run.machine import Place
from seedbed.run.slots import check_displacement, check_slots
from seedbed.run.stage import Run, run_stage
from seedbed.store.schemas import Columns


def part(method: instances.Method, known: AllEvidence, place: Place, images: Sequence[str]) -> Iterator[Columns]:
    """Things of images."""
    for group in place.group(images):
        for made in method.part([known[image] for image in group], device=place.device):
            yield list_columns(made, most=method.extents["instance"])


def main(run: Run) -> None:
    """Run the stage."""
    settings = run.params.settings(instances.Settings)
    method = run.params.method(instances.Method)
    check_slots(run.stage, settings, method)
    data, maps = run.open("dataset"), run.open_slot(settings.class_maps)
    regions, edges = Regions(run.open_slot(settings.superpixels)), run.open_slot(settings.edges)
    if maps is None:
        run.per_image(method, part, image_ids=(), extents=method.extents)
        return
    if edges is not None:
        check_displacement(run.stage, method, edges.name, found_by=edges.made_by.method)
    known = AllEvidence(data, Pictures(None), Maps(maps), regions, Patches(None), Edges(edges))
    run.per_image(method, part, method, known, run.place(method), image_ids=data.labelled, extents=method.extents)


if __name__ == "__main__":
    run_stage(main, "instances")
