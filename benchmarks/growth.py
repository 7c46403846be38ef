"""How labels grow while the segmenter learns by region growing: how much of the images they cover, and how much of that is right.

Trains the segmenter of a finished pipeline once more, as its stage does, and stops at times to grow the seeds of some training images
with the network as it is. Nothing is kept but a table and, with --picture, a sheet of examples. The truth is used for figures alone.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image as PillowImage

sys.path.insert(0, str(Path(__file__).parents[1]))
from seedbed import segmenter
from seedbed.images import Images
from seedbed.learning.augmentation import Sample
from seedbed.learning.batches import Batch
from seedbed.learning.checkpoints import Checkpoints
from seedbed.learning.loop import fit
from seedbed.learning.samples import Samples
from seedbed.learning.training import Sampling
from seedbed.networks.start import Given
from seedbed.params import Params
from seedbed.report import drawing
from seedbed.report.palette import make_palette
from seedbed.run.machine import Machine
from seedbed.scoring import metrics
from seedbed.scoring.truth import Truth
from seedbed.segmenter.region_growing import GrowingLearner, RegionGrowing
from seedbed.store.artifact import Artifact, open_artifact
from seedbed.store.schemas import NONE
from seedbed.types import BACKGROUND, IGNORE, Image, LabelMap

POINTS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0)  # shares of the training


@dataclass(frozen=True)
class Growth:
    """Labels of some images at one time."""

    steps: int
    labels: Sequence[LabelMap]

    def line(self, truths: Sequence[LabelMap], seeds: Sequence[LabelMap], num_classes: int) -> list[str]:
        """What is said of it, under HEAD."""
        known = right = grown_known = grown_right = foreground = total = 0
        counts = np.zeros((1 + num_classes, 2 + num_classes), np.int64)
        for labels, truth, seed in zip(self.labels, truths, seeds, strict=True):
            judged = truth != IGNORE
            has, new = judged & (labels != IGNORE), judged & (labels != IGNORE) & (seed == IGNORE)
            known, right = known + has.sum(), right + (labels == truth)[has].sum()
            grown_known, grown_right = grown_known + new.sum(), grown_right + (labels == truth)[new].sum()
            foreground += (has & (labels != BACKGROUND)).sum()
            total += judged.sum()
            counts += metrics.confusion(truth, labels, num_classes=num_classes)
        precision = f"{grown_right / grown_known:.3f}" if grown_known else ""
        miou = metrics.summary(counts, [str(one) for one in range(1 + num_classes)])["miou"]
        return [str(self.steps), f"{known / total:.3f}", f"{foreground / total:.3f}", f"{right / known:.3f}", precision, f"{miou:.3f}"]


HEAD = ("steps", "labelled area", "of it classes", "precision", "precision of what grew", "mIoU")


@dataclass
class Watch:
    """Looks at some images at times."""

    samples: Sequence[Sample]
    points: list[float]
    seen: list[Growth] = field(default_factory=list)

    @torch.inference_mode()
    def look(self, learner: GrowingLearner, steps: int) -> None:
        """Grow the seeds of all images with the network as it is, in evaluation mode and from whole images."""
        device = next(learner.parameters()).device
        learner.eval()
        labels = [learner.grow_seeds(Batch.of([sample]).to(device))[1][0].cpu().numpy().astype(np.uint8) for sample in self.samples]
        learner.train()
        self.seen.append(Growth(steps, labels))


class WatchedLearner(GrowingLearner):
    """The method's own, and somebody who looks."""

    def __init__(self, learner: GrowingLearner, watch: Watch, steps: int) -> None:
        super().__init__(learner.network, learner.method)
        self._watch, self._steps = watch, steps

    def after_step(self, progress: float) -> None:
        """Look, when it is time."""
        done = round(progress * self._steps) + 1
        points = self._watch.points
        if points and done >= points[0] * self._steps:
            self._watch.look(self, done)
            while points and done >= points[0] * self._steps:
                points.pop(0)


def picture(samples: Sequence[Sample], truths: Sequence[LabelMap], seen: Sequence[Growth], palette: np.ndarray) -> PillowImage.Image:
    """Images, their seeds, labels at some times, and the truth."""
    rows: list[dict[str, Image]] = []
    for number, (sample, truth) in enumerate(zip(samples, truths, strict=True)):
        made = {f"after {one.steps} steps": one.labels[number] for one in seen}
        shown = {"seeds": np.asarray(sample.maps["labels"], np.uint8), **made, "truth": truth}
        rows.append({"image": sample.image, **{name: drawing.draw_labels(one, palette) for name, one in shown.items()}})
    return PillowImage.fromarray(drawing.arrange_sheet(rows))


def open_maps(method: RegionGrowing, slots: segmenter.Settings) -> dict[str, Artifact]:
    """The maps that the segmenter learns from."""
    return {name: open_artifact(slots.maps[name]) for name in method.wanted_maps}


def main() -> None:
    """Train, look and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path(), help="a finished pipeline; the checkout unless given")
    parser.add_argument("--images", type=int, default=100, help="training images that are looked at")
    parser.add_argument("--picture", type=Path, help="draw examples into this file")
    parser.add_argument("--shown", type=int, nargs="+", default=[0, 1, 3, 4, 9], help="numbers of the images that are drawn")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    target = options.picture and options.picture.resolve()
    os.chdir(options.folder)
    if not Path("data/superpixels.zarr").is_dir():
        raise SystemExit("no finished pipeline here: run `make demo`, or name a folder with --folder")
    params = Params.read()
    method, settings = params.method(segmenter.Method), params.settings(segmenter.Settings)
    if not isinstance(method, RegionGrowing):
        raise SystemExit("params.yaml selects another segmenter than region_growing")
    data = open_artifact("dataset")
    pictures = Images(params.raw_root(), data)
    ids = data.learnable(settings.split)
    samples = Samples(data, pictures, ids, maps=open_maps(method, settings))
    truth = Truth.of_images(pictures)
    watched = [number for number in range(len(ids)) if truth[ids[number]] is not None][: options.images]
    truths = [one for number in watched if (one := truth[ids[number]]) is not None]
    watch = Watch([samples[number] for number in watched], list(POINTS))
    steps = max(1, round(method.training.epochs * len(ids) / method.training.batch_size))

    def build() -> WatchedLearner:
        start = None if settings.start == NONE else open_artifact(settings.start)
        learner = method.learner(data.num_classes, given=Given.start(method.backbone, start).load())
        assert isinstance(learner, GrowingLearner)
        return WatchedLearner(learner, watch, steps)

    with tempfile.TemporaryDirectory() as folder:
        never = Checkpoints(Path(folder) / "checkpoint", seconds=float("inf"))
        sampling = Sampling(method.training, method.augmentation.view, Batch.of)
        fit(build, samples, sampling, machine=Machine(options.device), name="segmenter", checkpoints=never)
    seeds = [np.asarray(one.maps["labels"], np.uint8) for one in watch.samples]
    lines = [[*HEAD], ["---"] * len(HEAD), *(one.line(truths, seeds, data.num_classes) for one in [Growth(0, seeds), *watch.seen])]
    print("\n".join("| " + " | ".join(line) + " |" for line in lines))
    if target:
        shown = [one for one in options.shown if one < len(truths)]
        some = [Growth(one.steps, [one.labels[number] for number in shown]) for one in watch.seen[2::2]]
        sheet = picture(
            [watch.samples[number] for number in shown], [truths[number] for number in shown], some, make_palette(data.num_classes)
        )
        sheet.save(target, optimize=True)


if __name__ == "__main__":
    main()
