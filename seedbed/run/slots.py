"""Slots: settings that name the artifacts which a stage reads, because DVC must know them before any code of ours runs.

Whether they fit the selected method is known from params.yaml alone, so it is said before anything runs.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from seedbed.errors import ParamsError, join_names, nearest
from seedbed.store.schemas import NONE, SCHEMAS, SPATIAL, find_kind

CLASSIFIER = "classifier"
TAKES_ALL = "pretraining"  # takes all images where no split is named
HELD = {"class_maps": "maps", "superpixels": "regions", "predictions": "probabilities"}  # what is judged of what a slot names
WORD = re.compile("[a-z][a-z0-9_]*")  # which a file and an address of params.yaml can have in their names
NEED_LABELS = ("classifier", "segmenter", "evaluation")  # of their split, only images with labels are of use to these


def check_maps(stage: str, wanted: Sequence[str], slots: Mapping[str, str]) -> None:
    """Refuse slots of maps that do not fit.

    wanted: arrays that the training takes beside the images; slots: where params.yaml says they are.
    """
    for name in slots:
        where = f"params.yaml: {stage}.maps.{name}"
        if not _find_holders(name):
            raise ParamsError(where, found=f"the map {name!r}, which no stage produces", expected=join_names(wanted), do="correct it")
        if name not in wanted and slots[name] != NONE:
            expected = f"{NONE!r}, because the selected method reads {join_names(wanted)}"
            raise ParamsError(where, found=repr(slots[name]), expected=expected, do="correct it")
    for name in wanted:
        holders = _find_holders(name)
        if name not in slots or find_kind(slots[name]) not in holders:
            found = repr(slots[name]) if name in slots else "nothing"
            expected = f"an artifact with `{name}`: {join_names(holders)}"
            raise ParamsError(f"params.yaml: {stage}.maps.{name}", found=found, expected=expected, do="correct it")
    if "confidence" in wanted and slots["confidence"] != slots["labels"]:
        raise ParamsError(
            f"params.yaml: {stage}.maps.confidence",
            found=repr(slots["confidence"]),
            expected=f"{slots['labels']!r}, because it is that of other labels",
            do="correct one of the two",
        )


def check_judged(slots: Mapping[str, str], labels: Mapping[str, str], *, taken: Collection[str]) -> None:
    """Refuse slots of what is judged that do not fit, and where nothing is.

    slots: artifacts of class maps, superpixels and predictions; labels: others, by what they are called in the figures.
    taken: names that figures and pictures have for something else.
    """
    where = "params.yaml: evaluation"
    for name in labels:
        if name in taken or not WORD.fullmatch(name):
            expected = f"a word of small letters, digits and _ that is none of: {join_names(taken)}"
            raise ParamsError(f"{where}.labels.{name}", found=f"the name {name!r}", expected=expected, do="rename it, and in dvc.yaml")
    named = [(slot, artifact, _find_holders(HELD[slot], within=SPATIAL), HELD[slot]) for slot, artifact in slots.items()]
    named += [(f"labels.{name}", artifact, _find_holders("labels"), "labels") for name, artifact in labels.items()]
    for slot, artifact, holders, array in named:
        if artifact != NONE and find_kind(artifact) not in holders:
            expected = f"an artifact with `{array}`: {join_names(holders)}; or {NONE!r}"
            raise ParamsError(f"{where}.{slot}", found=repr(artifact), expected=expected, do="correct it")
    if all(artifact == NONE for _, artifact, _, _ in named):
        raise ParamsError(
            where,
            found=f"{NONE!r} in every slot",
            expected="something to judge",
            do=f"name an artifact in one of: {', '.join(slots)}, labels",
        )


def check_start(stage: str, source: str, start: str) -> None:
    """Refuse a slot that does not fit where initial weights come from.

    source: of the initial weights; start: the artifact that params.yaml names.
    """
    wanted = CLASSIFIER if source == CLASSIFIER else NONE
    if find_kind(start) != wanted:
        raise ParamsError(
            f"params.yaml: {stage}.start",
            found=repr(start),
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


def find_wrong_splits(named: Mapping[str, str], labelled: Mapping[str, bool]) -> Iterator[ParamsError]:
    """What is wrong with settings that name splits.

    named: by stage; labelled: of every split, whether some of its images have labels.
    """
    for stage, split in named.items():
        where = f"params.yaml: {stage}.split"
        if split not in labelled and (split or find_kind(stage) != TAKES_ALL):
            expected = f"one of: {join_names(sorted(labelled))}{nearest(split, labelled)}"
            yield ParamsError(
                where, found=f"{split!r}, to which no image belongs", expected=expected, do="correct it, or let some belong to it"
            )
        elif find_kind(stage) in NEED_LABELS and not labelled[split]:
            yield ParamsError(
                where, found=f"{split!r}, of which no image has labels", expected="some with labels", do="correct it, or label some images"
            )


def _find_holders(name: str, *, within: Collection[str] = ("y",)) -> list[str]:
    """Kinds of artifacts that have an array of that name with something for every place of an image.

    within: one of these dimensions is that of its rows; unless given, rows of pixels.
    """
    return [kind for kind, schema in SCHEMAS.items() if name in schema.arrays and set(within) & set(schema.arrays[name].dimensions)]
