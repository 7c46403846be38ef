"""Whether an artifact is what params.yaml and the code would make of its inputs now.

DVC looks at parameters and code when a stage has ended and takes an artifact for what they say then; it knows no versions of packages.
An artifact says itself what it was made with, and the store what computed it. Nothing is said of what neither of them tells.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from seedbed.errors import ArtifactError, MachineError, join_names
from seedbed.methods import identity
from seedbed.params import Params
from seedbed.run import fingerprint
from seedbed.store.artifact import Artifact, open_artifact
from seedbed.store.entries import Entry
from seedbed.store.records import FOLDER
from seedbed.store.schemas import NONE
from seedbed.store.store import Store

ABSENT = None  # no parameter is that
LOCK = "dvc.lock"


def find_outdated(artifact: Artifact, params: Params, *, folder: Path = FOLDER) -> Iterator[str]:
    """All that differs between what an artifact was made with and what it would be made with now."""
    yield from of_params(artifact, params, folder=folder)
    yield from of_code(artifact, folder=folder)


def remedy(stages: list[str]) -> str:
    """What brings artifacts up to date that DVC takes for up to date."""
    return f"`dvc repro --force --single-item {' '.join(stages)}`, then `dvc repro`"


# Parameters.


def of_params(artifact: Artifact, params: Params, *, folder: Path = FOLDER) -> Iterator[str]:
    """How what an artifact was made with differs from what params.yaml says."""
    yield from of_method(artifact, params)
    if artifact.kind in OF_SETTINGS:
        yield from OF_SETTINGS[artifact.kind](artifact, params)
    if artifact.kind in OF_SPLITS:
        yield from OF_SPLITS[artifact.kind](artifact, params, folder)


def of_method(artifact: Artifact, params: Params) -> Iterator[str]:
    """How the method of an artifact, or its parameters, differ from those that are selected now."""
    family, made_by = artifact.kind, artifact.made_by
    selected = params.method_name(family)
    if made_by.method != selected:
        yield f"made by the method {made_by.method}, where params.yaml selects {selected}"
        return
    method: Any = params.method(importlib.import_module(f"seedbed.{family}").Method)
    before, now = dict(_leaves(made_by.parameters)), dict(_leaves(json.loads(json.dumps(identity(method)))))
    for name in {**before, **now}:
        if before.get(name, ABSENT) != now.get(name, ABSENT):
            yield f"made with {name} {_write_value(before.get(name, ABSENT))}, where params.yaml says {_write_value(now.get(name, ABSENT))}"


def _write_value(value: Any) -> str:
    """A value as params.yaml has it."""
    return "nothing" if value is ABSENT else json.dumps(value, ensure_ascii=False)


def _leaves(block: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in block.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


# Settings of a family are not on record: what can be seen of them is held against what they say.


def _check_data_set(artifact: Artifact, params: Params) -> Iterator[str]:
    settings = _settings("dataset", params)
    if artifact.max_size != tuple(settings.max_size):
        yield f"made with max_size {list(artifact.max_size)}, where params.yaml says {list(settings.max_size)}"
    if settings.classes and artifact.class_names[1:] != list(settings.classes):
        yield f"made with the classes {join_names(artifact.class_names[1:])}, where params.yaml says {join_names(settings.classes)}"
    if settings.larger == "refuse" and (artifact.array("size") != artifact.array("original_size")).any():
        yield "made with larger images shrunk, where params.yaml says refuse"
    broken = len(artifact) - len(artifact.usable)
    if broken > settings.allow_broken:
        yield f"made with {broken} broken images left out, where params.yaml allows {settings.allow_broken}"


def _check_maps(artifact: Artifact, params: Params) -> Iterator[str]:
    """The artifacts that a training read."""
    family = artifact.kind
    method: Any = params.method(importlib.import_module(f"seedbed.{family}").Method)
    settings = _settings(family, params)
    wanted = {settings.maps.get(name, NONE) for name in method.wanted_maps}
    wanted |= {getattr(settings, "start", NONE)}
    yield from _of_inputs(artifact, wanted)


def _check_judged(artifact: Artifact, params: Params) -> Iterator[str]:
    """The artifacts that an evaluation judged, and what it calls them."""
    settings = _settings("evaluation", params)
    wanted = {*settings.slots.values(), *settings.labels.values()}
    yield from _of_inputs(artifact, wanted)
    was, is_now = artifact.array("kinds").tolist(), list(settings.kinds)
    if was != is_now:
        yield f"made of {join_names(was)}, where params.yaml names {join_names(is_now)}"


def _of_inputs(artifact: Artifact, wanted: Collection[str]) -> Iterator[str]:
    """How the artifacts that one was made from differ from those that slots name."""
    was, is_now = sorted(set(artifact.made_by.inputs) - {"dataset", NONE}), sorted({*wanted} - {NONE})
    if was != is_now:
        yield f"made from {join_names(was)}, where params.yaml names {join_names(is_now)}"


def _check_predicted(artifact: Artifact, params: Params, folder: Path) -> Iterator[str]:
    split = _settings("predictions", params).split
    yield from _of_split(artifact, split, folder, lambda data: data.split(split))


def _check_evaluated(artifact: Artifact, params: Params, folder: Path) -> Iterator[str]:
    settings = _settings("evaluation", params)
    predictions = _open(settings.predictions, artifact, folder) if settings.predictions != NONE else None

    def wanted(data: Artifact) -> list[str]:
        if predictions is None and settings.predictions != NONE:
            return artifact.ids
        chosen = set(data.learnable(settings.split)) if settings.needs_training_images else set()
        return [image for image in data.usable if image in chosen or (predictions is not None and image in predictions)]

    yield from _of_split(artifact, settings.split, folder, wanted)


def _of_split(artifact: Artifact, split: str, folder: Path, wanted: Callable[[Artifact], list[str]]) -> Iterator[str]:
    data = _open("dataset", artifact, folder)
    try:
        if data is not None and artifact.ids != wanted(data):
            yield f"made of other images than params.yaml says, which has the split {split}"
    except ArtifactError:  # there is no such split
        yield f"made of other images than params.yaml says, which has the split {split}, to which none belongs"


def _open(name: str, artifact: Artifact, folder: Path) -> Artifact | None:
    """An input of an artifact, where it is still the one that the artifact was made from."""
    try:
        opened = open_artifact(name, folder=folder)
    except ArtifactError:
        return None
    return opened if artifact.made_by.inputs.get(name) == opened.digest else None


def _settings(stage: str, params: Params) -> Any:
    return params.settings(importlib.import_module(f"seedbed.{stage}").Settings)


OF_SETTINGS: Mapping[str, Callable[[Artifact, Params], Iterator[str]]] = {
    "dataset": _check_data_set,
    "classifier": _check_maps,
    "segmenter": _check_maps,
    "evaluation": _check_judged,
}
OF_SPLITS: Mapping[str, Callable[[Artifact, Params, Path], Iterator[str]]] = {
    "predictions": _check_predicted,
    "evaluation": _check_evaluated,
}


# Code and packages, where the store still has what computed the artifact.


def of_code(artifact: Artifact, *, folder: Path = FOLDER) -> Iterator[str]:
    """How the code that computed an artifact differs from the present."""
    store = Store(artifact.name, folder=folder)
    last = next((entry for name in store.last()["entries"][:1] if (entry := store.entry(name))), None)
    if last is None or not _holds(last, artifact):
        return
    problems = list(_find_changed(last))
    # What another code computed to the same bytes is as good.
    if problems and all(any(_find_changed(entry)) for entry in store.entries() if entry.path != last.path and _holds(entry, artifact)):
        yield from problems


def _find_changed(entry: Entry) -> Iterator[str]:
    """How the recipe of an entry differs from what its method would be computed with now."""
    modules = entry.recipe.get("modules") or {f"stages.{entry.stage}", *(module for module, _ in entry.recipe.get("parameters", ()))}
    try:
        code, packages = fingerprint.digest(modules), fingerprint.packages(modules)
    except ModuleNotFoundError as error:
        yield f"computed with {error.name}, which is not there any more"
        return
    if entry.recipe.get("code") != code:
        yield "computed with other code than there is now"
    for name, version in sorted(entry.recipe.get("packages", {}).items()):
        if packages.get(name) != version:
            yield f"computed with {name} {version}, now {packages.get(name) or 'none'}"


def _holds(entry: Entry, artifact: Artifact) -> bool:
    """Whether an entry of the store is the first part of an artifact, going by what both say of its content."""
    arrays = artifact.schema.arrays
    small = [name for name in entry.group if name in arrays and not arrays[name].large]
    small = ["digest"] if "digest" in small else small
    files = artifact.files
    weights = {name: sha for name, (_, sha) in entry.files.items() if name.startswith("weights/")}
    if any(files.get(name, (0, ""))[1] != sha for name, sha in weights.items()):
        return False
    for name in small:
        held = np.asarray(entry.group[name][...])  # type: ignore[index]
        if not np.array_equal(held, artifact.array(name)[: len(held)]):
            return False
    return bool(small)


# What DVC was told.


def read_recorded(folder: Path = FOLDER) -> frozenset[str]:
    """Stages of which dvc.lock, beside a folder of artifacts, tells what they were run with."""
    lock = folder.absolute().parent / LOCK
    try:
        content = YAML(typ="safe").load(lock.read_text(encoding="utf-8")) if lock.is_file() else {}
        return frozenset(map(str, (content or {}).get("stages", {})))
    except (YAMLError, ValueError, AttributeError, TypeError) as error:
        raise MachineError(
            LOCK,
            found=f"what DVC did not write: {str(error).partition(chr(10))[0]}",
            expected="a record of what ran",
            do="restore it from git, or remove it: what is in DVC's cache or in the store is used all the same",
        ) from error
