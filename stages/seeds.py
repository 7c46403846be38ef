"""Stage `seeds`: labels for the pixels of which one can be sure."""

from collections.abc import Iterator, Sequence

from seedbed import seeds
from seedbed.reads import AllEvidence, Edges, Maps, Patches, Pictures, Regions
from seedbed.run.machine import Place
from seedbed.run.slots import check_slots
from seedbed.run.stage import Run, run_stage
from seedbed.store.schemas import Columns


def label(method: seeds.Method, known: AllEvidence, place: Place, images: Sequence[str]) -> Iterator[Columns]:
    """Seeds of images."""
    for image in images:
        yield {"labels": method.label(known[image], device=place.device)}


def main(run: Run) -> None:
    """Run the stage."""
    settings = run.params.settings(seeds.Settings)
    method = run.params.method(seeds.Method)
    check_slots(run.stage, settings, method)
    data, maps = run.open("dataset"), run.open(settings.class_maps)
    regions, patches = Regions(run.open_slot(settings.superpixels)), Patches(run.open_slot(settings.features))
    pictures = Pictures(run.images(data) if method.sees_images else None)
    known = AllEvidence(data, pictures, Maps(maps), regions, patches, Edges(None))
    run.per_image(method, label, method, known, run.place(method), image_ids=data.labelled)


if __name__ == "__main__":
    run_stage(main, "seeds")
