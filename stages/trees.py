"""Stage `trees`: regions of all sizes of each image."""

from collections.abc import Iterator, Sequence

from seedbed import trees
from seedbed.algorithms import ward
from seedbed.reads import Patches
from seedbed.run.slots import check_features, check_slots
from seedbed.run.stage import Run, run_stage
from seedbed.store.schemas import Columns


def merge(method: trees.Method, patches: Patches, images: Sequence[str]) -> Iterator[Columns]:
    """Trees of images."""
    for image in images:
        described = patches[image]
        children, costs = ward.write_on_grid(method.merge(described), (described.values.shape[0], described.values.shape[1]))
        yield {"children": children, "costs": costs}


def main(run: Run) -> None:
    """Run the stage."""
    settings = run.params.settings(trees.Settings)
    method = run.params.method(trees.Method)
    check_slots(run.stage, settings, method)
    data, features = run.open("dataset"), run.open(settings.features)
    check_features(f"{run.kind}.{method.name}", features.name, method=features.made_by.method)
    whole = {name: features.array(name) for name in ("patch_size", "alignment")}
    extents = {name: features.lengths[name] for name in ("patch_y", "patch_x")}
    run.per_image(method, merge, method, Patches(features), image_ids=data.usable, extents=extents, whole=whole)


if __name__ == "__main__":
    run_stage(main, "trees")
