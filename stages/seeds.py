"""Stage `seeds`: labels for the pixels of which one can be sure."""

from collections.abc import Iterator, Sequence

from seedbed import seeds
from seedbed.reads import read_class_maps, read_entry
from seedbed.run.stage import Run, run_stage
from seedbed.store.artifact import Artifact
from seedbed.store.schemas import Columns


def label(method: seeds.Method, maps: Artifact, regions: Artifact, images: Sequence[str]) -> Iterator[Columns]:
    """Seeds of images."""
    for image in images:
        yield {"labels": method.label(read_class_maps(maps, image).resize(maps.size(image)), read_entry(regions, "regions", image))}


def main(run: Run) -> None:
    """Run the stage."""
    method = run.params.method(seeds.Method)
    data, maps, regions = run.open("dataset"), run.open("cams"), run.open("superpixels")
    run.per_image(method, label, method, maps, regions, image_ids=data.labelled)


if __name__ == "__main__":
    run_stage(main, "seeds")
