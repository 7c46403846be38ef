"""Stage `seeds`: labels for the pixels of which one can be sure."""

from collections.abc import Iterator, Sequence

from seedbed import seeds
from seedbed.reads import Patches, Regions, read_class_maps
from seedbed.run.slots import check_slots
from seedbed.run.stage import Run, run_stage
from seedbed.store.artifact import Artifact
from seedbed.store.schemas import Columns


def label(method: seeds.Method, maps: Artifact, regions: Regions, patches: Patches, images: Sequence[str]) -> Iterator[Columns]:
    """Seeds of images."""
    for image in images:
        size = maps.size(image)
        yield {"labels": method.label(read_class_maps(maps, image).resize(size), regions.of(image, size), patches[image])}


def main(run: Run) -> None:
    """Run the stage."""
    settings = run.params.settings(seeds.Settings)
    method = run.params.method(seeds.Method)
    check_slots(run.stage, settings, method)
    data, maps = run.open("dataset"), run.open(settings.class_maps)
    regions, patches = Regions(run.open_slot(settings.superpixels)), Patches(run.open_slot(settings.features))
    run.per_image(method, label, method, maps, regions, patches, image_ids=data.labelled)


if __name__ == "__main__":
    run_stage(main, "seeds")
