"""Stage `refinement`: pseudo masks, a label for every pixel."""

from collections.abc import Iterator, Sequence

from seedbed import refinement
from seedbed.images import Images
from seedbed.reads import read_class_maps
from seedbed.run.machine import Place
from seedbed.run.slots import check_slots
from seedbed.run.stage import Run, run_stage
from seedbed.store.artifact import Artifact
from seedbed.store.schemas import Columns


def refine(method: refinement.Method, pictures: Images, maps: Artifact, place: Place, images: Sequence[str]) -> Iterator[Columns]:
    """Pseudo masks of images."""
    for group in place.group(images):
        resized = [read_class_maps(maps, image).resize(maps.size(image)) for image in group]
        for made in method.refine([pictures[image] for image in group], resized, device=place.device):
            yield {"labels": made.labels, "confidence": made.confidence}


def main(run: Run) -> None:
    """Run the stage."""
    settings = run.params.settings(refinement.Settings)
    method = run.params.method(refinement.Method)
    check_slots(run.stage, settings, method)
    data, maps = run.open("dataset"), run.open(settings.class_maps)
    run.per_image(method, refine, method, run.images(data), maps, run.place(method), image_ids=data.labelled)


if __name__ == "__main__":
    run_stage(main, "refinement")
