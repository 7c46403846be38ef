"""What is to be known of results before they are used: that they are of little use, so that nobody finds out two trainings later."""

from __future__ import annotations

import sys

from seedbed.errors import list_problems
from seedbed.reads import read_class_maps, read_entry
from seedbed.store.artifact import Artifact
from seedbed.types import OBJECT

SAMPLED_IMAGES = 200  # at most
EMPTY_BELOW = 0.1  # a class map whose values are all lower counts as empty
TOLERATED_SHARE = 0.9  # of empty class maps


def warn_of_empty_class_maps(artifact: Artifact) -> None:
    """Warn if nearly all class maps are empty."""
    sampled = artifact.ids[:: 1 + len(artifact) // SAMPLED_IMAGES]
    maxima = [one.max(initial=0.0) for image_id in sampled for one in read_class_maps(artifact, image_id).maps]
    empty = sum(maximum < EMPTY_BELOW for maximum in maxima)
    if empty > TOLERATED_SHARE * len(maxima):
        print(
            f"cams: warning: {empty} of {len(maxima)} sampled class maps are empty: the classifier finds its classes nowhere, and a "
            "segmenter would learn that everything is background; look at data/plots/classifier.csv, and train the classifier longer, "
            "with another learning_rate, or from initial weights",
            file=sys.stderr,
            flush=True,
        )


def warn_of_images_without_objects(artifact: Artifact) -> None:
    """Name images in which nothing is salient: a segmenter learns that all of such an image is background."""
    bare = [image_id for image_id in artifact.ids if not (read_entry(artifact, "objects", image_id) == OBJECT).any()]
    if bare:
        told = f"{len(bare)} of {len(artifact)} images show no object: {list_problems(bare)}"
        print(f"saliency: warning: {told}", file=sys.stderr, flush=True)


def tell_of_corrections(artifact: Artifact) -> None:
    """Say how many images a person has corrected."""
    if corrected := int(artifact.array("corrected").sum()):
        print(f"{artifact.name}: a person has corrected {corrected} of {len(artifact)} images", file=sys.stderr, flush=True)


def warn_of_single_superpixels(artifact: Artifact) -> None:
    """Warn if most images are a single superpixel."""
    single = int((artifact.array("region_count") == 1).sum())
    if single > len(artifact) / 2:
        advice = "are all features alike? See features.vit.centred"
        print(f"superpixels: warning: {single} of {len(artifact)} images are a single superpixel: {advice}", file=sys.stderr, flush=True)
