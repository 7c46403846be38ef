"""Stage `seeds`: labels for the pixels of which one can be sure."""

from collections.abc import Iterator, Sequence

from seedbed import seeds
from seedbed.corrections import Corrections, read_lines
from seedbed.reads import AllEvidence, Edges, Maps, Patches, Pictures, Regions
from seedbed.run import result_warnings
from seedbed.run.machine import Place
from seedbed.run.slots import check_slots
from seedbed.run.stage import Run, run_stage
from seedbed.store.schemas import Columns


def label(method: seeds.Method, known: AllEvidence, corrections: Corrections, place: Place, images: Sequence[str]) -> Iterator[Columns]:
    """Seeds of images."""
    for image in images:
        labels = method.label(known[image], device=place.device)
        yield {"labels": corrections.correct(image, labels), "corrected": image in corrections}


def main(run: Run) -> None:
    """Run the stage."""
    settings = run.params.settings(seeds.Settings)
    method = run.params.method(seeds.Method)
    check_slots(run.stage, settings, method)
    data, maps = run.open("dataset"), run.open(settings.class_maps)
    regions, patches = Regions(run.open_slot(settings.superpixels)), Patches(run.open_slot(settings.features))
    pictures = Pictures(run.images(data) if method.sees_images else None)
    known = AllEvidence(data, pictures, Maps(maps), regions, patches, Edges(None))
    file = run.open_file(settings.corrections, setting="corrections")
    corrections = Corrections.of(read_lines(file), data, where=str(file)) if file else Corrections.none()
    made = run.per_image(method, label, method, known, corrections, run.place(method), image_ids=data.labelled)
    result_warnings.tell_of_corrections(made)


if __name__ == "__main__":
    run_stage(main, "seeds")
