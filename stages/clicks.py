"""Stage `clicks`: how many clicks it takes to select true things."""

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from seedbed import clicks
from seedbed.algorithms.clicks import ClickTree
from seedbed.reads import read_entry
from seedbed.report import clicking as report
from seedbed.run.stage import Run, run_stage
from seedbed.scoring import clicking
from seedbed.scoring.instance_truth import InstanceTruth
from seedbed.scoring.truth import Truth
from seedbed.store.artifact import Artifact
from seedbed.store.schemas import Columns


def read_tree(trees: Artifact, image: str) -> ClickTree:
    """Regions of all sizes of an image."""
    children, costs = (read_entry(trees, name, image) for name in ("children", "costs"))
    return ClickTree.of_maps(children, costs, int(trees.array("patch_size")), str(trees.array("alignment")), trees.size(image))


def click(method: clicks.Method, trees: Artifact, truth: InstanceTruth, most: int, things: int, images: Sequence[str]) -> Iterator[Columns]:
    """Click on the true things of images."""
    for image in images:
        regions, true = read_tree(trees, image), truth[image]
        places, iou = np.full((things, most, 3), -1), np.full((things, most), -1.0)
        levels, classes, selected = np.full((things, 3), -1.0), np.zeros(things), np.zeros(trees.size(image), np.int32)
        wanted = [] if true is None else clicking.list_wanted(true)
        for number, one in enumerate(wanted[:things]):
            made, found, answer = clicking.click_through(partial(method.select, regions), one, most=most)
            places[number, : len(made)], iou[number] = made, [*found, *found[-1:] * (most - len(found))]
            levels[number], classes[number] = clicking.find_best(regions, one, made[0]), one.label
            selected[answer] = 1 + number
        yield {
            "with_truth": true is not None,
            "true_things": len(wanted),
            "classes": classes,
            "clicks": places,
            "iou": iou,
            "levels": levels,
            "selected": selected,
        }


def main(run: Run) -> None:
    """Run the stage."""
    settings = run.params.settings(clicks.Settings)
    method = run.params.method(clicks.Method)
    data, trees = run.open("dataset"), run.open(settings.trees)
    truth = InstanceTruth.of(Truth.of_images(run.images_watching_raw_data(data)), data.made_by.method)
    reads = (trees, truth, settings.most, settings.things)
    made = run.per_image(method, click, method, *reads, image_ids=data.split(settings.split), extents=settings.extents)
    report.write(made)


if __name__ == "__main__":
    run_stage(main, "clicks")
