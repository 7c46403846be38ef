"""What a classifier sees of a class that is erased from an image where it truly is, and of that place alone.

Of a pipeline whose classifier is a network: the mean probability of every class in images that contain it, as a table. A class that is
seen where it is not teaches `segmenter.masking` to erase its surroundings. Nothing is kept.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1]))
from seedbed import classifier
from seedbed.images import Images
from seedbed.networks.contracts import ClassifierNetwork
from seedbed.networks.inference import TrainedNetwork, stack_images
from seedbed.params import Params, rebuild
from seedbed.reads import Labels
from seedbed.scoring.truth import Truth
from seedbed.segmenter.masking import erase
from seedbed.store.artifact import open_artifact

WAYS = ("nothing", "half of each pixel", "all", "all, and 10 pixels around", "all else")  # that is erased
AROUND = 10


def erase_truly(place_YX: np.ndarray[tuple[int, int], np.dtype[np.bool_]]) -> Iterator[Tensor]:
    """How much is erased of each pixel (Y, X), in each way."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * AROUND + 1, 2 * AROUND + 1))
    whole = place_YX.astype(np.float32)
    for share in (0 * whole, 0.5 * whole, whole, cv2.dilate(whole, disc), 1 - whole):
        yield torch.from_numpy(share)


@torch.inference_mode()
def measure(split: str, every: int) -> dict[str, list[float]]:
    """By class, the mean probability in each way."""
    params, data = Params.read(), open_artifact("dataset")
    pictures, labels = Images(params.raw_root(), data), Labels(data)
    truth, artifact = Truth.of_images(pictures), open_artifact("classifier")
    method = rebuild(classifier.Method, artifact.made_by.method, artifact.made_by.parameters, where="classifier")
    network: ClassifierNetwork = TrainedNetwork(method, (data.num_classes,), artifact, "cpu").load()
    found: dict[int, list[list[float]]] = {}
    for image in data.split(split)[::every]:
        if (true := truth[image]) is None:
            continue
        images_BCYX = stack_images([pictures[image]], "cpu")
        for label in labels[image]:
            erased = torch.stack(list(erase_truly(true == label)))[:, None]
            views = erase(images_BCYX, erased, torch.ones(1, 1), colour_1C11=network.backbone.mean)
            found.setdefault(label, []).append(network(views)[1][:, label - 1].sigmoid().tolist())
    return {data.class_names[label]: np.mean(found[label], axis=0).tolist() for label in sorted(found)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path(), help="a pipeline that has run; the checkout unless given")
    parser.add_argument("--split", default="train")
    parser.add_argument("--every", type=int, default=3, help="of so many images one is looked at")
    options = parser.parse_args()
    os.chdir(options.folder)
    print("| erased | " + " | ".join(WAYS) + " |")
    print("|---" * (1 + len(WAYS)) + "|")
    for name, values in measure(options.split, options.every).items():
        print(f"| {name} | " + " | ".join(f"{value:.2f}" for value in values) + " |")
