"""Average precision of things by their masks, as COCO computes it: by the code of COCO's own tool, an image at a time.

Within an image, things are matched to true ones at every threshold of IoU. What is kept of each is its class, its score, and whether it
found a true thing or does not count. Over all images that is enough for precision and recall.

Void, pixels whose truth is 255, is in no thing: what is judged loses those pixels before it is matched, and counts nowhere if it has no
others. COCO knows no void, but crowds: whoever finds a part of one is neither right nor wrong.

Paper: Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014, and its tool, pycocotools.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from seedbed.scoring import metrics
from seedbed.scoring.metrics import figure
from seedbed.scoring.true_things import Shape, TrueThings
from seedbed.store.artifact import Artifact
from seedbed.store.schemas import FIXED
from seedbed.types import BACKGROUND, Instances

IMAGE = 1  # COCO's number of an image that is judged alone
ANY_AREA = [0, 1e10]  # things of any size
HALF, THREE_QUARTERS = 0, 5  # places of 0.5 and 0.75 among COCO's thresholds of IoU: 0.5, 0.55, ... 0.95


@dataclass(frozen=True)
class Findings:
    """What became of things: of one image, or of many."""

    classes: npt.NDArray[np.uint8]  # (thing)
    scores: npt.NDArray[np.float32]  # (thing)
    found: npt.NDArray[np.bool_]  # (thing, threshold of IoU): whether it is matched to a true thing, or to a crowd
    uncounted: npt.NDArray[np.bool_]  # (thing, threshold of IoU): whether it is neither right nor wrong
    true: npt.NDArray[np.int64]  # (class): true things, crowds left out

    @classmethod
    def unknown(cls, made: Instances, *, num_classes: int) -> Findings:
        """Those of things that are held against nothing."""
        classes, scores = np.asarray(made.classes, np.uint8), np.asarray(made.scores, np.float32)
        shape = (len(classes), FIXED["iou_threshold"])
        return cls(classes, scores, np.zeros(shape, np.bool_), np.ones(shape, np.bool_), np.zeros(1 + num_classes, np.int64))

    @classmethod
    def of(cls, judged: Artifact) -> Findings:
        """Those of all images of an evaluation whose true things are known, in its order."""
        there = judged.array("instances_with_truth")
        names = ("instance_class", "instance_score", "instance_found", "instance_uncounted")
        classes, scores, found, uncounted = (judged.array(name)[there] for name in names)
        rows = classes > 0
        return cls(classes[rows], scores[rows], found[rows], uncounted[rows], judged.array("true_instances")[there].sum(axis=0))

    def columns(self, *, most: int) -> dict[str, Any]:
        """Columns of an image.

        most: things that an image has at most, to which lists of them are padded.
        """
        lists: dict[str, npt.NDArray[Any]] = {
            "instance_class": self.classes,
            "instance_score": self.scores,
            "instance_found": self.found,
            "instance_uncounted": self.uncounted,
        }
        padded = {name: np.concatenate([one, np.zeros((most - len(one), *one.shape[1:]), one.dtype)]) for name, one in lists.items()}
        return {**padded, "true_instances": self.true}

    def average_precision(self) -> npt.NDArray[np.float64]:
        """By threshold of IoU and class, background among them; NaN where no thing of the class is true.

        Of equal scores, things come in the order that they have here.
        """
        how, classes = _tool(), range(1, len(self.true))
        how.params.imgIds, how.params.catIds, how.params.maxDets = [IMAGE], list(classes), [max(1, len(self.classes))]
        how._paramsEval = how.params
        how.evalImgs = [self._of_class(one) for one in classes]
        with contextlib.redirect_stdout(io.StringIO()):
            how.accumulate()
        precision = how.eval["precision"][..., 0, 0].mean(axis=1)  # (threshold, class); -1 without true things
        return np.concatenate([np.full((len(precision), 1), np.nan), np.where(precision < 0, np.nan, precision)], axis=1)

    def _of_class(self, label: int) -> dict[str, Any]:
        """Things of a class as COCO's tool knows those of an image."""
        rows = self.classes == label
        true = int(self.true[label])
        return {
            "dtScores": self.scores[rows],
            "dtMatches": self.found[rows].T,
            "dtIgnore": self.uncounted[rows].T,
            "gtIgnore": np.zeros(true, np.int64),
        }

    def figures(self, class_names: Sequence[str]) -> dict[str, Any]:
        """True things, and average precision over all classes that any of them has, at all thresholds of IoU and at single ones."""
        precision = self.average_precision()
        of_classes = metrics.by_class(precision[HALF], class_names)
        del of_classes[class_names[BACKGROUND]]
        return {
            "true_things": int(self.true.sum()),
            "ap": figure(metrics.mean(precision)),
            "ap50": figure(metrics.mean(precision[HALF])),
            "ap75": figure(metrics.mean(precision[THREE_QUARTERS])),
            "ap50_by_class": of_classes,
        }


def find(made: Instances, true: TrueThings | None, *, num_classes: int) -> Findings:
    """Match an image's things to true ones.

    num_classes: without background.
    true: None where they are not known; then nothing counts.
    """
    findings = Findings.unknown(made, num_classes=num_classes)
    if true is None:
        return findings
    how = _prepare(made, true)
    for label in how.params.catIds:
        how.ious[IMAGE, label] = how.computeIoU(IMAGE, label)
        judged = how.evaluateImg(IMAGE, label, ANY_AREA, how.params.maxDets[0])
        rows = np.asarray(judged["dtIds"], np.int64) - 1
        findings.found[rows], findings.uncounted[rows] = (judged["dtMatches"] > 0).T, judged["dtIgnore"].T
        findings.true[label] = np.count_nonzero(np.asarray(judged["gtIgnore"]) == 0)
    return findings


def _prepare(made: Instances, true: TrueThings) -> Any:
    """COCO's tool with what it is to match in an image: things of which a pixel is known, and true things."""
    how, known = _tool(), np.where(true.void, 0, made.things)
    for number, one in enumerate(true.things, start=1):
        how._gts[IMAGE, one.label].append({"id": number, "iscrowd": int(one.crowd), "ignore": int(one.crowd), **_encode(one.shape)})
    for number, (label, score) in enumerate(zip(made.classes, made.scores, strict=True), start=1):
        if (shape := known == number).any():
            how._dts[IMAGE, label].append({"id": number, "score": score, **_encode(shape)})
    how.params.catIds = sorted({label for _, label in (*how._gts, *how._dts)})
    return how


def _encode(shape: Shape) -> dict[str, Any]:
    from pycocotools import mask

    return {"segmentation": mask.encode(np.asfortranarray(shape, np.uint8)), "area": int(shape.sum())}


def _tool() -> Any:
    """COCO's own code, which is imported only where things are judged: things of any size, the 100 surest of a class in an image."""
    from pycocotools.cocoeval import COCOeval

    how = COCOeval(iouType="segm")
    how.params.areaRng, how.params.areaRngLbl, how.params.maxDets = [ANY_AREA], ["all"], how.params.maxDets[-1:]
    return how
