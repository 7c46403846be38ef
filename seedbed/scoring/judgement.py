"""From counts per image to the figures of a whole evaluation."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from seedbed.reads import read_total
from seedbed.scoring import metrics
from seedbed.scoring.boundaries import Boundaries, FilledTruth
from seedbed.scoring.mask_ap import Findings, find
from seedbed.scoring.metrics import Counts, figure
from seedbed.scoring.things import find_smallest, find_things, measure_by_size, measure_disagreement
from seedbed.scoring.true_things import TrueThings
from seedbed.store.artifact import Artifact
from seedbed.store.schemas import FIXED
from seedbed.types import IGNORE, ClassMaps, Instances, LabelMap, RegionMap, Size

CLASS_MAPS = "class_maps"  # the kind of labels whose threshold is swept
PREDICTIONS = "predictions"
REFINED = "predictions_crf"  # the kind of labels that is kept, since no other artifact has it
# Of these there are figures, though they are no labels.
CLASSIFIER, SUPERPIXELS, INSTANCES, SALIENCY = "classifier", "superpixels", "instances", "saliency"
TAKEN = (CLASSIFIER, CLASS_MAPS, SUPERPIXELS, INSTANCES, SALIENCY, PREDICTIONS, REFINED, "image", "truth")  # names in figures and pictures
CORRECTED = "corrected"  # array of labels that a person may correct, and figures of images of which somebody has
UNLABELLED = "unlabelled"  # the last column of a confusion matrix
DECLARED, ORACLE = "declared", "oracle"  # marks of thresholds


@dataclass(frozen=True)
class Selection:
    """Images whose labels are judged."""

    images: frozenset[str]

    def key(self, image: str) -> str:
        """Whether an image is one of them."""
        return str(image in self.images)

    def __contains__(self, image: str) -> bool:
        return image in self.images

    def only(self, images: Sequence[str]) -> Selection:
        """Those among some images."""
        return Selection(self.images & frozenset(images))


@dataclass(frozen=True)
class Judged:
    """Artifacts that are held against the truth, those that the parameters name. All but predictions are of training images."""

    class_maps: Artifact | None
    labels: Mapping[str, Artifact]  # by what they are called in the figures
    superpixels: Artifact | None
    instances: Artifact | None
    saliency: Artifact | None
    predictions: Artifact | None

    def key(self, image: str) -> str:
        """Identity of all that there is of an image."""
        slots = {CLASS_MAPS: self.class_maps, SUPERPIXELS: self.superpixels, INSTANCES: self.instances, SALIENCY: self.saliency}
        slots |= {PREDICTIONS: self.predictions, **self.labels}
        return json.dumps({name: artifact.key(image) for name, artifact in slots.items() if artifact is not None})

    @property
    def predicted(self) -> list[str]:
        """Images of which there is a prediction."""
        return [] if self.predictions is None else self.predictions.ids

    def is_corrected(self, image: str) -> bool:
        """Whether some of its labels are as a person has corrected them."""
        return any(bool(one.array(CORRECTED)[one.row(image)]) for one in self.labels.values() if CORRECTED in one.schema.arrays)

    @property
    def most_instances(self) -> int:
        """Things of an image that there is room for, where they are told apart; 0 where they are not judged."""
        return 0 if self.instances is None else int(self.instances.array("classes").shape[1])


@dataclass(frozen=True)
class Judge:
    """How images are judged, whatever there is of each."""

    names: Sequence[str]  # of all kinds of labels
    num_classes: int
    boundaries: Boundaries
    thresholds: npt.NDArray[np.float64]  # of class maps
    size_bounds: Sequence[float]  # of things
    most_instances: int  # of an image, that there is room for

    def columns(
        self,
        truth: LabelMap | None,
        kinds: Mapping[str, LabelMap],
        *,
        size: Size,
        contained: Sequence[int] | None,
        class_maps: ClassMaps | None,
        regions: RegionMap | None,
        objects: LabelMap | None,
        instances: Instances | None,
        true_instances: TrueThings | None,
        corrected: bool,
    ) -> dict[str, Any]:
        """Count one image: its columns in the evaluation's artifact.

        kinds: labels by the name under which they are reported.
        contained: classes of the image; None where nobody knows them.
        class_maps: of the image's size.
        objects: 1 where something is, 0 where nothing is, 255 where that is unknown.
        true_instances: None where they are not known, which is no matter of masks.
        corrected: whether a person has corrected some of its labels.
        """
        there = [(index, kinds[name]) for index, name in enumerate(self.names) if name in kinds]
        told_apart = Instances.empty(size) if instances is None else instances
        classes = 1 + self.num_classes
        confusion = np.zeros((len(self.names), classes, 1 + classes), np.int64)
        boundary_overlap = np.zeros((len(self.names), classes, FIXED["intersection_union"]), np.int64)
        sweep = np.zeros((len(self.thresholds), classes, FIXED["intersection_union"]), np.int64)
        region_overlap, region_boundary = np.zeros(FIXED["overlap"], np.int64), np.zeros(FIXED["boundary"], np.int64)
        object_overlap = np.zeros((FIXED["true_object"], FIXED["object"]), np.int64)
        violations, coverage = np.zeros(len(self.names), np.int64), np.zeros(len(self.names))
        smallest, disagreement = np.zeros(len(self.names), np.int64), np.zeros((len(self.names), len(self.names)))
        by_size = np.zeros((len(self.names), len(self.size_bounds) + 1, FIXED["thing"]))
        things = {index: find_things(labels) for index, labels in there}
        for index, labels in there:
            coverage[index], smallest[index] = (labels != IGNORE).mean(), find_smallest(things[index])
            if contained is not None:
                violations[index] = metrics.label_violations(labels, contained)
        for (index, labels), (other, others) in combinations(there, 2):
            disagreement[index, other] = disagreement[other, index] = measure_disagreement(labels, others)
        if truth is not None:
            filled, known = FilledTruth.of(truth), truth != IGNORE
            true = find_things(filled.classes)
            for index, labels in there:
                confusion[index] = metrics.confusion(truth, labels, num_classes=self.num_classes)
                boundary_overlap[index] = self.boundaries.overlap(labels, filled, num_classes=self.num_classes)
                by_size[index] = measure_by_size(things[index], true, self.size_bounds, known=known)
            if class_maps is not None:
                sweep = metrics.threshold_sweep(class_maps, truth, self.thresholds, num_classes=self.num_classes)
            if regions is not None:
                region_overlap, region_boundary = metrics.region_overlap(regions, truth), self.boundaries.found(regions, filled)
            if objects is not None:
                object_overlap = metrics.object_overlap(objects, truth)
        return {
            "judged": [name in kinds for name in self.names],
            "with_truth": truth is not None,
            "with_labels": contained is not None,
            CORRECTED: corrected,
            "coverage": coverage,
            "violations": violations,
            "confusion": confusion,
            "boundary_overlap": boundary_overlap,
            "miou": _means(metrics.overlap(confusion)),
            "boundary_miou": _means(boundary_overlap),
            "smallest": smallest,
            "disagreement": disagreement,
            "by_size": by_size,
            "sweep": sweep,
            "region_count": 0 if regions is None else int(regions.max()) + 1,
            "region_overlap": region_overlap,
            "region_boundary": region_boundary,
            "saliency_judged": objects is not None,
            "objects": object_overlap,
            "instances_judged": instances is not None,
            "instances_with_truth": instances is not None and true_instances is not None,
            **find(told_apart, true_instances, num_classes=self.num_classes).columns(most=self.most_instances),
            "refined": kinds[REFINED] if REFINED in kinds else np.full(size, IGNORE, np.uint8),
        }


@dataclass(frozen=True)
class Scores:
    """What was counted on all images of an evaluation together, and its figures.

    Kinds of labels that no image has a truth for keep what can be said without it.
    """

    judged: Artifact  # the evaluation's
    class_names: Sequence[str]

    @cached_property
    def kinds(self) -> list[str]:
        """Names of all kinds of labels."""
        return [str(one) for one in self.judged.array("kinds")]

    @cached_property
    def thresholds(self) -> list[float]:
        """Thresholds of the sweep."""
        return [float(one) for one in self.judged.array("thresholds")]

    @cached_property
    def confusions(self) -> dict[str, Counts]:
        """Confusion matrices, of the kinds of labels that some image has a truth for."""
        with_truth = self.judged.array("judged")[self.judged.array("with_truth")].any(axis=0)
        totals = read_total(self.judged, "confusion")
        return {kind: totals[index] for index, kind in enumerate(self.kinds) if with_truth[index]}

    @cached_property
    def figures(self) -> dict[str, Any]:
        """Figures by kind of labels, and of superpixels."""
        report: dict[str, Any] = {}
        boundaries = read_total(self.judged, "boundary_overlap")
        for index, kind in enumerate(self.kinds):
            there = self.judged.array("judged")[:, index]
            if not there.any():
                continue
            report[kind] = {"images": int(there.sum()), "images_with_truth": int((there & self.judged.array("with_truth")).sum())}
            if kind in self.confusions:
                report[kind] |= metrics.summary(self.confusions[kind], self.class_names)
                report[kind] |= self._of_boundaries(boundaries[index]) | self._of_sizes(index)
            else:
                report[kind]["coverage"] = figure(self.judged.array("coverage")[there, index].mean())
            report[kind] |= self._of_violations(index) | self._of_corrected(index)
            if kind == CLASS_MAPS and kind in self.confusions:
                report[kind] |= {ORACLE: self.oracle}
        return report | self._of_regions() | self._of_saliency() | self._of_instances()

    @cached_property
    def swept(self) -> list[float]:
        """Mean IoU of class maps at every threshold of the sweep; NaN where no class has any."""
        return [metrics.mean(iou) for iou in metrics.intersection_over_union(read_total(self.judged, "sweep"))]

    @cached_property
    def oracle(self) -> dict[str, float | None]:
        """The best threshold of the sweep, the lowest of equals, and its mean IoU. Found with the truth, so nothing may be tuned by it."""
        best = int(np.argmax(np.nan_to_num(self.swept, nan=-1)))
        known = not np.isnan(self.swept[best])
        return {"threshold": figure(self.thresholds[best]) if known else None, "miou": figure(self.swept[best])}

    @cached_property
    def mious(self) -> metrics.Shares:
        """Mean IoU of every image alone (image, kind), over the classes that are in its truth or among its labels; NaN where none is."""
        return read_figures(self.judged, "miou")

    def miou(self, image: str, kind: str) -> float:
        """Mean IoU of an image alone."""
        return float(self.mious[self.judged.row(image), self.kinds.index(kind)])

    def worst(self, kind: str) -> list[tuple[str, float]]:
        """Images that have such labels and a truth, with their mean IoU, the worst first; of equals the data set's first."""
        if kind not in self.kinds:
            return []
        column = self.mious[:, self.kinds.index(kind)]
        return [(self.judged.ids[row], float(column[row])) for row in np.argsort(column, kind="stable") if not np.isnan(column[row])]

    def image_table(self) -> Iterator[tuple[str, str, float, float | None]]:
        """Kind of labels, image, its mean IoU and that along contours, for a table; each kind's worst first."""
        along = read_figures(self.judged, "boundary_miou")
        for index, kind in enumerate(self.kinds):
            for image, miou in self.worst(kind):
                yield kind, image, round(miou, 4), figure(along[self.judged.row(image), index])

    def curve(self) -> Iterator[tuple[float, float, str]]:
        """Threshold of class maps, mean IoU, and whether it is the declared threshold or the oracle's, for a plot."""
        declared, report = figure(float(self.judged.array("threshold"))), self.figures.get(CLASS_MAPS, {})
        if report.get("miou") is None:
            return
        points = {figure(threshold): figure(miou) for threshold, miou in zip(self.thresholds, self.swept, strict=True)}
        points[declared] = report["miou"]  # the same as in the sweep, if that has it
        marks = {declared: DECLARED}
        marks[self.oracle["threshold"]] = f"{DECLARED}, {ORACLE}" if self.oracle["threshold"] == declared else ORACLE
        for threshold in sorted(one for one in points if one is not None):
            miou = points[threshold]
            if miou is not None:
                yield threshold, miou, marks.get(threshold, "")

    def _of_boundaries(self, overlaps: Counts) -> dict[str, Any]:
        iou = metrics.intersection_over_union(overlaps)
        return {"boundary_miou": figure(metrics.mean(iou)), "boundary_iou": metrics.by_class(iou, self.class_names)}

    def _of_sizes(self, index: int) -> dict[str, Any]:
        """How well things are found, the smallest first: each counts as much as another."""
        bounds = [f"{bound:g}" for bound in self.judged.array("size_bounds")]
        names = [f"below {bounds[0]}", *(f"from {bound}" for bound in bounds)] if bounds else ["all"]
        counts, sums = self.judged.array("by_size")[:, index].sum(axis=0).T
        return {
            "things": {
                name: {"count": int(count), "iou": figure(total / count) if count else None}
                for name, count, total in zip(names, counts, sums, strict=True)
            }
        }

    def _of_corrected(self, index: int) -> dict[str, Any]:
        """Figures of the images that a person has corrected, and of the others; nothing where no image is corrected."""
        known = self.judged.array("judged")[:, index] & self.judged.array("with_truth")
        corrected = known & self.judged.array(CORRECTED)
        if not corrected.any():
            return {}
        counts, report = self._corrected_counts[index], {}
        parts = {CORRECTED: (corrected, counts), f"not_{CORRECTED}": (known & ~corrected, self.confusions[self.kinds[index]] - counts)}
        for name, (rows, confusion) in parts.items():
            miou = metrics.mean(metrics.intersection_over_union(metrics.overlap(confusion)))
            report[name] = {"images": int(rows.sum()), "miou": figure(miou)}
        return report

    @cached_property
    def _corrected_counts(self) -> Counts:
        """Confusion matrices of the images that a person has corrected, of every kind of labels."""
        return read_total(self.judged, "confusion", rows=self.judged.array(CORRECTED))

    def _of_violations(self, index: int) -> dict[str, Any]:
        """Images, and the share of their pixels, that are labelled with classes that they are known not to contain."""
        known = self.judged.array("judged")[:, index] & self.judged.array("with_labels")
        if not known.any():
            return {}
        wrong, pixels = self.judged.array("violations")[known, index], self.judged.array("size")[known].astype(np.int64).prod(axis=1)
        return {
            "images_with_labels": len(wrong),
            "label_violations": int((wrong > 0).sum()),
            "label_violation_rate": figure((wrong > 0).mean()),
            "label_violation_area": figure(wrong.sum() / pixels.sum()),
        }

    def _of_regions(self) -> dict[str, Any]:
        there, with_truth = self.judged.array("region_count") > 0, self.judged.array("with_truth")
        if not there.any():
            return {}
        counts = self.judged.array("region_count")[there]
        report: dict[str, Any] = {
            "images": len(counts),
            "images_with_truth": int((there & with_truth).sum()),
            "mean_count": round(float(counts.mean()), 2),
        }
        overlaps, boundaries = (self.judged.array(name)[there].sum(axis=0) for name in ("region_overlap", "region_boundary"))
        if report["images_with_truth"]:
            report |= metrics.region_figures(overlaps, boundaries)
        return {SUPERPIXELS: report}

    def _of_saliency(self) -> dict[str, Any]:
        there = self.judged.array("saliency_judged")
        if not there.any():
            return {}
        with_truth = there & self.judged.array("with_truth")
        report: dict[str, Any] = {"images": int(there.sum()), "images_with_truth": int(with_truth.sum())}
        if with_truth.any():
            report |= metrics.object_figures(self.judged.array("objects")[with_truth].sum(axis=0))
        return {SALIENCY: report}

    def _of_instances(self) -> dict[str, Any]:
        there = self.judged.array("instances_judged")
        if not there.any():
            return {}
        with_truth = self.judged.array("instances_with_truth")
        report = {
            "images": int(there.sum()),
            "images_with_truth": int(with_truth.sum()),
            "things": int(np.count_nonzero(self.judged.array("instance_class"))),
        }
        if with_truth.any():
            report |= Findings.of(self.judged).figures(self.class_names)
        return {INSTANCES: report}


def read_figures(judged: Artifact, name: str) -> metrics.Shares:
    """Figures of every image (image, kind); NaN where there is none, which artifacts hold as -1."""
    figures = judged.array(name)
    return np.asarray(np.where(figures < 0, np.nan, figures))


def _means(overlaps: Counts) -> metrics.Shares:
    """Mean IoU of each kind (kind, class, intersection and union) as an artifact has it: -1 where no class has any."""
    return np.nan_to_num([metrics.mean(one) for one in metrics.intersection_over_union(overlaps)], nan=-1)


def judge_classifier(maps: Artifact | None, data: Artifact, images: Sequence[str]) -> dict[str, Any]:
    """Figures of the classifier, of images whose scores are among what class maps were made of; nothing without maps or images.

    maps: class maps.
    data: the data set.
    """
    if maps is None or not images:
        return {}
    known = [image for image in images if image in maps]
    scores, labels = maps.array("scores")[[maps.row(one) for one in known]], data.array("labels")[[data.row(one) for one in known]]
    return summarise_classifier(scores, labels, data.class_names)


def summarise_classifier(scores: npt.NDArray[np.float32], labels: npt.NDArray[np.bool_], class_names: Sequence[str]) -> dict[str, Any]:
    """Average precision of every class, background left out.

    scores, labels: (image, class).
    """
    each = {name: metrics.average_precision(scores[:, index], labels[:, index]) for index, name in enumerate(class_names) if index > 0}
    return {
        "images": len(scores),
        "mean_average_precision": figure(metrics.mean(np.array([*each.values()]))),
        "average_precision": {name: figure(value) for name, value in each.items()},
    }


def tabulate_iou(report: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """What and its IoU, for a plot."""
    for kind, content in report.items():
        for name, value in content.get("iou", {}).items():
            if value is not None:
                yield f"{kind}: {name}", value


def tabulate_confusion(counts: Counts, class_names: Sequence[str]) -> Iterator[tuple[str, str, float, int]]:
    """True class, predicted class, share of the true class's pixels, and pixels, for a plot; classes without pixels are left out."""
    shares = metrics.row_shares(counts)
    for true, name in enumerate(class_names):
        for predicted, other in enumerate([*class_names, UNLABELLED]):
            share = figure(shares[true, predicted])
            if share is not None:
                yield name, other, share, int(counts[true, predicted])
