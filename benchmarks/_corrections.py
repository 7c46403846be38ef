"""Corrections by somebody who knows the truth, and how the images are chosen that are corrected."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from seedbed.algorithms import ward
from seedbed.algorithms.clicks import Answer, Click, ClickTree, Mask
from seedbed.clicks import Seen
from seedbed.clicks.tree import Tree
from seedbed.corrections import Corrected, Thing, count_runs, write_lines
from seedbed.images import Images
from seedbed.reads import read_patches
from seedbed.scoring.clicking import Wanted, click_through, list_wanted
from seedbed.scoring.instance_truth import InstanceTruth
from seedbed.scoring.truth import Truth
from seedbed.store.artifact import Artifact, open_artifact
from seedbed.types import Size

ENOUGH = 0.85  # IoU with which somebody is satisfied
MOST = 20  # clicks on a thing
ANSWERED = Tree(cost=0.03, joined=False)  # as pipelines/mis has it


def choose(data: Path, split: str, share: float, *, by: str) -> list[str]:
    """A share of the images of a split: drawn, or those of which two kinds of labels disagree most, which needs no truth.

    data: folder of artifacts of a whole run, whose evaluation is of the split.
    by: random, or the names of two kinds of labels with `/` between them.
    """
    images = open_artifact("dataset", folder=data).learnable(split)
    count = round(share * len(images))
    if by == "random":
        return sorted(np.random.default_rng(0).permutation(images)[:count].tolist())
    judged = open_artifact("evaluation", folder=data)
    if judged.array("corrected").any():
        raise SystemExit(f"{data}: what disagrees is to be seen in a run without corrections: run that first")
    kinds = judged.array("kinds").tolist()
    one, other = (kinds.index(kind) for kind in by.split("/"))
    apart = judged.array("disagreement")[[judged.row(image) for image in images], one, other]
    return sorted(images[place] for place in np.argsort(-apart, kind="stable")[:count])


def correct(data: Path, root: Path, images: list[str], file: Path) -> tuple[int, int]:
    """Write the corrections of somebody who clicks on every thing of some images until it is selected well enough.

    root: of the raw data. Returns how many things there are, and how many clicks it took.
    """
    index, features = open_artifact("dataset", folder=data), open_artifact("features", folder=data)
    pictures = Images(root, index)
    truth = InstanceTruth.of(Truth.of_images(pictures), index.made_by.method)
    lines = []
    for image in images:
        true, seen = truth[image], Seen(pictures[image], grow(features, image, index.size(image)))
        assert true is not None
        things = []
        for wanted in list_wanted(true):  # the largest first, so that small ones lie above them
            clicks, mask = click(ANSWERED.begin(seen, np.zeros_like(wanted.shape)), wanted)
            pressed = [(one.row, one.column, int(one.wanted)) for one in clicks]
            label = index.class_names[wanted.label]
            things.append(Thing(label=label, by="clicks_tree", start="", clicks=pressed, level=None, runs=count_runs(mask)))
        lines.append(Corrected(image=image, size=index.size(image), complete=True, things=things))
    write_lines(file, lines)
    made = [thing for line in lines for thing in line.things]
    return len(made), sum(len(thing.clicks) for thing in made)


def grow(features: Artifact, image: str, size: Size) -> ClickTree:
    """The merge tree of an image."""
    patches = read_patches(features, image)
    grid = (patches.values.shape[0], patches.values.shape[1])
    tree = ward.merge(patches.values.reshape(-1, patches.values.shape[-1]), ward.link_grid(grid))
    return ClickTree.on_pixels(tree, grid, patches.patch_size, patches.alignment, size)


def click(answer: Answer, wanted: Wanted) -> tuple[list[Click], Mask]:
    """Clicks on a thing until it is selected well enough, and what they select."""
    clicks, fits, _ = click_through(answer, wanted, start=np.zeros_like(wanted.shape), most=MOST)
    enough = clicks[: next((count for count, fit in enumerate(fits) if fit >= ENOUGH), len(clicks))]
    return enough, answer(enough)
