"""Stage `refinement`: pseudo masks, a label for every pixel."""

from collections.abc import Iterator, Sequence

from seedbed import refinement
from seedbed.images import Images
from seedbed.reads import Patches, Regions, read_class_maps
from seedbed.refinement import Evidence
from seedbed.run.machine import Place
from seedbed.run.slots import check_slots
from seedbed.run.stage import Run, run_stage
from seedbed.store.artifact import Artifact
from seedbed.store.schemas import Columns


def refine(
    method: refinement.Method, pictures: Images, maps: Artifact, regions: Regions, patches: Patches, place: Place, images: Sequence[str]
) -> Iterator[Columns]:
    """Pseudo masks of images."""
    for group in place.group(images):
        known = [
            Evidence(pictures[one], read_class_maps(maps, one).resize(maps.size(one)), regions.of(one, maps.size(one)), patches[one])
            for one in group
        ]
        for made in method.refine(known, device=place.device):
            yield {"labels": made.labels, "confidence": made.confidence}


def main(run: Run) -> None:
    """Run the stage."""
    settings = run.params.settings(refinement.Settings)
    method = run.params.method(refinement.Method)
    check_slots(run.stage, settings, method)
    data, maps = run.open("dataset"), run.open(settings.class_maps)
    regions, patches = Regions(run.open_slot(settings.superpixels)), Patches(run.open_slot(settings.features))
    run.per_image(method, refine, method, run.images(data), maps, regions, patches, run.place(method), image_ids=data.labelled)


if __name__ == "__main__":
    run_stage(main, "refinement")
