"""Whether params.yaml and the present code would still make an artifact from its inputs.

DVC records parameters and code when a stage ends, not when it begins, and does not see versions of packages. An artifact's own record
says what it was made with, and the store which code computed it. What neither of them records is not compared.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from seedbed.errors import ArtifactError, MachineError, join_names
from seedbed.methods import identity
from seedbed.params import Params
from seedbed.run import fingerprint
from seedbed.run.slots import list_named, list_paths
from seedbed.store.artifact import Artifact, open_artifact
from seedbed.store.entries import Entry
from seedbed.store.records import FOLDER, record_of
from seedbed.store.schemas import NONE
from seedbed.store.store import Store

ABSENT = None  # stands for a missing parameter; no parameter has this value
LOCK, DATASET = "dvc.lock", "dataset"


def find_outdated(artifact: Artifact, params: Params, *, folder: Path = FOLDER) -> Iterator[str]:
    """Every difference between what an artifact was made with and what it would be made with now."""
    yield from compare_params(artifact, params, folder=folder)
    yield from compare_code(artifact, folder=folder)


def describe_remedy(stages: list[str]) -> str:
    """The commands that bring artifacts up to date which DVC believes are up to date already."""
    return f"`dvc repro --force --single-item {' '.join(stages)}`, then `dvc repro`"


# Parameters.


def compare_params(artifact: Artifact, params: Params, *, folder: Path = FOLDER) -> Iterator[str]:
    """How what an artifact was made with differs from what params.yaml says."""
    yield from compare_method(artifact, params)
    yield from _compare_slots(artifact, params, folder)
    if artifact.kind in COMPARE_SETTINGS:
        yield from COMPARE_SETTINGS[artifact.kind](artifact, params)
    if artifact.kind in COMPARE_IMAGES:
        yield from COMPARE_IMAGES[artifact.kind](artifact, params, folder)


def compare_method(artifact: Artifact, params: Params) -> Iterator[str]:
    """How the method that made an artifact, or its parameters, differ from those that are selected now."""
    made_by = artifact.made_by
    selected = params.method_name(artifact.name)
    if made_by.method != selected:
        yield f"made by the method {made_by.method}; params.yaml now selects {selected}"
        return
    method = _method(artifact, params)
    before, now = dict(_leaves(made_by.parameters)), dict(_leaves(json.loads(json.dumps(identity(method)))))
    for name in {**before, **now}:
        if before.get(name, ABSENT) != now.get(name, ABSENT):
            was, is_now = _write_value(before.get(name, ABSENT)), _write_value(now.get(name, ABSENT))
            yield f"made with {name} {was}; params.yaml now says {is_now}"


def _write_value(value: Any) -> str:
    """A value as it is written in params.yaml."""
    return "nothing" if value is ABSENT else json.dumps(value, ensure_ascii=False)


def _leaves(block: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in block.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


# The settings of a family are not recorded, so their visible effects are compared instead.


def _compare_data_set(artifact: Artifact, params: Params) -> Iterator[str]:
    settings = _settings(artifact, params)
    if artifact.max_size != tuple(settings.max_size):
        yield f"made with max_size {list(artifact.max_size)}; params.yaml now says {list(settings.max_size)}"
    if settings.classes and artifact.class_names[1:] != list(settings.classes):
        yield f"made with the classes {join_names(artifact.class_names[1:])}; params.yaml now says {join_names(settings.classes)}"
    if settings.larger == "refuse" and (artifact.array("size") != artifact.array("original_size")).any():
        yield "made with larger images shrunk; params.yaml now says refuse"
    broken = len(artifact) - len(artifact.usable)
    if broken > settings.allow_broken:
        yield f"made with {broken} broken images left out; params.yaml now allows {settings.allow_broken}"


def _compare_slots(artifact: Artifact, params: Params, folder: Path) -> Iterator[str]:
    """Compare the artifacts that it was made from with those that slots and paths name now."""
    if artifact.kind != DATASET:
        settings = _settings(artifact, params)
        paths = list_paths(settings)
        named = [*list_named(settings).values(), *paths]
        was, is_now = sorted({*artifact.made_by.inputs} - {DATASET}), sorted({*named} - {NONE})
        if was != is_now:
            yield f"made from {join_names(was)}; params.yaml now names {join_names(is_now)}"
        for setting, path in paths.items():
            before, now = artifact.made_by.inputs.get(setting), record_of(folder.parent / path).get("digest")
            if None not in (before, now) and before != now:
                yield f"made from a different {path}"


def _compare_judged(artifact: Artifact, params: Params) -> Iterator[str]:
    """Compare the names of what an evaluation judged."""
    was, is_now = artifact.array("kinds").tolist(), list(_settings(artifact, params).kinds)
    if was != is_now:
        yield f"made of {join_names(was)}; params.yaml now names {join_names(is_now)}"


def _compare_predicted(artifact: Artifact, params: Params, folder: Path) -> Iterator[str]:
    split = _settings(artifact, params).split
    yield from _compare_images(artifact, split, folder, lambda data: data.split(split))


def _compare_evaluated(artifact: Artifact, params: Params, folder: Path) -> Iterator[str]:
    settings = _settings(artifact, params)
    predictions = _open(settings.predictions, artifact, folder) if settings.predictions != NONE else None

    def wanted(data: Artifact) -> list[str]:
        if predictions is None and settings.predictions != NONE:
            return artifact.ids
        chosen = set(data.learnable(settings.split)) if settings.needs_training_images else set()
        return [image for image in data.usable if image in chosen or (predictions is not None and image in predictions)]

    yield from _compare_images(artifact, settings.split, folder, wanted)


def _compare_images(artifact: Artifact, split: str, folder: Path, wanted: Callable[[Artifact], list[str]]) -> Iterator[str]:
    data = _open(DATASET, artifact, folder)
    try:
        if data is not None and artifact.ids != wanted(data):
            yield f"made from other images than those of the split {split}, which params.yaml now names"
    except ArtifactError:  # the data set has no such split
        yield f"made from other images than those of the split {split}, which params.yaml now names and no image belongs to"


def _open(name: str, artifact: Artifact, folder: Path) -> Artifact | None:
    """An input of an artifact; None if it is no longer the one that the artifact was made from."""
    try:
        opened = open_artifact(name, folder=folder)
    except ArtifactError:
        return None
    return opened if artifact.made_by.inputs.get(name) == opened.digest else None


def _method(artifact: Artifact, params: Params) -> Any:
    """The method that makes such an artifact now."""
    return params.of_stage(artifact.name).method(importlib.import_module(f"seedbed.{artifact.kind}").Method)


def _settings(artifact: Artifact, params: Params) -> Any:
    return params.of_stage(artifact.name).settings(importlib.import_module(f"seedbed.{artifact.kind}").Settings)


COMPARE_SETTINGS: Mapping[str, Callable[[Artifact, Params], Iterator[str]]] = {
    DATASET: _compare_data_set,
    "evaluation": _compare_judged,
}
COMPARE_IMAGES: Mapping[str, Callable[[Artifact, Params, Path], Iterator[str]]] = {
    "predictions": _compare_predicted,
    "evaluation": _compare_evaluated,
}


# Code and packages, as long as the store still has the entries of the artifact.


def compare_code(artifact: Artifact, *, folder: Path = FOLDER) -> Iterator[str]:
    """How the code and packages that computed an artifact differ from the present ones."""
    store = Store(artifact.name, folder=folder)
    last = next((entry for name in store.last()["entries"][:1] if (entry := store.entry(name))), None)
    if last is None or not _holds(last, artifact):
        return
    problems = list(_find_changed(last))
    # It is as good if the present code has computed the same bytes.
    if problems and all(any(_find_changed(entry)) for entry in store.entries() if entry.path != last.path and _holds(entry, artifact)):
        yield from problems


def _find_changed(entry: Entry) -> Iterator[str]:
    """How the code and packages that computed an entry differ from the present ones."""
    modules = entry.recipe.get("modules") or {f"stages.{entry.stage}", *(module for module, _ in entry.recipe.get("parameters", ()))}
    try:
        code, packages = fingerprint.digest(modules), fingerprint.packages(modules)
    except ModuleNotFoundError as error:
        yield f"computed with {error.name}, which no longer exists"
        return
    if entry.recipe.get("code") != code:
        yield "computed with code that has changed since"
    for name, version in sorted(entry.recipe.get("packages", {}).items()):
        if packages.get(name) != version:
            yield f"computed with {name} {version}, now {packages.get(name) or 'none'}"


def _holds(entry: Entry, artifact: Artifact) -> bool:
    """Whether an entry of the store is the first part of an artifact, judged by the digests that both record."""
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


# What DVC has on record.


def read_recorded(folder: Path = FOLDER) -> frozenset[str]:
    """Stages that are listed in dvc.lock, which lies beside the folder of artifacts."""
    lock = folder.absolute().parent / LOCK
    try:
        content = YAML(typ="safe").load(lock.read_text(encoding="utf-8")) if lock.is_file() else {}
        return frozenset(map(str, (content or {}).get("stages", {})))
    except (YAMLError, ValueError, AttributeError, TypeError) as error:
        raise MachineError(
            LOCK,
            found=f"content that DVC did not write: {str(error).partition(chr(10))[0]}",
            expected="DVC's record of what ran",
            do="restore it from git, or delete it: DVC's cache and the store are still used",
        ) from error
