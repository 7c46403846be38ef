"""Stage `clicks`: how many clicks it takes to select true things."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np

from seedbed import clicks
from seedbed.images import Images
from seedbed.merge_trees import Trees
from seedbed.reads import MaybeRead, PixelLabels
from seedbed.report import clicking as report
from seedbed.run.slots import check_images, check_slots
from seedbed.run.stage import Run, run_stage
from seedbed.scoring import clicking
from seedbed.scoring.instance_truth import ClassTruth, InstanceTruth
from seedbed.scoring.truth import Truth
from seedbed.store.artifact import Artifact
from seedbed.store.schemas import Columns

if TYPE_CHECKING:
    from seedbed.networks.click_network import ClickNetwork
    from seedbed.networks.inference import TrainedNetwork


def click(
    method: clicks.Method,
    pictures: Images,
    trees: Trees,
    trained: MaybeRead[TrainedNetwork[ClickNetwork]],
    truth: InstanceTruth | ClassTruth,
    corrected: PixelLabels,
    most: int,
    things: int,
    depth: float,
    seed: int,
    images: Sequence[str],
) -> Iterator[Columns]:
    """Click on the true things of images."""
    for image in images:
        picture, true = pictures[image], truth[image]
        regions = trees.of(image, picture.shape[:2])
        asked = trained.source
        seen = clicks.Seen(picture, regions) if asked is None else clicks.Seen(picture, regions, asked.load(), asked.device)
        places, iou = np.full((things, most, 3), -1), np.full((things, most), -1.0)
        levels, classes, selected = np.full((things, 3), -1.0), np.zeros(things), np.zeros(picture.shape[:2], np.int32)
        start_iou = np.full(things, -1.0)
        wanted = [] if true is None else clicking.list_wanted(true)
        starts = clicking.find_starts(corrected.of(image, picture.shape[:2]), wanted, apart=isinstance(truth, InstanceTruth))
        for number, (one, start) in enumerate(zip(wanted[:things], starts, strict=False)):
            aim, again = (clicking.Aim(depth, np.random.default_rng([seed, crc32(image.encode()), number])) for _ in range(2))
            made, found, answer = clicking.click_through(method.begin(seen, start), one, start=start, most=most, aim=aim)
            places[number, : len(made)] = np.reshape(made, (-1, 3))  # of none too
            start_iou[number], iou[number] = found[0], [*found[1:], *found[-1:] * (most - len(made))]
            classes[number] = one.label
            if asked is None:
                levels[number] = clicking.find_best(regions, one, clicking.find_first(one, again))
            selected[answer] = 1 + number
        yield {
            "with_truth": true is not None,
            "true_things": len(wanted),
            "classes": classes,
            "clicks": places,
            "start_iou": start_iou,
            "iou": iou,
            "levels": levels,
            "selected": selected,
        }


def open_network(run: Run, method: clicks.Method, learned: Artifact) -> TrainedNetwork[ClickNetwork]:
    """The network that answers clicks."""
    from seedbed import clicker  # with torch, for which nobody pays who asks no network
    from seedbed.networks.inference import TrainedNetwork

    trained: TrainedNetwork[ClickNetwork] = TrainedNetwork(
        run.rebuild_trained(clicker.Method, learned), (), learned, run.place(method).device
    )
    method.check_network(run.stage, trained.method)
    return trained


def main(run: Run) -> None:
    """Run the stage."""
    settings = run.params.settings(clicks.Settings)
    method = run.params.method(clicks.Method)
    check_slots(run.stage, settings, method)
    data, grown, learned = run.open("dataset"), run.open_slot(settings.trees), run.open_slot(settings.clicker)
    trained = None if learned is None else open_network(run, method, learned)
    images = run.images_watching_raw_data(data)
    masks = Truth.of_images(images)
    truth = InstanceTruth.of(masks, data.made_by.method) if settings.wanted == "things" else ClassTruth(masks)
    image_ids, labels = data.split(settings.split), run.open_path(settings.start, setting="start")
    if labels is not None:
        check_images(f"params.yaml: {run.stage}.start", labels, image_ids)
    corrected = PixelLabels(labels)
    reads = (images, Trees(grown), MaybeRead(trained), truth, corrected)
    numbers = (settings.most, settings.things, settings.depth, settings.seed)
    made = run.per_image(method, click, method, *reads, *numbers, image_ids=image_ids, extents=settings.extents)
    report.write(made)


if __name__ == "__main__":
    run_stage(main, "clicks")
