"""Whether the drawn world is a fair miniature: neither so hard that no network learns it, nor so easy that class maps are masks.

Plain models only, each by the parameters of params.yaml: the classifier learns from labels of images, its class maps are cut at the
best of all thresholds, and the segmenter learns from the true masks, which no stage may do. Its figure is what a pipeline could
reach at most.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from ruamel.yaml import YAML
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1]))
from seedbed import cams, classifier, dataset, evaluation, images, predictions, segmenter
from seedbed.dataset import Entry, Index
from seedbed.evaluation.standard import Standard
from seedbed.learning.augmentation import Augmentation, Sample
from seedbed.learning.batches import Batch
from seedbed.learning.checkpoints import Checkpoints
from seedbed.learning.learner import Learner
from seedbed.learning.loop import fit
from seedbed.learning.training import Sampling, Training
from seedbed.networks.contracts import Inherited
from seedbed.params import Params
from seedbed.report import drawing
from seedbed.report.palette import make_palette
from seedbed.run.machine import Machine
from seedbed.scoring import judgement, metrics
from seedbed.scoring.truth import Truth
from seedbed.tools.recipe_files import find_block
from seedbed.types import BACKGROUND, BACKGROUND_NAME, IGNORE, ClassMaps, Image, LabelMap

N = TypeVar("N", bound=nn.Module)
T = TypeVar("T")
THRESHOLDS = np.linspace(0.05, 0.95, 19)
SHOWN = (2, 5, 11, 13, 14, 20, 22, 41, 45, 46, 48, 59)  # images of val on the contact sheet
AIMS = {
    "classifier, mean average precision": "over 0.90",
    "class maps at the best threshold, mIoU": "0.35 to 0.60",
    "supervised segmenter, mIoU": "over 0.85",
}


@dataclass(frozen=True)
class World:
    """A data set in memory."""

    index: Index
    pictures: Mapping[str, Image]
    truths: Truth

    @classmethod
    def read(cls, root: Path, method: dataset.Method) -> World:
        """Draw what is not there yet, and read all of it."""
        index = method.read(root)
        files = {entry.id: entry.file for entry in index.entries}
        pictures = {image_id: images.decode((root / file).read_bytes(), where=file) for image_id, file in files.items()}
        return cls(index, pictures, Truth.of(method.name, root, files, index.meaning))

    @property
    def class_names(self) -> list[str]:
        """Names by the number in masks."""
        return [BACKGROUND_NAME, *self.index.class_names]

    def split(self, name: str) -> list[Entry]:
        """Images of a split."""
        return [entry for entry in self.index.entries if name in entry.splits]

    def truth(self, entry: Entry) -> LabelMap:
        """The true class of every pixel of an image."""
        height, width, _ = self.pictures[entry.id].shape
        labels = self.truths.original(entry.id, (height, width))
        assert labels is not None, f"{entry.id} has no mask"
        return labels

    def samples(self, split: str, *, with_truth: bool) -> list[Sample]:
        """Images of a split to learn from, with labels of images or with true masks."""
        return [
            Sample(
                image=self.pictures[entry.id],
                labels=self.index.labels(entry),
                maps={"labels": self.truth(entry)} if with_truth else {},
                padding={"labels": IGNORE} if with_truth else {},
            )
            for entry in self.split(split)
        ]


def spread(members: Sequence[T], count: int) -> list[T]:
    """So many members at equal distances, or all."""
    return [members[place] for place in np.linspace(0, len(members) - 1, min(count, len(members))).round().astype(int)]


def trained(
    build: Callable[[], Learner[N, Batch]],
    samples: Sequence[Sample],
    *,
    training: Training,
    augmentation: Augmentation,
    device: str,
    name: str,
) -> N:
    """A network after its training, which is said to take so long."""
    with tempfile.TemporaryDirectory() as folder:
        never = Checkpoints(Path(folder) / "checkpoint", seconds=float("inf"))
        started = time.perf_counter()
        sampling = Sampling(training, augmentation.view, Batch.of)
        result = fit(build, samples, sampling, machine=Machine(device), name=name, checkpoints=never)
    seconds = time.perf_counter() - started
    print(f"{name}: {len(result.losses)} steps in {seconds:.0f} s, last losses {np.mean(result.losses[-20:]):.3f}", flush=True)
    return result.network.to(device)


def class_map_counts(made: Mapping[str, ClassMaps], world: World, split: str, cut: Standard) -> list[metrics.Counts]:
    """Confusion of class maps cut at every threshold."""
    cuts = [dataclasses.replace(cut, threshold=float(threshold)) for threshold in THRESHOLDS]
    counts = [np.zeros((len(world.class_names), 1 + len(world.class_names)), np.int64) for _ in THRESHOLDS]
    for entry in world.split(split):
        truth = world.truth(entry)
        maps = made[entry.id].resize((truth.shape[0], truth.shape[1]))
        for total, one in zip(counts, cuts, strict=True):
            total += metrics.confusion(truth, one.from_class_maps(maps), num_classes=len(world.index.class_names))
    return counts


def judge_classifier(params: Params, world: World, *, seed: int | None, device: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Average precision on images of `predictions.split`, and figures of class maps by threshold on those it learned from."""
    method, maps_of = params.method(classifier.Method), params.method(cams.Method)
    settings, judged_split = params.settings(classifier.Settings), params.settings(predictions.Settings).split
    assert isinstance(method, classifier.NetworkMethod), "the world is learned from images"
    network = trained(
        partial(method.learner, len(world.index.class_names)),
        world.samples(settings.split, with_truth=False),
        training=seeded(method.training, seed),
        augmentation=method.augmentation,
        device=device,
        name="classifier",
    )
    made, scores = {}, []
    for split in (settings.split, judged_split):
        for entry in world.split(split):
            classes = tuple(int(one) for one in np.flatnonzero(world.index.labels(entry)) if one != BACKGROUND)
            ((made[entry.id], score),) = maps_of.compute(network, [world.pictures[entry.id]], [()], [classes], device=device)
            if split == judged_split:
                scores.append(score)
    labels = np.stack([world.index.labels(entry) for entry in world.split(judged_split)])
    cut = params.method(evaluation.Method)
    assert isinstance(cut, Standard), "class maps are cut at thresholds, which is what the method standard does"
    counts = class_map_counts(made, world, settings.split, cut)
    precision = judgement.summarise_classifier(np.stack(scores), labels, world.class_names)
    return precision, [metrics.summary(one, world.class_names) for one in counts]


def judge_segmenter(params: Params, world: World, *, seed: int | None, device: str) -> metrics.Counts:
    """Confusion, on images of `predictions.split`, of the segmenter that learned from true masks."""
    method, predictor = params.method(segmenter.Method), params.method(predictions.Method)
    assert isinstance(method, segmenter.NetworkMethod), "the world is learned from images"
    network = trained(
        partial(method.learner, len(world.index.class_names), given=Inherited()),
        world.samples(params.settings(segmenter.Settings).split, with_truth=True),
        training=seeded(method.training, seed),
        augmentation=method.augmentation,
        device=device,
        name="segmenter",
    )
    total = np.zeros((len(world.class_names), 1 + len(world.class_names)), np.int64)
    for entry in world.split(params.settings(predictions.Settings).split):
        truth = world.truth(entry)
        (probabilities,) = predictor.predict(network, [world.pictures[entry.id]], [()], device=device)
        predicted = probabilities.resize((truth.shape[0], truth.shape[1])).maps.argmax(axis=0).astype(np.uint8)
        total += metrics.confusion(truth, predicted, num_classes=len(world.index.class_names))
    return total


def contact_sheet(world: World, ids: Sequence[str], *, across: int) -> PillowImage.Image:
    """Images beside their true masks.

    across: images in a row.
    """
    palette = make_palette(len(world.index.class_names))
    entries = {entry.id: entry for entry in world.index.entries}
    rows: list[dict[str, Image]] = []
    for number, one in enumerate(ids):
        if number % across == 0:
            rows.append({})
        blank = " " * (number % across)  # so that titles look the same and are not
        rows[-1] |= {f"image{blank}": world.pictures[one], f"truth{blank}": drawing.draw_labels(world.truth(entries[one]), palette)}
    return PillowImage.fromarray(drawing.arrange_sheet(rows))


def seeded(training: Training, seed: int | None) -> Training:
    """The same training with another seed, where one is wanted."""
    return training if seed is None else dataclasses.replace(training, seed=seed)


def print_confusion(counts: metrics.Counts, names: Sequence[str]) -> None:
    """Which class the pixels of every class are taken for, in percent of its pixels."""
    print(f"\n{'pixels of, taken for':24}" + "".join(f"{name[:10]:>11}" for name in names))
    shares: npt.NDArray[np.float64] = 100 * counts[:, :-1] / counts.sum(axis=1, keepdims=True)
    for name, row in zip(names, shares, strict=True):
        print(f"{name:24}" + "".join(f"{share:11.1f}" for share in row))


def learning_from_masks(path: Path) -> Params:
    """Parameters in which the segmenter is the one that learns from masks, whichever they select."""
    sections: dict[str, Any] = YAML(typ="safe").load(path)
    block = find_block(sections, "segmenter.pseudo_masks", folder=Path(__file__).parents[1] / "recipes")
    return Params({**sections, "segmenter": {**sections["segmenter"], "method": "pseudo_masks", "pseudo_masks": block}}, source=str(path))


def main() -> None:
    """Train, judge and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="where the parameters are")
    parser.add_argument("--root", type=Path, help="folder of the raw data instead of dataset.root")
    parser.add_argument("--seed", type=int, help="of both trainings, instead of that in the parameters")
    parser.add_argument("--sheet", type=Path, help="draw the contact sheet of the documentation into this file, and do nothing else")
    parser.add_argument("--only", choices=["classifier", "segmenter"], help="judge one of the two")
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    params = learning_from_masks(given.params)
    started = time.perf_counter()
    world = World.read(given.root or params.raw_root(), params.method(dataset.Method))
    print(f"data set: {len(world.index.entries)} images drawn or checked, and read, in {time.perf_counter() - started:.1f} s", flush=True)
    if given.sheet:
        contact_sheet(world, [f"val_{number:04d}" for number in SHOWN], across=3).save(given.sheet, optimize=True)
        return

    names = world.class_names
    figures: dict[str, float] = {}
    by_class: dict[str, Mapping[str, float | None]] = {}
    if given.only != "segmenter":
        precision, by_threshold = judge_classifier(params, world, seed=given.seed, device=given.device)
        best = int(np.argmax([one["miou"] for one in by_threshold]))
        title = "class maps at the best threshold, mIoU"
        figures |= {"classifier, mean average precision": precision["mean_average_precision"], title: by_threshold[best]["miou"]}
        by_class |= {"average precision": precision["average_precision"], "class maps, IoU": by_threshold[best]["iou"]}
        print("\nthreshold " + "".join(f"{threshold:6.2f}" for threshold in THRESHOLDS))
        print("mIoU      " + "".join(f"{one['miou']:6.3f}" for one in by_threshold))
        print(
            f"at {THRESHOLDS[best]:.2f}: missed {by_threshold[best]['false_negative_rate']:.3f} of the union, "
            f"wrongly covered {by_threshold[best]['false_positive_rate']:.3f}"
        )
    if given.only != "classifier":
        counts = judge_segmenter(params, world, seed=given.seed, device=given.device)
        summary = metrics.summary(counts, names)
        figures["supervised segmenter, mIoU"] = summary["miou"]
        by_class["segmenter, IoU"] = summary["iou"]
        print_confusion(counts, names)
    print("\n" + f"{'class':24}" + "".join(f"{what:>20}" for what in by_class))
    for name in names:
        values = [figure.get(name) for figure in by_class.values()]
        print(f"{name:24}" + "".join(f"{'':>20}" if value is None else f"{value:20.3f}" for value in values))
    print()
    for what, figure in figures.items():
        print(f"{what:42} {figure:.3f}   wanted: {AIMS[what]}")


if __name__ == "__main__":
    main()
