"""What a stage says of its result when there is little to be had from it, so that nobody learns of it two trainings later."""

from __future__ import annotations

import sys

from seedbed.reads import read_class_maps
from seedbed.store.artifact import Artifact

LOOKED_AT = 200  # images
FAINT = 0.1  # a class map that is lower everywhere shows nothing
MOST = 0.9


def on_class_maps(made: Artifact) -> None:
    """Say so where nearly all class maps are empty."""
    heights = [one.max(initial=0.0) for image in made.ids[:: 1 + len(made) // LOOKED_AT] for one in read_class_maps(made, image).maps]
    empty = sum(height < FAINT for height in heights)
    if empty > MOST * len(heights):
        print(
            f"cams: {empty} of {len(heights)} class maps that were looked at are empty, for the classifier finds its classes nowhere; "
            "whatever learns from them will call everything background: look at data/plots/classifier.csv, and let the classifier learn "
            "longer, with another learning_rate, or from initial weights",
            file=sys.stderr,
            flush=True,
        )


def on_superpixels(made: Artifact) -> None:
    """Say so where most images are a single superpixel."""
    alone = int((made.array("region_count") == 1).sum())
    if alone > len(made) / 2:
        advice = "features that all resemble each other? See features.vit.centred"
        print(f"superpixels: {alone} of {len(made)} images are one superpixel each: {advice}", file=sys.stderr, flush=True)
