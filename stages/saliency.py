"""Stage `saliency`: where in each image something is, whatever it is, or nothing."""

from collections.abc import Iterator, Sequence

from seedbed import saliency
from seedbed.detected import DetectedMaps
from seedbed.reads import AllEvidence, Detected, Edges, Maps, Patches, Pictures, Regions
from seedbed.run import result_warnings
from seedbed.run.slots import check_slots
from seedbed.run.stage import Run, run_stage
from seedbed.store.schemas import Columns


def find(method: saliency.Method, known: AllEvidence, detected: Detected, images: Sequence[str]) -> Iterator[Columns]:
    """Saliency of images."""
    for image in images:
        found = method.find(known[image], detected.of(image, known.data.size(image)))
        yield {"saliency": found.parts, "objects": found.objects}


def main(run: Run) -> None:
    """Run the stage."""
    settings = run.params.settings(saliency.Settings)
    method = run.params.method(saliency.Method)
    check_slots(run.stage, settings, method)
    saliency.check_folder(run.stage, settings.folder, method)
    data, maps = run.open("dataset"), Maps(run.open_slot(settings.class_maps))
    if method.makes_nothing:
        run.per_image(method, find, image_ids=())
        return
    regions, patches = Regions(run.open_slot(settings.superpixels)), Patches(run.open_slot(settings.features))
    detected = Detected(DetectedMaps.of(run.open_folder(settings.folder), data, data.labelled) if method.reads_files else None)
    known = AllEvidence(data, Pictures(None), maps, regions, patches, Edges(None))
    made = run.per_image(method, find, method, known, detected, image_ids=data.labelled, check=detected.check)
    result_warnings.warn_of_images_without_objects(made)


if __name__ == "__main__":
    run_stage(main, "saliency")
