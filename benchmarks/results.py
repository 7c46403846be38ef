"""The pipeline's figures over several seeds, several values of one parameter, or several ways to train, as tables for docs/results.

Every run is made by the stages themselves, one after another in a folder of its own where what a seed does not touch is not computed
again. A seed is the one of every training, and of how images are divided to choose a weight decay; the data set stays.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from ruamel.yaml import YAML

from benchmarks._corrections import choose, correct
from benchmarks._pages import find_place, write_between
from benchmarks._places import CHECKOUT, Place, changed, figure, seeded, stages, with_spread
from seedbed.images import Images
from seedbed.params import Params
from seedbed.scoring.truth import Truth
from seedbed.store.artifact import open_artifact
from seedbed.tools.recipe_files import find_block, read_recipe
from seedbed.types import IGNORE

Changes = dict[str, Any]  # other parameters, by address
SHOWN: tuple[tuple[str, str, str], ...] = (  # what, in words, and the figure's address
    ("classifier, mean average precision", "classifier", "mean_average_precision"),
    ("class maps at the declared threshold, mIoU", "class_maps", "miou"),
    ("class maps at the best threshold (an oracle), mIoU", "class_maps", "oracle.miou"),
    ("seeds, coverage", "seeds", "coverage"),
    ("seeds, precision", "seeds", "precision"),
    ("seeds, mIoU", "seeds", "miou"),
    ("masks, mIoU", "masks", "miou"),
    ("masks, boundary mIoU", "masks", "boundary_miou"),
    ("masks, false positive rate", "masks", "false_positive_rate"),
    ("masks, false negative rate", "masks", "false_negative_rate"),
    ("superpixels, mean count", "superpixels", "mean_count"),
    ("superpixels, achievable segmentation accuracy", "superpixels", "achievable_segmentation_accuracy"),
    ("superpixels, undersegmentation error", "superpixels", "undersegmentation_error"),
    ("superpixels, boundary recall", "superpixels", "boundary_recall"),
    ("superpixels, boundary precision", "superpixels", "boundary_precision"),
    ("predictions, mIoU", "predictions", "miou"),
    ("predictions after the CRF, mIoU", "predictions_crf", "miou"),
)

TRUE_OBJECTS = Path("data", "true")  # of the folder in which stages run
CLASS_MAPS, MASKS, GROWING = "class maps at the declared threshold", "masks of the CRF", "seeds that grow in superpixels"
MASKS_AS_LABELS = {
    "segmenter.method": "pseudo_masks",
    "segmenter.maps": {"labels": "refinement", "regions": "none", "confidence": "none", "objects": "none"},
}
LADDER: dict[str, dict[str, Any]] = {  # what a segmenter can learn from, and the parameters that say so
    CLASS_MAPS: {"refinement.method": "none", **MASKS_AS_LABELS},
    MASKS: {"refinement.method": "crf", **MASKS_AS_LABELS},
    GROWING: {
        "refinement.method": "crf",
        "segmenter.method": "region_growing",
        "segmenter.maps": {"labels": "seeds", "regions": "superpixels", "confidence": "none", "objects": "none"},
    },
}
RUNGS: tuple[tuple[str, str, str], ...] = (  # what, in words, the figure's address, and the rung that has it; of all where empty
    ("class maps", "class_maps.miou", CLASS_MAPS),
    ("masks of the CRF", "masks.miou", MASKS),
    ("seeds", "seeds.miou", GROWING),
    ("trained on {}", "predictions.miou", ""),
    ("trained on {}, then a CRF", "predictions_crf.miou", ""),
)

FEATURELESS = {"superpixels.features": "none", "features.method": "none"}
SUPERPIXELS: dict[str, dict[str, Any]] = {  # methods with some 12 superpixels in a drawn image, and the parameters that say so
    "dino": {"superpixels.method": "dino"},
    "dino, highest degree first": {"superpixels.method": "dino", "superpixels.dino.first": "highest"},
    "ncut": {"superpixels.method": "ncut", "superpixels.ncut.count": 200},  # until the rest is all linked
    "merge": {"superpixels.method": "merge", "superpixels.merge.count": 12},
    "slic": {"superpixels.method": "slic", "superpixels.slic.region_size": 45, **FEATURELESS},
    "energy_seeds": {"superpixels.method": "energy_seeds", "superpixels.energy_seeds.count": 12, **FEATURELESS},
    "lsc": {"superpixels.method": "lsc", "superpixels.lsc.region_size": 60, **FEATURELESS},
    "felzenszwalb": {"superpixels.method": "felzenszwalb", "superpixels.felzenszwalb.scale": 600, **FEATURELESS},
}
ALONE = {"segmenter.light.foreground": 1, "segmenter.light.background": 1, "segmenter.maps.regions": "none"}  # nothing grows
LIGHT: dict[str, dict[str, Any]] = {  # what a light segmenter can be, and the parameters that say so
    "as in the recipe": {},
    "linear": {"segmenter.light.head.widths": []},
    "convolutions of 3 x 3": {"segmenter.light.head.kernel": 3, "segmenter.light.head.widths": [64]},
    "told where patches lie": {"segmenter.light.head.coordinates": True},
    "every cell weighs the same": {"segmenter.light.balanced": False},
    "absent classes may grow": {"segmenter.light.present_only": False},
    "nothing grows": ALONE,
    "trained on masks": {**ALONE, "segmenter.light.balanced": False, "segmenter.maps.labels": "refinement"},
}
OF_LIGHT: tuple[tuple[str, str], ...] = (
    ("predictions, mIoU", "predictions.miou"),
    ("after the CRF, mIoU", "predictions_crf.miou"),
    ("boundary mIoU", "predictions_crf.boundary_miou"),
)
SURE = {"seeds.superpixels": "none", "seeds.features": "none", "affinity.maps": {"labels": "seeds"}}  # what affinities learn from
WALKED = {"edges.affinity": "affinity", "refinement.edges": "edges"}
PSA = {"seeds.method": "psa", "affinity.method": "psa", "edges.method": "psa", "refinement.method": "psa", **SURE, **WALKED}
IRN = {"seeds.method": "irn", "affinity.method": "irn", "edges.method": "irn", "refinement.method": "irn", **SURE, **WALKED}
PSA_OF_MORE = {**PSA, "seeds.psa.preset": "own", "seeds.psa.strong_background": 8, "seeds.psa.weak_background": 24}
IRN_OF_MORE = {
    **IRN,
    "seeds.irn.preset": "own",
    "seeds.irn.foreground": 0.2,
    "seeds.irn.background": 0.1,
    "refinement.irn.preset": "own",
    "refinement.irn.threshold": 0.15,
}
ONE_STEP = {
    "refinement.superpixels": "superpixels",
    "refinement.psa.preset": "own",
    "refinement.psa.background_value": 24,
    "refinement.psa.walk": {"over": "superpixels", "radius": 5, "power": 30, "squarings": 0},
}
AFFINITIES: dict[str, dict[str, Any]] = {  # how class maps become masks, and the parameters that say so
    "class maps at the declared threshold": {"refinement.method": "none"},
    "CRF": {"refinement.method": "crf"},
    "PSA": PSA,
    "PSA, more labels": PSA_OF_MORE,
    "PSA, more labels, then a CRF": {**PSA_OF_MORE, "refinement.psa.crf.iterations": 10},
    "PSA, more labels, one step between superpixels": {**PSA_OF_MORE, **ONE_STEP},
    "PSA, one step between superpixels": {**PSA, **ONE_STEP},
    "IRN": IRN,
    "IRN, more labels": IRN_OF_MORE,
    "IRN, more labels, then a CRF": {**IRN_OF_MORE, "refinement.irn.crf.iterations": 10},
}
OF_AFFINITIES: tuple[tuple[str, str], ...] = (
    ("masks, mIoU", "masks.miou"),
    ("boundary mIoU", "masks.boundary_miou"),
    ("false positive rate", "masks.false_positive_rate"),
    ("false negative rate", "masks.false_negative_rate"),
    ("trained on them, mIoU", "predictions.miou"),
    ("then a CRF", "predictions_crf.miou"),
)
OF_DILATED = {"classifier.method": "masking", "cams.multiscale.over_scales": "largest"}
OF_STANDARD = {**OF_DILATED, "classifier.masking.rates": []}  # the same without dilated blocks
UNCORRECTED = {"adds_above": 1, "doubts_below": 0}
SALIENCY = {  # what a segmenter learns from that learns from saliency, with or without a classifier
    **OF_DILATED,
    "saliency.class_maps": "cams",
    "segmenter.method": "masking",
    "segmenter.maps": {"labels": "none", "regions": "none", "confidence": "none", "objects": "saliency"},
    "segmenter.classifier": "classifier",
    "evaluation.saliency": "saliency",
}
ALONE_OF_SALIENCY = {**SALIENCY, "segmenter.masking.attention": 0, "segmenter.classifier": "none"}
BY_TRUTH = {"saliency.correction": UNCORRECTED, "saliency.method": "files", "saliency.folder": str(TRUE_OBJECTS)}
MASKING: dict[str, dict[str, Any]] = {  # the dissertation's ablation, and what else can be made of the same classifier
    "saliency": {**ALONE_OF_SALIENCY, "saliency.correction": UNCORRECTED},
    "corrected saliency": ALONE_OF_SALIENCY,
    "saliency, standard classifier": {**SALIENCY, **OF_STANDARD, "saliency.correction": UNCORRECTED},
    "saliency, dilated classifier": {**SALIENCY, "saliency.correction": UNCORRECTED},
    "corrected saliency, dilated classifier": SALIENCY,
    "the same, 2 paths": {**SALIENCY, "segmenter.masking.paths": 2},
    "the same, 3 paths": {**SALIENCY, "segmenter.masking.paths": 3},
    "true saliency": {**ALONE_OF_SALIENCY, **BY_TRUTH},
    "true saliency, dilated classifier, 2 paths": {**SALIENCY, **BY_TRUTH, "segmenter.masking.paths": 2},
    MASKS: {**OF_DILATED, **LADDER[MASKS]},
    GROWING: {**OF_DILATED, **LADDER[GROWING]},
}
OF_MASKING: tuple[tuple[str, str], ...] = (
    ("objects, IoU", "saliency.object_iou"),
    ("unknown", "saliency.unknown"),
    ("predictions, mIoU", "predictions.miou"),
    ("after the CRF", "predictions_crf.miou"),
    ("boundary mIoU", "predictions.boundary_miou"),
    ("fish and cows", "predictions.iou.fish,cow"),
    ("other animals", "predictions.iou.lizard,bee,tiger,snail"),
)
PLAIN = {  # a classifier without all that is new in usage, of which neither segmenter nor predictions are made
    "classifier.method": "usage",
    "classifier.usage.temperature": "infinite",
    "classifier.usage.consistency": 0,
    "classifier.usage.adjustment.largest": 0,
    "evaluation.predictions": "none",
}
TRANSFORMER = {  # the transformer that comes with the drawn world, for views of half the size, because its patches are small
    "classifier.usage.backbone": {
        "network": "test_vit",
        "output_stride": 4,
        "dilated": True,
        "initial_weights": {
            "source": "file",
            "file": "data/weights/shapes_vit.safetensors",
            "sha256": "500b6b4b5417b79852f7a861c606ff482d4034adab4315ebf01fafa1a6272073",
        },
        "frozen_norms": "none",
        "frozen_stages": 0,
    },
    "classifier.usage.augmentation.crop": 96,
    "classifier.usage.augmentation.smallest_scale": 0.4,
    "classifier.usage.augmentation.largest_scale": 0.7,
    "classifier.usage.optimiser.kind": "adamw",
    "classifier.usage.optimiser.learning_rate": 1e-3,
    "classifier.usage.optimiser.weight_decay": 0.05,
    "classifier.usage.optimiser.decayed": "matrices",
    "classifier.usage.optimiser.decay": "cosine",
    "cams.multiscale.scales": [0.5],
}
TEMPERATURES = (50, 10, 5, 2, 1, 0.5, 0.2)
BEST_OF_USAGE = {"convolutional": 10, "transformer": 0.5}  # as inferred: large, and small


def list_usages(kind: str, network: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Classifiers of one kind of network: plain, by temperature, then with what keeps class maps whole."""
    plain = {**PLAIN, **network}
    warm = {**plain, "classifier.usage.temperature": BEST_OF_USAGE[kind]}
    whole = {**warm, "classifier.usage.consistency": 0.1}
    lively = {**whole, "classifier.usage.adjustment.largest": 0.3}
    unsharpened = {**plain, "classifier.usage.consistency": 0.1, "classifier.usage.adjustment.largest": 0.3}
    return {
        f"{kind}, plain": plain,
        f"{kind}, no temperature, all else": unsharpened,
        **{f"{kind}, temperature {one}": {**plain, "classifier.usage.temperature": one} for one in TEMPERATURES},
        f"{kind}, consistency": whole,
        f"{kind}, consistency, features left out": {**lively, "classifier.usage.adjustment.by_status": False},
        f"{kind}, consistency, features left out by status": lively,
        f"{kind}, the same, teacher": {**lively, "classifier.usage.kept": "teacher"},
    }


USAGE = {**list_usages("convolutional", {}), **list_usages("transformer", TRANSFORMER)}
OF_USAGE: tuple[tuple[str, str], ...] = (
    ("classifier, average precision", "classifier.mean_average_precision"),
    ("class maps, mIoU", "class_maps.miou"),
    ("at the best threshold", "class_maps.oracle.miou"),
    ("false positive rate", "class_maps.false_positive_rate"),
    ("false negative rate", "class_maps.false_negative_rate"),
    ("masks of the CRF", "masks.miou"),
    ("predictions", "predictions.miou"),
    ("after the CRF", "predictions_crf.miou"),
)
PLAIN_STRUCTURE = {  # ssc without all that is new in it, of which neither segmenter nor predictions are made
    "classifier.method": "ssc",
    "classifier.ssc.suppression": {"share": 1, "also_behind": 0},
    "classifier.ssc.reconstruction.weight": 0,
    "classifier.ssc.modulation.weight": 0,
    "evaluation.predictions": "none",
}
SUPPRESSED = {**PLAIN_STRUCTURE, "classifier.ssc.suppression": {"share": 0.55, "also_behind": 2}}
RECONSTRUCTED = {**SUPPRESSED, "classifier.ssc.reconstruction.weight": 1}
MODULATED = {"classifier.ssc.modulation.weight": 1, "classifier.maps": {"labels": "none", "regions": "superpixels", "objects": "none"}}
STRUCTURE: dict[str, dict[str, Any]] = {  # what keeps class maps to objects, and the parameters that say so
    "plain": PLAIN_STRUCTURE,
    "suppression": SUPPRESSED,
    "suppression, reconstruction": RECONSTRUCTED,
    "suppression, modulation": {**SUPPRESSED, **MODULATED},
    "all three": {**RECONSTRUCTED, **MODULATED},
    **{f"all three, by {name}": {**RECONSTRUCTED, **MODULATED, **SUPERPIXELS[name]} for name in ("slic", "felzenszwalb")},
}
OF_STRUCTURE: tuple[tuple[str, str], ...] = (
    ("class maps, mIoU", "class_maps.miou"),
    ("at the best threshold", "class_maps.oracle.miou"),
    ("boundary mIoU", "class_maps.boundary_miou"),
    ("false positive rate", "class_maps.false_positive_rate"),
    ("false negative rate", "class_maps.false_negative_rate"),
    ("masks", "masks.miou"),
    ("seeds, precision", "seeds.precision"),
    ("predictions", "predictions.miou"),
    ("after the CRF", "predictions_crf.miou"),
)
OF_STRUCTURED = {**STRUCTURE["all three"], **IRN_OF_MORE, "evaluation.predictions": "predictions"}  # class maps of ssc, then IRN
SURER = {"refinement.irn.confidence": "margin_rank"}
TRUSTED = {"labels": "refinement", "regions": "none", "confidence": "refinement", "objects": "none"}
TWO = {**OF_STRUCTURED, "segmenter.method": "cotraining", "segmenter.cotraining.training.epochs": 16}
ONE = {**OF_STRUCTURED, "segmenter.method": "pseudo_masks", "segmenter.pseudo_masks.training.epochs": 16}
TRUST: dict[str, dict[str, Any]] = {  # what of a mask is learned, and by how many networks
    "all, one network": {**ONE, "segmenter.maps": {**TRUSTED, "confidence": "none"}, "segmenter.pseudo_masks.least_confidence": 0},
    "the surer half, one network": {**ONE, **SURER, "segmenter.maps": TRUSTED, "segmenter.pseudo_masks.least_confidence": 0.5},
    "all, two networks": {**TWO, "segmenter.maps": {**TRUSTED, "confidence": "none"}, "segmenter.cotraining.least_confidence": 0},
    "the surer half, two networks": {**TWO, **SURER, "segmenter.maps": TRUSTED, "segmenter.cotraining.least_confidence": 0.5},
}
OF_TRUST: tuple[tuple[str, str], ...] = (
    ("class maps, mIoU", "class_maps.miou"),
    ("masks of IRN", "masks.miou"),
    ("predictions", "predictions.miou"),
    ("after the CRF", "predictions_crf.miou"),
    ("boundary mIoU", "predictions.boundary_miou"),
)
PLAIN_GROUNDS = {  # fbr without all that is new in it, of which neither segmenter nor predictions are made
    "classifier.method": "fbr",
    "classifier.fbr.pooled_above": "none",
    "classifier.fbr.contrast.background": 0,
    "classifier.fbr.contrast.foreground": 0,
    "classifier.fbr.contrast.apart": 0,
    "classifier.fbr.segmentation.weight": 0,
    "evaluation.predictions": "none",
}
POOLED = {**PLAIN_GROUNDS, "classifier.fbr.pooled_above": 0.1}
AGAINST_GROUNDS = {**POOLED, "classifier.fbr.contrast.background": 0.05, "classifier.fbr.contrast.apart": 0.1}
OTHER_CLASSES = {"classifier.fbr.contrast.foreground": 0.1}
TOLD = {"classifier.fbr.segmentation.weight": 0.1}  # where background is
GROUNDS: dict[str, dict[str, Any]] = {  # what a classifier learns of grounds, and the parameters that say so
    "plain": PLAIN_GROUNDS,
    "thresholded pooling": POOLED,
    "against backgrounds": AGAINST_GROUNDS,
    "against other classes": {**POOLED, **OTHER_CLASSES},
    "both": {**AGAINST_GROUNDS, **OTHER_CLASSES},
    "both, and told where background is": {**AGAINST_GROUNDS, **OTHER_CLASSES, **TOLD},
    "as the released code teaches": {**POOLED, **OTHER_CLASSES, "classifier.fbr.contrast.apart": 0.1, **TOLD},
}
OF_GROUNDS: tuple[tuple[str, str], ...] = (
    ("class maps, mIoU", "class_maps.miou"),
    ("at the best threshold", "class_maps.oracle.miou"),
    ("false positive rate", "class_maps.false_positive_rate"),
    ("false negative rate", "class_maps.false_negative_rate"),
    ("of fish, false positives", "class_maps.false_positive_rates.fish"),
    ("of fish, IoU", "class_maps.iou.fish"),
    ("of cow and sheep, false positives", "class_maps.false_positive_rates.cow,sheep"),
    ("of cow and sheep, IoU", "class_maps.iou.cow,sheep"),
    ("masks of the CRF", "masks.miou"),
    ("masks of fish, IoU", "masks.iou.fish"),
    ("predictions", "predictions.miou"),
    ("after the CRF", "predictions_crf.miou"),
)
BUDGETS = {  # images that somebody corrects: their share, and how they are chosen
    f"{100 * share:g} %, {words}": (share, by)
    for words, by in (("at random", "random"), ("where seeds and masks disagree", "seeds/masks"))
    for share in (0.01, 0.05, 0.2)
}
CORRECTED: dict[str, dict[str, Any]] = {"none": {}, **{name: {"seeds.corrections": f"{name}.jsonl"} for name in BUDGETS}}
OF_CORRECTED: tuple[tuple[str, str], ...] = (
    ("images corrected", "seeds.corrected.images"),
    ("seeds, coverage", "seeds.coverage"),
    ("seeds, precision", "seeds.precision"),
    ("seeds of images that are corrected, mIoU", "seeds.corrected.miou"),
    ("predictions", "predictions.miou"),
    ("after the CRF", "predictions_crf.miou"),
)
OF_SUPERPIXELS: tuple[tuple[str, str], ...] = (  # what, in words, and the figure's address
    ("count", "superpixels.mean_count"),
    ("achievable accuracy", "superpixels.achievable_segmentation_accuracy"),
    ("undersegmentation error", "superpixels.undersegmentation_error"),
    ("seeds, coverage", "seeds.coverage"),
    ("seeds, precision", "seeds.precision"),
    ("predictions, mIoU", "predictions.miou"),
    ("after the CRF, mIoU", "predictions_crf.miou"),
)


def rows(reports: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str, list[float | None]]]:
    """What is shown, the images that it is of, and its figure in every report."""
    for words, kind, address in SHOWN:
        values = [figure(report.get(kind, {}), address) for report in reports]
        if any(value is not None for value in values):
            yield words, str(reports[0][kind]["images"]), values


def markdown(what: str, heads: Sequence[str], rows: Iterable[tuple[str, str, list[float | None]]], *, spread: bool) -> str:
    """Figures in Markdown, a column for every run, and with `spread` their mean and standard deviation.

    rows: what is shown, the images that it is of, and its figure in every run.
    """
    lines = [[what, "images", *heads, *(["mean ± spread"] if spread else [])]]
    lines.append(["---"] * len(lines[0]))
    for words, images, values in rows:
        digits = 1 if "count" in words else 3
        cells = ["" if value is None else f"{value:.{digits}f}" for value in values]
        known = [value for value in values if value is not None]
        lines.append([words, images, *cells, *([f"{np.mean(known):.{digits}f} ± {np.std(known, ddof=1):.{digits}f}"] if spread else [])])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def rungs(reports: Mapping[str, Sequence[Mapping[str, Any]]]) -> Iterator[tuple[str, str, list[float | None]]]:
    """The mIoU of what can be learned from, and of what was learned from it.

    reports: for every rung, one of each run.
    """
    for words, address, owner in RUNGS:
        for rung in [owner] if owner else reports:
            images = str(reports[rung][0][address.partition(".")[0]]["images"])
            yield words.format(rung), images, [figure(report, address) for report in reports[rung]]


def run(place: Place, params: dict[str, Any], chosen: Sequence[str], *, name: str) -> dict[str, Any]:
    """The figures of a run, of which it is said how long it took."""
    place.prepare(params)
    started = time.perf_counter()
    place.run(chosen)
    print(f"{name}: {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
    return place.figures()


def compared(place: Place, source: Mapping[str, Any], seeds: Sequence[int], sweep: Sequence[str], chosen: Sequence[str]) -> str:
    """The table of several seeds or of several values."""
    reports, heads = [], []
    address, *values = sweep
    for given in values or seeds:
        params = copy.deepcopy(dict(source))
        seeded(params, seeds[0] if values else int(given))
        if values:
            changed(params, address, YAML(typ="safe").load(str(given)))
        heads.append(str(given) if values else f"seed {given}")
        reports.append(run(place, params, chosen, name=heads[-1]))
    return markdown("what", heads, rows(reports), spread=not values and len(reports) > 1)


def climbed(place: Place, source: Mapping[str, Any], seeds: Sequence[int], chosen: Sequence[str]) -> str:
    """The table of everything that a segmenter can learn from."""
    reports: dict[str, list[Mapping[str, Any]]] = {rung: [] for rung in LADDER}
    for seed in seeds:
        for rung, changes in LADDER.items():
            params = copy.deepcopy(dict(source))
            params["segmenter"]["pseudo_masks"] = find_block(params, "segmenter.pseudo_masks", folder=CHECKOUT / "recipes")
            declared = figure(params, "evaluation.standard.threshold")
            for address, value in {**changes, "refinement.none.threshold": declared}.items():
                changed(params, address, value)
            seeded(params, seed)
            reports[rung].append(run(place, params, chosen, name=f"seed {seed}, {rung}"))
    return markdown("mIoU", [f"seed {seed}" for seed in seeds], rungs(reports), spread=len(seeds) > 1)


def compare_variants(
    place: Place,
    source: Mapping[str, Any],
    seeds: Sequence[int],
    variants: Mapping[str, Mapping[str, Any]],
    figures: Sequence[tuple[str, str]],
    chosen: Sequence[str],
) -> str:
    """A line for every variant, with the mean and spread of its figures over seeds.

    variants: by name, the parameters that make it; figures: what, in words, and the figure's address.
    """
    found: dict[str, list[Mapping[str, Any]]] = {}
    for name, changes in variants.items():
        for seed in seeds:
            params = copy.deepcopy(dict(source))
            for address, value in changes.items():
                family, _, setting = address.partition(".")
                if setting == "method":
                    params[family][value] = find_block(params, f"{family}.{value}", folder=CHECKOUT / "recipes")
                changed(params, address, value)
            seeded(params, seed)
            found.setdefault(name, []).append(run(place, params, chosen, name=f"seed {seed}, {name}"))
    return tabulate(found, figures)


def tabulate(reports: Mapping[str, Sequence[Mapping[str, Any]]], figures: Sequence[tuple[str, str]]) -> str:
    """Mean and spread over several reports of each name; without the figures that no report has."""
    heads, columns = [""], [list(reports)]
    for words, address in figures:
        found = [np.array([figure(one, address) for one in each], np.float64) for each in reports.values()]
        if not np.isnan(np.concatenate(found)).all():
            heads.append(words)
            columns.append([with_spread(one, digits=1 if "count" in words else 3) for one in found])
    return "\n".join("| " + " | ".join(line) + " |" for line in (heads, ["---"] * len(heads), *zip(*columns, strict=True)))


def write_true_objects(place: Place, source: Mapping[str, Any]) -> None:
    """Write where things truly are, as a detector that is always right would: for a bound that no stage could reach without the truth."""
    place.prepare(copy.deepcopy(dict(source)))
    place.run(["dataset"])
    with contextlib.chdir(place.folder):
        data = open_artifact("dataset")
        truth, folder = Truth.of_images(Images(Params.read().raw_root(), data)), TRUE_OBJECTS
        folder.mkdir(exist_ok=True)
        for image_id in data.labelled:
            labels = truth[image_id]
            objects = np.zeros(data.size(image_id), np.uint8) if labels is None else 255 * ((labels > 0) & (labels != IGNORE))
            (folder / f"{image_id}.png").parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / f"{image_id}.png"), objects.astype(np.uint8))


def find_saliency(source: Mapping[str, Any], changes: Mapping[str, Any]) -> Changes:
    """The same changes, with saliency found as they say, else as the parameters do, else without a detector."""
    if "saliency.class_maps" not in changes:
        return dict(changes)
    own = source["saliency"]["method"]
    method = changes.get("saliency.method", "unsupervised" if own == "none" else own)
    corrected = changes.get("saliency.correction") != UNCORRECTED
    reads = ("superpixels", "features") if method == "unsupervised" else ()
    found = {"saliency.method": method, **{f"saliency.{slot}": slot for slot in reads}}
    named = {address.replace("saliency.correction", f"saliency.{method}.correction"): value for address, value in changes.items()}
    return {**found, **named, "saliency.class_maps": "cams" if corrected else "none"}


def prepare_masking(place: Place, source: Mapping[str, Any], variants: Mapping[str, Changes]) -> dict[str, Changes]:
    """Parameters of what learns from saliency; true maps are written where they are wanted."""
    prepared = {name: find_saliency(source, changes) for name, changes in variants.items()}
    if any(changes.get("saliency.folder") == str(TRUE_OBJECTS) for changes in prepared.values()):
        write_true_objects(place, source)
    return prepared


def prepare_affinities(_: Place, source: dict[str, Any], variants: Mapping[str, Changes]) -> dict[str, Changes]:
    """Parameters of what learns from masks, with the segmenter that the parameters have."""
    source["refinement"]["none"] = {"threshold": figure(source, "evaluation.standard.threshold")}
    learns = LIGHT["trained on masks"] if source["segmenter"]["method"] == "light" else MASKS_AS_LABELS
    prepared = {name: {**learns, **changes} for name, changes in variants.items()}
    for changes in prepared.values():
        if method := changes.get("affinity.method"):
            block = find_block(source, f"affinity.{method}", folder=CHECKOUT / "recipes")
            begins = block["backbone"]["initial_weights"]["source"]
            changes["affinity.start"] = begins if begins == "classifier" else "none"
    return prepared


def prepare_usage(_: Place, source: dict[str, Any], variants: Mapping[str, Changes]) -> dict[str, Changes]:
    """Parameters with the network that they have, else with one for the drawn world."""
    own = set(TRANSFORMER) if "usage" in source["classifier"] else set()
    return {name: {address: value for address, value in changes.items() if address not in own} for name, changes in variants.items()}


def prepare_corrected(place: Place, source: dict[str, Any], variants: Mapping[str, Changes]) -> dict[str, Changes]:
    """Write corrections of images that are chosen by what a run in that folder has left, and say how many clicks they took."""
    place.prepare(copy.deepcopy(source))
    place.run(["dataset"])
    data, root = place.folder / "data", place.folder / source["dataset"]["root"]
    for name in variants:
        if name in BUDGETS:
            share, by = BUDGETS[name]
            images = choose(data, source["segmenter"]["split"], share, by=by)
            things, clicks = correct(data, root, images, place.folder / f"{name}.jsonl")
            print(f"{name}: {len(images)} images, {things} things, {clicks} clicks", file=sys.stderr, flush=True)
    return dict(variants)


def prepare_nothing(_: Place, __: dict[str, Any], variants: Mapping[str, Changes]) -> dict[str, Changes]:
    """Parameters as they are."""
    return dict(variants)


@dataclass(frozen=True)
class Table:
    """Ways to do something that are compared."""

    help: str
    variants: Mapping[str, Changes]  # parameters by address, of every way
    figures: Sequence[tuple[str, str]]  # what, in words, and its address in an evaluation
    prepare: Callable[[Place, dict[str, Any], Mapping[str, Changes]], dict[str, Changes]] = prepare_nothing


TABLES = {
    "superpixels": Table("grow in superpixels of these methods", SUPERPIXELS, OF_SUPERPIXELS),
    "affinities": Table("learn from masks that are made in these ways", AFFINITIES, OF_AFFINITIES, prepare_affinities),
    "masking": Table("learn from saliency in these ways", MASKING, OF_MASKING, prepare_masking),
    "usage": Table("classifiers with these temperatures, teachers and networks", USAGE, OF_USAGE, prepare_usage),
    "structure": Table("classifiers whose maps keep to the structure of images in these ways", STRUCTURE, OF_STRUCTURE),
    "trust": Table("learn of masks this much, with this many networks", TRUST, OF_TRUST, prepare_affinities),
    "grounds": Table("classifiers that learn this of the grounds on which things stand", GROUNDS, OF_GROUNDS),
    "corrected": Table("seeds of which somebody corrects so many; after a whole run", CORRECTED, OF_CORRECTED, prepare_corrected),
    "light": Table("light segmenters of these kinds; see --recipe", LIGHT, OF_LIGHT),
}


def main() -> None:
    """Run and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sources = parser.add_mutually_exclusive_group()
    sources.add_argument("--params", type=Path, default=CHECKOUT / "params.yaml", help="what to run")
    sources.add_argument("--recipe", help="a recipe to run instead")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument("--sweep", nargs="+", metavar=("PARAMETER", "VALUE"), help="values of a parameter, with the first seed")
    kinds.add_argument("--ladder", action="store_true", help="train on class maps, on masks, and by region growing")
    for name, table in TABLES.items():
        kinds.add_argument(f"--{name}", nargs="*", choices=list(table.variants), help=f"{table.help}, or of all")
    parser.add_argument("--change", nargs=2, action="append", default=[], metavar=("PARAMETER", "VALUE"), help="another value in all runs")
    parser.add_argument("--stages", nargs="+", default=[], help="run these alone, where the others have been run")
    parser.add_argument("--folder", type=Path, default=CHECKOUT / "build" / "results", help="where to run")
    parser.add_argument("--write", default="", metavar="NAME", help="put the table between such marks in a page of docs/results")
    options = parser.parse_args()
    if options.write:
        find_place(options.write)
    place = Place(options.folder, {address: YAML(typ="safe").load(value) for address, value in options.change})
    source = read_recipe(options.recipe or str(options.params.resolve().with_suffix("")), folder=CHECKOUT / "recipes").plain()
    if options.ladder:
        text = climbed(place, source, options.seeds, options.stages or stages())
    elif asked := [name for name in TABLES if getattr(options, name) is not None]:
        table = TABLES[asked[0]]
        variants = table.prepare(place, source, {name: table.variants[name] for name in getattr(options, asked[0]) or table.variants})
        text = compare_variants(place, source, options.seeds, variants, table.figures, options.stages or stages())
    else:
        text = compared(place, source, options.seeds, options.sweep or [""], options.stages or stages())
    print(text)
    if options.write:
        write_between(options.write, text)


if __name__ == "__main__":
    main()
