"""Slots: settings that name the artifacts which a stage reads, because DVC must know them before any code of ours runs.

A family's `Settings` say of which kinds an artifact may be that a slot names, which follows from its name; the selected method says which
slots it has no use for. So whether they fit is known from params.yaml alone, and is said before anything runs.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from seedbed.errors import ArtifactError, ParamsError, join_names, list_problems, nearest
from seedbed.methods import Method
from seedbed.store import raw
from seedbed.store.artifact import Artifact
from seedbed.store.schemas import NONE, SCHEMAS, find_kind

ARTIFACT = ".zarr"  # how paths of artifacts end
CLASSIFIER = "classifier"
NO_PATH = "data/none.zarr"  # what a setting says that names no file, folder or artifact by its path: DVC wants something that exists
TAKES_ALL = "pretraining"  # takes all images where no split is named
WORD = re.compile("[a-z][a-z0-9_]*")  # which a file and an address of params.yaml can have in their names
NEED_LABELS = ("classifier", "affinity", "segmenter", "evaluation")  # of their split, only images with labels are of use to these
T = TypeVar("T")


@dataclass(frozen=True)
class Slot:
    """Marks a setting that names an artifact, or several by names of their own: `Annotated[str, Slot(...)]`."""

    kinds: tuple[str, ...]  # of which the artifact may be
    when: str = ""  # where a method reads it, if methods differ in that: others have it in `Method.unread`, and then it says none
    optional: bool = False  # whether it may say none whatever the method

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def _check(self, named: str | Mapping[str, str]) -> str | Mapping[str, str]:
        if isinstance(named, Mapping) and (odd := [slot for slot in named if not WORD.fullmatch(slot)]):
            raise ValueError(f"names of small letters, digits and _, unlike {odd[0]!r}")
        for name in named.values() if isinstance(named, Mapping) else (named,):
            if name != NONE and find_kind(name) not in self.kinds:
                raise ValueError(self.expected + (f", or {NONE!r}" if self.optional or self.when else ""))
        return named

    @property
    def expected(self) -> str:
        """What it is to name."""
        return f"an artifact of the kind {' or '.join(self.kinds)}"


@dataclass(frozen=True)
class PathSlot:
    """Marks a setting that names an artifact by its path, in this pipeline or another: `Annotated[str, PathSlot(...)]`."""

    arrays: tuple[str, ...]  # of which it has one, for the pixels of every image

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def _check(self, named: str) -> str:
        kinds = [kind for kind, schema in SCHEMAS.items() if any(one in schema.arrays and schema.arrays[one].shown for one in self.arrays)]
        path = Path(named)
        if named != NO_PATH and (path.suffix != ARTIFACT or find_kind(path.stem) not in kinds):
            raise ValueError(f"the path of an artifact of the kind {' or '.join(kinds)}, such as data/{kinds[0]}{ARTIFACT}, or {NO_PATH}")
        return named


def list_holders(array: str) -> tuple[str, ...]:
    """Kinds of artifacts that have an array of that name with something for every pixel of an image."""
    return tuple(kind for kind, schema in SCHEMAS.items() if array in schema.arrays and "y" in schema.arrays[array].dimensions)


def list_paths(settings: object) -> dict[str, str]:
    """Paths of artifacts that a family's settings name, by setting."""
    hints = get_type_hints(type(settings), include_extras=True)
    named = {setting: getattr(settings, setting) for setting, hint in hints.items() if _find(PathSlot, hint)}
    return {setting: path for setting, path in named.items() if path != NO_PATH}


def list_named(settings: object) -> dict[str, str]:
    """Artifacts that a family's settings name, by slot: `start`, and `maps.labels` where a setting is a mapping of slots."""
    named: dict[str, str] = {}
    for setting, hint in get_type_hints(type(settings), include_extras=True).items():
        value = getattr(settings, setting)
        if isinstance(value, Mapping):
            named |= {f"{setting}.{name}": artifact for name, artifact in value.items()}
        elif _find(Slot, hint):
            named[setting] = value
    return named


def check_slots(stage: str, settings: object, method: Method) -> None:
    """Refuse slots that say none although the method reads them, and others that name what it does not read.

    settings: of the stage's family, which refuse names of other kinds themselves.
    """
    for setting, hint in get_type_hints(type(settings), include_extras=True).items():
        slot = _find(Slot, hint)
        if slot is None or slot.optional:
            continue
        where, named, unread = f"params.yaml: {stage}.{setting}", getattr(settings, setting), setting in method.unread
        several = isinstance(named, Mapping)
        if unread and {*(named.values() if several else (named,))} - {NONE}:
            nothing = f"{{}} or {NONE!r} for each" if several else repr(NONE)
            raise ParamsError(where, found=repr(named), expected=f"{nothing}, unless {slot.when}", do="correct one of the two")
        if named == NONE and not unread:
            because = f", because {slot.when}" if slot.when else ""
            do = "correct one of the two" if slot.when else "correct it"
            raise ParamsError(where, found=repr(named), expected=f"{slot.expected}{because}", do=do)


def _find(mark: type[T], hint: Any) -> T | None:
    return next((one for one in getattr(hint, "__metadata__", ()) if isinstance(one, mark)), None)


def check_folder(stage: str, folder: str) -> Path:
    """The folder of other files that a stage reads, which its setting `folder` names; refused if there is no folder."""
    if (found := raw.kind(Path(folder))) != raw.FOLDER:
        where, do = f"params.yaml: {stage}.folder", "put it there, or correct it"
        raise ParamsError(where, found=f"{folder!r}, {found}", expected="a folder", do=do)
    return Path(folder)


def check_file(stage: str, setting: str, file: str) -> Path:
    """The file that a stage reads, which a setting names; refused if there is none."""
    if (found := raw.kind(Path(file))) != raw.FILE:
        expected, do = f"a file, or {NO_PATH} where there is none", "put it there, or correct it"
        raise ParamsError(f"params.yaml: {stage}.{setting}", found=f"{file!r}, {found}", expected=expected, do=do)
    return Path(file)


def check_maps(stage: str, wanted: Sequence[str], slots: Mapping[str, str]) -> None:
    """Refuse slots of maps that do not fit.

    wanted: arrays that the training takes beside the images; slots: where params.yaml says they are.
    """
    for name in slots:
        where = f"params.yaml: {stage}.maps.{name}"
        if not list_holders(name):
            raise ParamsError(where, found=f"the map {name!r}, which no stage produces", expected=join_names(wanted), do="correct it")
        if name not in wanted and slots[name] != NONE:
            expected = f"{NONE!r}, because the selected method reads {join_names(wanted)}"
            raise ParamsError(where, found=repr(slots[name]), expected=expected, do="correct it")
    for name in wanted:
        holders = list_holders(name)
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
    """Refuse names of what is judged that do not fit, and an evaluation of nothing.

    slots: artifacts of class maps, superpixels and predictions; labels: others, by what they are called in the figures.
    taken: names that figures and pictures have for something else.
    """
    where = "params.yaml: evaluation"
    for name in labels:
        if name in taken or not WORD.fullmatch(name):
            expected = f"a word of small letters, digits and _ that is none of: {join_names(taken)}"
            raise ParamsError(f"{where}.labels.{name}", found=f"the name {name!r}", expected=expected, do="rename it, and in dvc.yaml")
    if {*slots.values(), *labels.values()} == {NONE}:
        raise ParamsError(
            where,
            found=f"{NONE!r} in every slot",
            expected="something to judge",
            do=f"name an artifact in one of: {', '.join(slots)}, labels",
        )


def check_features(needs: str, features: str, *, method: str) -> None:
    """Refuse features that describe nothing.

    needs: the stage and method that need them; features: the stage that makes them; method: of that stage.
    """
    if method == NONE:
        raise ParamsError(
            f"params.yaml: {features}.method",
            found=repr(method),
            expected=f"one that describes images, because {needs} needs features",
            do=f"select one, or a method of {needs.partition('.')[0]} that needs none",
        )


def check_learned(stage: str, method: Any, features: str, learner: str, learned: Any, *, inputs: Collection[str]) -> None:
    """Refuse what sees images where the method gives it features, or the other way round, and other features than it learned from.

    method: of the stage; features: that it reads; learner: the stage that learned what sees them; learned: its method.
    inputs: artifacts that the learner read.
    """
    if method.needs_features != learned.needs_features:
        sees = "features" if learned.needs_features else "images"
        raise ParamsError(
            f"params.yaml: {stage}.method",
            found=repr(method.name),
            expected=f"one for {sees}, from which {learner}.{learned.name} has learned",
            do=f"correct it, or select another method of {learner}",
        )
    if features not in (*inputs, NONE):
        known = [name for name in inputs if name != NONE and find_kind(name) == "features"]
        expected = f"features that {learner} has learned from: {join_names(known)}"
        raise ParamsError(f"params.yaml: {stage}.features", found=repr(features), expected=expected, do="correct one of the two")


def check_judge(stage: str, classifier: str, learned: Any) -> None:
    """Refuse a classifier that cannot look at images.

    classifier: the artifact that a slot names; learned: its method.
    """
    if learned.needs_features:
        raise ParamsError(
            f"params.yaml: {stage}.classifier",
            found=f"{classifier!r}, by {learned.name}, which sees features",
            expected="a classifier that sees images",
            do=f"select another method of {classifier}, or of {stage}",
        )


def check_affinity(stage: str, method: Method, learner: str, learned: Method) -> None:
    """Refuse to run a network that another method has trained.

    method: of the stage; learner: the stage that trained the network; learned: its method.
    """
    if method.name != learned.name:
        raise ParamsError(
            f"params.yaml: {stage}.method",
            found=repr(method.name),
            expected=f"{learned.name!r}, as which {learner} has learned",
            do=f"correct it, or select {learner}.{method.name}",
        )


def check_edges(stage: str, method: Any, edges: str, *, found_by: str, compared: int) -> None:
    """Refuse edges that another method has found, or that know nothing of cells as far from each other as are to be linked.

    method: of the stage, which reads them; edges: the artifact; found_by: the method that found them.
    compared: the radius within which they know how far cells are from each other; 0 if they know something else.
    """
    if found_by != method.name:
        expected, do = f"{found_by!r}, for which {edges} is made", f"correct it, or select {edges}.{method.name}"
        raise ParamsError(f"params.yaml: {stage}.method", found=repr(method.name), expected=expected, do=do)
    if compared < method.compared:
        raise ParamsError(
            f"params.yaml: {stage}.{method.name}.walk.radius",
            found=str(method.compared),
            expected=f"at most {compared}, within which affinity has compared cells",
            do="lower it, or let affinity learn with a larger one",
        )


def check_displacement(stage: str, method: Method, edges: str, *, found_by: str) -> None:
    """Refuse edges of another method, which do not say where the middle of a thing is.

    method: of the stage, which follows the displacement of cells; edges: the artifact; found_by: the method that found them.
    """
    if found_by != method.name:
        raise ParamsError(
            f"params.yaml: {stage}.edges",
            found=f"{edges!r}, found by {found_by!r}",
            expected=f"edges found by {method.name!r}, because others do not say where the middle of a thing is",
            do=f"select {edges}.{method.name}, or another method of {stage}",
        )


def check_view(where: str, view: str, described: Sequence[Any], features: str, expected: Sequence[Any]) -> None:
    """Refuse another view of the images that is not by the same network.

    where: the slot; view: what it names; described: what made it; features: the features that it stands beside; expected: what made those.
    """
    if described != expected or view == features:
        raise ParamsError(
            where,
            found=repr(view),
            expected=f"other features than {features}, of the same method with the same parameters",
            do="let the two sections differ in scale and mirrored alone",
        )


def join_views(stage: str, features: Artifact | None, more: Mapping[str, Artifact]) -> list[Artifact]:
    """Features, if there are any, and others that the same network made of the same images, shown to it in another way.

    more: others, by their slot among the views.
    """
    if features is None:
        return []
    for slot, other in more.items():
        check_view(f"params.yaml: {stage}.views.{slot}", other.name, _made_by(other), features.name, _made_by(features))
    return [features, *more.values()]


def _made_by(artifact: Artifact) -> list[Any]:
    """What made an artifact of features, but for how it was shown the images."""
    made_by = artifact.made_by
    return [made_by.method, made_by.parameters, {name: digest for name, digest in made_by.inputs.items() if name != "dataset"}]


def check_data_set(artifact: Artifact, data: Artifact) -> None:
    """Refuse an artifact of another data set, whose images may be others."""
    if artifact.made_by.inputs.get(data.name) != data.digest:
        raise ArtifactError(
            str(artifact.path),
            found="an artifact of another data set",
            expected=f"one of {data.path}: of the same images, with the same settings of {data.name}",
            do="run `dvc repro`, or name another artifact",
        )


def check_images(where: str, artifact: Artifact, image_ids: Sequence[str]) -> None:
    """Refuse an artifact that lacks images of which something is to be known.

    where: what names it.
    """
    if lacking := [image_id for image_id in image_ids if image_id not in artifact]:
        found = f"{artifact.path}, which lacks {len(lacking)} of {len(image_ids)} images: {list_problems(lacking)}"
        raise ParamsError(where, found=found, expected="an artifact that has all of the split", do="name another, or another split")


def check_versions(opened: Mapping[str, Artifact]) -> None:
    """Refuse artifacts of which one was made from another version of another."""
    for artifact in opened.values():
        for source, digest in artifact.made_by.inputs.items():
            if source in opened and opened[source].digest != digest:
                raise ArtifactError(
                    str(artifact.path),
                    found=f"an artifact made from a different data/{source}.zarr",
                    expected="the present one",
                    do="run `dvc repro`",
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
