"""Stage `features`: one vector per patch of every image."""

from collections.abc import Iterator, Sequence

from seedbed import features
from seedbed.images import Images
from seedbed.networks.feature_network import FeatureNetwork
from seedbed.run.slots import check_slots
from seedbed.run.stage import Run, run_stage
from seedbed.store.schemas import Columns


def describe(network: FeatureNetwork, pictures: Images, images: Sequence[str]) -> Iterator[Columns]:
    """Features of images."""
    for described in network.describe([pictures[image] for image in images]):
        yield {"patches": described.values}


def main(run: Run) -> None:
    """Run the stage."""
    settings = run.params.settings(features.Settings)
    method = run.params.method(features.Method)
    check_slots(run.stage, settings, method)
    data, pretraining = run.open("dataset"), run.open_slot(settings.pretraining)
    network = FeatureNetwork(method, run.place(method).device, pretraining, settings.scale, settings.mirrored)
    network.check(run.stage)
    whole = {"patch_size": network.patch_size, "alignment": method.alignment, "mirrored": settings.mirrored}
    images, extents = () if method.makes_nothing else data.usable, network.extents(data.max_size)
    run.per_image(method, describe, network, run.images(data), image_ids=images, extents=extents, whole=whole)


if __name__ == "__main__":
    run_stage(main, "features")
