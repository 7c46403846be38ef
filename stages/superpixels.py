"""Stage `superpixels`: one region map per image."""

from collections.abc import Iterator, Sequence

from seedbed import superpixels
from seedbed.images import Images
from seedbed.reads import Patches
from seedbed.run import result_warnings
from seedbed.run.machine import Place
from seedbed.run.slots import check_features, check_slots
from seedbed.run.stage import Run, run_stage
from seedbed.store.schemas import Columns


def segment(method: superpixels.Method, pictures: Images, patches: Patches, place: Place, images: Sequence[str]) -> Iterator[Columns]:
    """Regions of images."""
    for image in images:
        regions = method.partition(pictures[image], patches[image], device=place.device)
        yield {"regions": regions, "region_count": regions.max() + 1}


def main(run: Run) -> None:
    """Run the stage."""
    settings = run.params.settings(superpixels.Settings)
    method = run.params.method(superpixels.Method)
    check_slots(run.stage, settings, method)
    data, features = run.open("dataset"), run.open_slot(settings.features)
    if features is not None:
        check_features(f"{run.kind}.{method.name}", features.name, method=features.made_by.method)
    made = run.per_image(method, segment, method, run.images(data), Patches(features), run.place(method), image_ids=data.usable)
    result_warnings.warn_of_single_superpixels(made)


if __name__ == "__main__":
    run_stage(main, "superpixels")
