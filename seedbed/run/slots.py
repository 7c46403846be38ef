"""Slots: settings that name the artifacts which a training reads, because DVC must know them before any code of ours runs.

Whether they fit the selected method is known from params.yaml alone, so it is said before anything runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from seedbed.errors import ParamsError, join_names, nearest
from seedbed.store.artifact import find_kind
from seedbed.store.schemas import NONE, SCHEMAS

CLASSIFIER = "classifier"
TAKES_ALL = "pretraining"  # takes all images where no split is named
NEED_LABELS = ("classifier", "segmenter", "evaluation")  # of their split, only images with labels are of use to these


def check_maps(stage: str, wanted: Sequence[str], slots: Mapping[str, str]) -> None:
    """Refuse slots of maps that do not fit.

    wanted: arrays that the method learns along; slots: where params.yaml says they are.
    """
    for name in slots:
        where = f"params.yaml: {stage}.maps.{name}"
        if not _holders(name):
            raise ParamsError(where, found="a map that no stage makes", expected=join_names(wanted), do="correct it")
        if name not in wanted and slots[name] != NONE:
            expected = f"{NONE!r}, because the selected method reads {join_names(wanted)}"
            raise ParamsError(where, found=repr(slots[name]), expected=expected, do="correct it")
    for name in wanted:
        holders = _holders(name)
        if name not in slots or find_kind(slots[name]) not in holders:
            found = _describe(slots[name]) if name in slots else "nothing"
            expected = f"an artifact with `{name}`: {join_names(holders)}"
            raise ParamsError(f"params.yaml: {stage}.maps.{name}", found=found, expected=expected, do="correct it")
    if "confidence" in wanted and slots["confidence"] != slots["labels"]:
        raise ParamsError(
            f"params.yaml: {stage}.maps.confidence",
            found=repr(slots["confidence"]),
            expected=f"{slots['labels']!r}, because it is that of other labels",
            do="correct one of the two",
        )


def check_start(stage: str, source: str, start: str) -> None:
    """Refuse a slot that does not fit where initial weights come from.

    source: of the initial weights; start: the artifact that params.yaml names.
    """
    wanted = CLASSIFIER if source == CLASSIFIER else NONE
    if find_kind(start) != wanted:
        raise ParamsError(
            f"params.yaml: {stage}.start",
            found=_describe(start),
            expected=f"{wanted!r}, because initial_weights.source is {source}",
            do="correct one of the two",
        )


def check_features(superpixels: str, *, needed: bool, features: str) -> None:
    """Refuse superpixels that need features where there are none.

    superpixels, features: names of the methods; needed: whether the former needs the latter.
    """
    if needed and features == NONE:
        raise ParamsError(
            "params.yaml: features.method",
            found=repr(features),
            expected=f"one that describes images, because superpixels.{superpixels} needs features",
            do="select one, or superpixels that need none",
        )


def wrong_splits(named: Mapping[str, str], labelled: Mapping[str, bool]) -> Iterator[ParamsError]:
    """What is wrong with settings that name splits.

    named: by stage; labelled: of every split, whether some of its images have labels.
    """
    for stage, split in named.items():
        where = f"params.yaml: {stage}.split"
        if split not in labelled and (split or stage != TAKES_ALL):
            expected = f"one of: {join_names(sorted(labelled))}{nearest(split, labelled)}"
            yield ParamsError(
                where, found=f"{split!r}, to which no image belongs", expected=expected, do="correct it, or let some belong to it"
            )
        elif stage in NEED_LABELS and not labelled[split]:
            yield ParamsError(
                where, found=f"{split!r}, of which no image has labels", expected="some with labels", do="correct it, or label some images"
            )


def _describe(name: str) -> str:
    """What a slot names, with its kind where that is another word."""
    kind = find_kind(name)
    return repr(name) if kind == name else f"{name!r}, which is of the kind {kind}"


def _holders(name: str) -> list[str]:
    """Kinds of artifacts with a map of that name at the size of the image."""
    return [stage for stage, schema in SCHEMAS.items() if name in schema.arrays and "y" in schema.arrays[name].dimensions]
