"""What must hold of every image of an artifact."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt

from seedbed.errors import join_names
from seedbed.reads import cut
from seedbed.run.shards import row_digest
from seedbed.scoring.judgement import REFINED
from seedbed.tools.examined import MOST_LISTED, Row, UnreadableError, find_non_finite, is_float
from seedbed.types import BACKGROUND, IGNORE, OBJECT, PARTS, cells

SHA256 = re.compile("[0-9a-f]{64}")


def content_digest(row: Row) -> str:
    """The digest that an image should have: of everything else that the artifact holds of it; see `shards.Work`."""
    names = [name for name, spec in row.examined.arrays.items() if spec.per_image and name not in ("ids", "digest")]
    return row_digest({name: row[name] for name in names})


def _check_known(row: Row) -> Iterator[str]:
    if row.data is not None and row.image_id not in row.data:
        yield "not an image of data/dataset.zarr"


def _check_size(row: Row) -> Iterator[str]:
    expected, found = row.known.size(row.image_id), tuple(int(one) for one in row["size"])
    if found != expected:
        yield f"size {_write_size(found)}, but {_write_size(expected)} in data/dataset.zarr"


def _check_digest(row: Row) -> Iterator[str]:
    if "digest" in row.examined.arrays and str(row["digest"]) != content_digest(row):
        yield "digest does not match the content"


def _check_numbers(row: Row) -> Iterator[str]:
    for name, spec in row.examined.arrays.items():
        if spec.per_image and is_float(spec.dtype):
            with suppress(UnreadableError):
                yield from find_non_finite(name, row.padded(name))


def _check_padding(row: Row) -> Iterator[str]:
    for name, spec in row.examined.arrays.items():
        if spec.extent:
            with suppress(UnreadableError):
                outside = row.padded(name) != spec.fill
                cut(spec, outside, row.padded(spec.extent))[...] = False
                if outside.any():
                    yield f"{name}: {int(outside.sum())} padding values are not {spec.fill}"


def _check_index(row: Row) -> Iterator[str]:
    """Check an image's row of the data set."""
    size, most = row["size"], row.examined.values("max_size")
    if (size > most).any():
        yield f"{_write_size(size)} pixels, but max_size is {_write_size(most)}"
    if not row["labels"][BACKGROUND]:
        yield "labels: background is missing"
    if not str(row["file"]):
        yield "file: empty"
    if not str(row["problem"]) and not SHA256.fullmatch(str(row["image_digest"])):
        yield f"image_digest is {str(row['image_digest'])!r}, not a SHA-256"
    if not str(row["problem"]) and (size < 1).any():
        yield f"{_write_size(size)} pixels"


def _check_patch_grid(row: Row) -> Iterator[str]:
    edge = int(row.examined.values("patch_size"))
    if edge > 0:
        size, found = (tuple(map(int, row[name])) for name in ("size", "patch_grid"))
        expected = cells((size[0], size[1]), edge)
        if found != expected:
            needed = f"{_write_size(expected)} patches of {edge} pixels to cover {_write_size(size)}"
            yield f"patch_grid: {_write_size(found)}, but it takes {needed}"


def _check_regions(row: Row) -> Iterator[str]:
    regions, count = row["regions"].ravel(), max(0, int(row["region_count"]))
    if (regions < 0).any():
        yield "regions: some pixels belong to no region"
    used = np.zeros(count, bool)
    used[regions[(regions >= 0) & (regions < count)]] = True
    if not used.all():
        yield f"regions: no pixel is in {_list_some(np.flatnonzero(~used))} of the {count} that region_count declares"
    if (regions >= count).any():
        yield f"regions: numbers go up to {regions.max()}, but region_count is {count}"


def _check_class_maps(row: Row) -> Iterator[str]:
    maps, present = row["maps"], row["present"]
    if ((maps < 0) | (maps > 1)).any():
        yield f"maps: values from {np.nanmin(maps):g} to {np.nanmax(maps):g}, not within [0, 1]"
    filled = np.flatnonzero([one.any() for one in maps])
    if not present[filled].all():
        yield f"maps: not zero for {_list_some(filled[~present[filled]])}, which is not present"
    expected = row.classes & (np.arange(len(present)) != BACKGROUND)
    if (present & ~expected).any():
        yield f"present: {row.name_classes(np.flatnonzero(present & ~expected))}, which the image does not contain"
    if (expected & ~present).any():
        yield f"present: lacks {row.name_classes(np.flatnonzero(expected & ~present))}, which the image contains"


def _check_any_label(row: Row) -> Iterator[str]:
    if (row["labels"] == IGNORE).all():
        yield f"labels: all pixels are {IGNORE}"


def _check_labels(row: Row) -> Iterator[str]:
    counts = np.bincount(row["labels"].ravel())
    for value in np.flatnonzero(counts[:IGNORE]).tolist():
        count = counts[value]
        if value >= len(row.classes):
            yield f"labels: {count} pixels of {value}, which is not a class"
        elif not row.classes[value]:
            yield f"labels: {count} pixels of {row.name_classes([value])}, which the image does not contain"


def _check_confidence(row: Row) -> Iterator[str]:
    count = np.count_nonzero(row["confidence"][row["labels"] == IGNORE])
    if count:
        yield f"confidence: {count} unlabelled pixels with a confidence above 0"


def _check_objects(row: Row) -> Iterator[str]:
    if (odd := np.setdiff1d(row["objects"], (BACKGROUND, OBJECT, IGNORE))).size:
        yield f"objects: {_list_some(odd)}, which is neither {BACKGROUND}, {OBJECT} nor {IGNORE}"


def _check_instances(row: Row) -> Iterator[str]:
    count, things = int(row["thing_count"]), row["things"]
    classes, scores = row["classes"], row["scores"]
    if not 0 <= count <= len(classes):
        yield f"thing_count is {count}, but an image has at most {len(classes)}"
        return
    found = np.unique(things[things > 0])
    if missing := sorted({*range(1, 1 + count)} - {*found.tolist()}):
        yield f"things: no pixel is of {_list_some(np.array(missing))} of the {count} that thing_count declares"
    if len(found) and found[-1] > count:
        yield f"things: numbers go up to {found[-1]}, but thing_count is {count}"
    if classes[count:].any() or scores[count:].any():
        yield f"classes and scores: of more things than the {count} that thing_count declares"
    named, known = np.unique(classes[:count]), len(row.classes)
    if (odd := named[(named == BACKGROUND) | (named >= known)]).size:
        yield f"classes: {_list_some(odd)}, which no thing can be of"
    named = named[(named != BACKGROUND) & (named < known)]
    if (absent := named[~row.classes[named]]).size:
        yield f"classes: {row.name_classes(absent)}, which the image does not contain"
    if ((scores < 0) | (scores > 1)).any():
        yield f"scores: values from {np.nanmin(scores):g} to {np.nanmax(scores):g}, not within [0, 1]"
    if (np.diff(scores[:count]) > 0).any():
        yield "scores: not descending"


def _check_probabilities(row: Row) -> Iterator[str]:
    total = row["probabilities"].sum(axis=0, dtype=np.int64)
    rounding = len(row["probabilities"]) / 2
    if (abs(total - PARTS) > rounding).any():
        yield f"probabilities: sums over the classes range from {total.min()} to {total.max()}; expected {PARTS} within {rounding:g}"


def _check_counts(row: Row) -> Iterator[str]:
    """Check the counts of the evaluation."""
    pixels = int(np.prod(row["size"], dtype=np.int64))
    for name, spec in row.examined.arrays.items():
        if spec.per_image and np.issubdtype(spec.dtype, np.integer) and (row[name] < 0).any():
            yield f"{name}: negative counts"
    for name in ("boundary_overlap", "sweep"):
        if (row[name][..., 0] > row[name][..., 1]).any():
            yield f"{name}: an intersection larger than the union"
    if (row["region_boundary"][::2] > row["region_boundary"][1::2]).any():
        yield "region_boundary: more boundary pixels are matched than exist"
    for kind, counted, judged in zip(row.examined.values("kinds"), row["confusion"].sum(axis=(1, 2)), row["judged"], strict=True):
        if counted > pixels * (judged and row["with_truth"]):
            described = f"{_write_size(row['size'])}, {_describe_judged(judged, row['with_truth'])}"
            yield f"confusion: {counted} pixels of {kind} in an image of {described}"
    if (counted := row["objects"].sum()) > pixels * (row["saliency_judged"] and row["with_truth"]):
        yield f"objects: {counted} pixels of saliency that is not there, or of more than the image"
    if any(row[name][row["instance_class"] == 0].any() for name in ("instance_score", "instance_found", "instance_uncounted")):
        yield "instance_class: 0 of a thing that has a score or was matched"
    for name in ("miou", "boundary_miou"):
        if ((row[name] > 1) | ((row[name] < 0) & (row[name] != -1))).any():
            yield f"{name}: a figure that is neither a share nor -1"
    if ((row["disagreement"] < 0) | (row["disagreement"] > 1)).any():
        yield "disagreement: a figure that is no share"
    if (row["by_size"] < 0).any() or (row["by_size"][..., 1] > row["by_size"][..., 0]).any():
        yield "by_size: a sum of IoU that so many things cannot have"
    if not row["with_truth"] and any(
        row[name].any() for name in ("boundary_overlap", "by_size", "sweep", "region_overlap", "region_boundary")
    ):
        yield "counts that need a truth, but the image has none"


def _check_refined(row: Row) -> Iterator[str]:
    """Check labels after the CRF: every pixel of a predicted image has one, and no pixel of another image."""
    labels, classes = row["refined"], row["confusion"].shape[1]
    predicted = bool(dict(zip(row.examined.values("kinds").tolist(), row["judged"], strict=True)).get(REFINED, False))
    if count := np.count_nonzero((labels >= classes) & (labels != IGNORE)):
        yield f"refined: {count} pixels with a value that is not a class"
    if predicted and (labels == IGNORE).any():
        yield f"refined: {np.count_nonzero(labels == IGNORE)} pixels without a label"
    if not predicted and (labels != IGNORE).any():
        yield "refined: labels, but the image is not predicted"


def _describe_judged(judged: Any, with_truth: Any) -> str:
    return "which has no labels of that kind" if not judged else "with a truth" if with_truth else "without a truth"


ImageCheck = Callable[[Row], Iterator[str]]
OF_ANY_IMAGE: tuple[ImageCheck, ...] = (_check_known, _check_size, _check_digest, _check_numbers, _check_padding)
OF_AN_IMAGE: Mapping[str, tuple[ImageCheck, ...]] = {
    "dataset": (_check_index,),
    "features": (_check_patch_grid,),
    "superpixels": (_check_regions,),
    "cams": (_check_class_maps,),
    "seeds": (_check_any_label, _check_labels),
    "refinement": (_check_any_label, _check_labels, _check_confidence),
    "instances": (_check_instances,),
    "saliency": (_check_objects,),
    "predictions": (_check_probabilities,),
    "evaluation": (_check_counts, _check_refined),
}


def check_image(row: Row) -> list[str]:
    """List everything that is wrong with an image."""
    found: list[str] = []
    for check in (*OF_ANY_IMAGE, *OF_AN_IMAGE.get(row.examined.artifact.kind, ())):
        try:
            for problem in check(row):
                found.append(problem)
        except UnreadableError:
            continue  # the damage is a finding of its own
        except (RuntimeError, ValueError, OSError) as error:  # zarr and its codecs have no error type of their own
            found.append(f"cannot be read: {error}")
    return list(dict.fromkeys(found))


def _list_some(numbers: npt.NDArray[Any]) -> str:
    return join_names(str(one) for one in numbers[:MOST_LISTED]) + (
        f" and {len(numbers) - MOST_LISTED} more" if len(numbers) > MOST_LISTED else ""
    )


def _write_size(size: Iterable[Any]) -> str:
    return " x ".join(str(int(one)) for one in size)
