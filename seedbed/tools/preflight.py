"""What can be known to fail before anything runs: said by `seedbed plan`, not after an hour of training.

Whatever is asked here is quick. No image is opened, no weights are read into a network, and no data set is read through.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from seedbed import (
    affinity,
    cams,
    classifier,
    dataset,
    edges,
    evaluation,
    features,
    instances,
    predictions,
    pretraining,
    refinement,
    saliency,
    segmenter,
)
from seedbed.algorithms.cell_pairs import find_radius
from seedbed.dataset import Preview
from seedbed.errors import ArtifactError, ParamsError, SeedbedError, nearest
from seedbed.methods import Method, blocks, identity
from seedbed.networks.feature_network import FeatureNetwork
from seedbed.params import Params
from seedbed.run import memory, slots
from seedbed.run.slots import CLASSIFIER, check_features, check_judged, check_learned, check_maps, check_view, find_wrong_splits, list_named
from seedbed.scoring.judgement import TAKEN
from seedbed.store.artifact import Artifact, open_artifact
from seedbed.store.records import FOLDER
from seedbed.store.schemas import FIXED, NONE, SCHEMAS, find_kind
from seedbed.types import Size

PIPELINE = Path("dvc.yaml")
PRETRAINING = "pretraining"


# What is checked before DVC is asked, which would stumble over it.


def check(params: Params) -> None:
    """Refuse what is wrong with params.yaml by itself and beside dvc.yaml, and raw data that DVC cannot read."""
    stages = _read_pipeline()
    params.check(needed=stages)
    check_slots(params)
    for stage, section in stages.items():
        if stage in params.sections():
            _check_listed(stage, params, section, known=stages)
            settings = _read_settings(stage, params)
            if (folder := getattr(settings, "folder", slots.NO_PATH)) != slots.NO_PATH:
                slots.check_folder(stage, folder)
            if (file := getattr(settings, "corrections", slots.NO_PATH)) != slots.NO_PATH:
                slots.check_file(stage, "corrections", file)
    _check_order({stage: list_named(_read_settings(stage, params)) for stage in stages if stage in params.sections()})


def _read_pipeline() -> Mapping[str, Any]:
    """Stages of the pipeline in this folder. If its dvc.yaml cannot be read, none: DVC says what is wrong with that."""
    try:
        return {str(stage): section for stage, section in YAML(typ="safe").load(PIPELINE)["stages"].items()}
    except (OSError, ValueError, YAMLError, KeyError, TypeError, AttributeError):
        return {}


def _check_listed(stage: str, params: Params, section: Mapping[str, Any], *, known: Collection[str]) -> None:
    """Refuse slots of which DVC does not know, so that it would not see when the artifact changes, and artifacts that nothing makes.

    section: of dvc.yaml; known: its stages.
    """
    settings = _read_settings(stage, params)
    paths = {**slots.list_paths(settings), "corrections": getattr(settings, "corrections", slots.NO_PATH)}
    for setting, path in paths.items():
        if path != slots.NO_PATH and (dependency := f"${{{stage}.{setting}}}") not in section.get("deps", ()):
            expected = f"{dependency} among the dependencies of {stage} in {PIPELINE}"
            raise ParamsError(
                f"params.yaml: {stage}.{setting}", found="a path that DVC does not know", expected=expected, do="add it there"
            )
    for slot, artifact in list_named(settings).items():
        address = f"{stage}.{slot}"
        dependency = f"data/${{{address}}}.zarr"
        if artifact != NONE and dependency not in section.get("deps", ()):
            expected = f"{dependency} among the dependencies of {stage} in {PIPELINE}"
            raise ParamsError(f"params.yaml: {address}", found="a slot that DVC does not know", expected=expected, do="add it there")
        if artifact not in (*known, NONE) and not (FOLDER / f"{artifact}.zarr").exists():
            expected = f"an artifact that a stage of {PIPELINE} makes{nearest(artifact, known)}"
            raise ParamsError(
                f"params.yaml: {address}", found=repr(artifact), expected=expected, do="correct it, or add the stage with `seedbed round`"
            )


def _check_order(named: Mapping[str, Mapping[str, str]]) -> None:
    """Refuse stages that read what is made from themselves.

    named: artifacts that each reads, by slot, in the pipeline's order.
    """
    try:
        TopologicalSorter({stage: artifacts.values() for stage, artifacts in named.items()}).prepare()
    except CycleError as error:
        circle = error.args[1][:-1]  # each is read by the next
        stage = next(stage for stage in named if stage in circle)
        place = circle.index(stage)
        slot = next(slot for slot, artifact in named[stage].items() if artifact == circle[place - 1])
        way = " -> ".join([*circle[place:], *circle[:place], stage])
        raise ParamsError(
            f"params.yaml: {stage}.{slot}",
            found=f"{circle[place - 1]!r}, which is made from this stage: {way}",
            expected=f"an artifact that is made without {stage}",
            do="correct it; `seedbed round` adds stages that learn from the first ones",
        ) from None


def check_slots(params: Params) -> None:
    """Refuse settings that name artifacts which do not fit the selected methods, in whatever sections there are."""
    for section in params.sections():
        settings, method = _read_settings(section, params), _read_method(section, params)
        slots.check_slots(section, settings, method)
        if hasattr(settings, "maps"):
            check_maps(section, getattr(method, "wanted_maps", ()), settings.maps)
        _check_described(section, settings, method, params)
        if (kind := find_kind(section)) in CHECKS:
            CHECKS[kind](section, params)


def _read_method(stage: str, params: Params) -> Method:
    """The method that a stage selects."""
    method: Method = params.of_stage(stage).method(importlib.import_module(f"seedbed.{find_kind(stage)}").Method)
    return method


def _read_settings(stage: str, params: Params) -> Any:
    """The settings of a stage; nothing where its family has none."""
    module = importlib.import_module(f"seedbed.{find_kind(stage)}")
    return params.of_stage(stage).settings(module.Settings) if hasattr(module, "Settings") else None


def _check_described(section: str, settings: Any, method: Method, params: Params) -> None:
    """Refuse features that describe nothing, and other views that are not by the same network."""
    named = list_named(settings) if settings is not None else {}
    own = named.get("features", NONE)
    for slot, name in named.items():
        if name in params.sections() and find_kind(name) == "features":
            check_features(f"{find_kind(section)}.{method.name}", name, method=params.method_name(name))
            if slot != "features" and own in params.sections():
                views = [
                    (one.method(features.Method), one.settings(features.Settings).pretraining) for one in map(params.of_stage, (name, own))
                ]
                described, expected = ([one.name, identity(one), pretrained] for one, pretrained in views)
                check_view(f"params.yaml: {section}.{slot}", name, described, own, expected)


def _read_describer(stage: str, params: Params) -> FeatureNetwork:
    """What describes images, without weights; refused where images cannot be shown to it as they are to be."""
    own = params.of_stage(stage)
    settings = own.settings(features.Settings)
    describer = FeatureNetwork(own.method(features.Method), "cpu", None, settings.scale, settings.mirrored)
    describer.check(stage)
    return describer


def _check_segmenter(stage: str, params: Params) -> None:
    own = params.of_stage(stage)
    settings = own.settings(segmenter.Settings)
    _check_start(stage, own.method(segmenter.Method), settings.start, params)
    if settings.classifier in params.sections():
        slots.check_judge(stage, settings.classifier, params.of_stage(settings.classifier).method(classifier.Method))


def _check_affinity(stage: str, params: Params) -> None:
    own = params.of_stage(stage)
    _check_start(stage, own.method(affinity.Method), own.settings(affinity.Settings).start, params)


def _check_start(stage: str, method: Method, start: str, params: Params) -> None:
    """Refuse a classifier that a network cannot start from."""
    if start in params.sections():
        trained = params.of_stage(start).method(classifier.Method)
        if not isinstance(trained, classifier.NetworkMethod):
            expected = f"the artifact of a classifier with a network; {start}.{trained.name} has none"
            raise ParamsError(f"params.yaml: {stage}.start", found=repr(start), expected=expected, do="correct one of the two")
        network = trained.backbone.network
        whose = "the classifier's" if start == CLASSIFIER else f"that of {start}"
        _check_same(stage, method, "backbone.network", network, whose, CLASSIFIER)


def _check_evaluation(stage: str, params: Params) -> None:
    settings = params.of_stage(stage).settings(evaluation.Settings)
    check_judged(settings.slots, settings.labels, taken=TAKEN)


def _check_features(stage: str, params: Params) -> None:
    own = params.of_stage(stage)
    described, source = _read_describer(stage, params).method, own.settings(features.Settings).pretraining
    if source in params.sections():
        pretrained = params.of_stage(source).method(pretraining.Method)
        learned = identity(pretrained)
        if not learned:
            raise ParamsError(
                f"params.yaml: {source}.method",
                found=repr(pretrained.name),
                expected=f"one that trains, because {stage}.{described.name}.initial_weights.source is {PRETRAINING}",
                do="correct one of the two",
            )
        whose = f"that of {source}"
        for name in ("architecture", "patch_size"):
            _check_same(stage, described, name, learned.get(name), whose, PRETRAINING)


def _check_cams(stage: str, params: Params) -> None:
    own = params.of_stage(stage)
    settings = own.settings(cams.Settings)
    if (seen := settings.classifier) in params.sections():
        learner = params.of_stage(seen)
        learned, inputs = learner.method(classifier.Method), [learner.settings(classifier.Settings).features]
        method = own.method(cams.Method)
        check_learned(stage, method, settings.features, seen, learned, inputs=inputs)
        if isinstance(method, cams.NetworkMethod) and isinstance(learned, classifier.NetworkMethod):
            method.check_network(partial(learned.network, 1))


def _check_predictions(stage: str, params: Params) -> None:
    own = params.of_stage(stage)
    settings = own.settings(predictions.Settings)
    if (seen := settings.segmenter) in params.sections():
        learner = params.of_stage(seen)
        learned, named = learner.method(segmenter.Method), learner.settings(segmenter.Settings)
        inputs = [named.features, *named.views.values()]
        check_learned(stage, own.method(predictions.Method), settings.features, seen, learned, inputs=inputs)


def _check_edges(stage: str, params: Params) -> None:
    own = params.of_stage(stage)
    if (learner := own.settings(edges.Settings).affinity) in params.sections():
        slots.check_affinity(stage, own.method(edges.Method), learner, params.of_stage(learner).method(affinity.Method))


def _check_refinement(stage: str, params: Params) -> None:
    own = params.of_stage(stage)
    if (found := own.settings(refinement.Settings).edges) in params.sections():
        finder = params.of_stage(found)
        method, learner = finder.method(edges.Method), finder.settings(edges.Settings).affinity
        compared = find_radius(params.of_stage(learner).method(affinity.Method).num_pairs) if learner in params.sections() else 0
        slots.check_edges(stage, own.method(refinement.Method), found, found_by=method.name, compared=compared)


def _check_instances(stage: str, params: Params) -> None:
    own = params.of_stage(stage)
    if (found := own.settings(instances.Settings).edges) in params.sections():
        slots.check_displacement(stage, own.method(instances.Method), found, found_by=params.method_name(found))


def _check_saliency(stage: str, params: Params) -> None:
    own = params.of_stage(stage)
    saliency.check_folder(stage, own.settings(saliency.Settings).folder, own.method(saliency.Method))


CHECKS: Mapping[str, Callable[[str, Params], None]] = {  # by kind; each is called with a section and all
    "segmenter": _check_segmenter,
    "affinity": _check_affinity,
    "edges": _check_edges,
    "refinement": _check_refinement,
    "instances": _check_instances,
    "saliency": _check_saliency,
    "evaluation": _check_evaluation,
    "features": _check_features,
    "cams": _check_cams,
    "predictions": _check_predictions,
}


def _check_same(stage: str, method: Method, address: str, wanted: Any, whose: str, source: str) -> None:
    """Refuse a network that is not the one whose weights it is to start from."""
    found: Any = method
    for name in address.split("."):
        found = getattr(found, name, None)
    if found != wanted:
        raise ParamsError(
            f"params.yaml: {stage}.{method.name}.{address}",
            found=repr(found),
            expected=f"{wanted!r}, {whose}, because initial_weights.source is {source}",
            do="name the same network for both" if address.endswith("network") else "let both be the same",
        )


# What is said beside the plan, all of it.


def find_problems(stages: Collection[str], params: Params) -> Iterator[SeedbedError]:
    """What stages can be known to fail at.

    stages: those that may run.
    """
    before = preview(params) if "dataset" in stages else None
    if isinstance(before, SeedbedError):
        yield before
    elif before is not None and before.class_names is not None:
        classes, names = params.settings(dataset.Settings).classes, before.class_names
        yield from _collect_refusals(lambda: dataset.check_classes(classes, names))
    splits = before.splits if isinstance(before, Preview) else _read_indexed_splits() if before is None else None
    if splits is not None:
        yield from find_wrong_splits({stage: split for stage, split in params.splits().items() if stage in stages}, splits)
    for stage in stages:
        method = _read_method(stage, params)
        own = f"{stage}.{method.name}"
        yield from (_locate(error, method, own) for error in _collect_refusals(method.check))
        for address, block in blocks(method, own):
            if hasattr(block, "check_file"):
                yield from (_locate(error, block, address) for error in _collect_refusals(block.check_file))


def find_shortages(stages: Collection[str], params: Params) -> Iterator[str]:
    """Of which stages it is known that they need more memory than this machine has.

    stages: those that may run.
    """
    extents = _find_extents(params)
    for stage in stages if extents else ():
        method = _read_method(stage, params)
        own = find_own_extents(stage, params, (extents["y"], extents["x"]))
        device = "cuda" if SCHEMAS[find_kind(stage)].weights and _has_gpu() else "cpu"  # elsewhere, batches are halved until they fit
        if said := memory.describe_shortage(stage, method, {**extents, **own}, device=device):
            yield said


def find_own_extents(stage: str, params: Params, size: Size) -> dict[str, int]:
    """Lengths of the dimensions that a stage's method and settings fix.

    size: of the largest image.
    """
    extents: dict[str, int] = {}
    blocks: tuple[Any, ...] = (_read_method(stage, params), _read_settings(stage, params))
    if find_kind(stage) in ("features", "trees"):
        blocks = (_read_describer(stage if find_kind(stage) == "features" else blocks[1].features, params),)
    if find_kind(stage) == "edges":
        learner = blocks[1].affinity
        if learner not in params.sections():
            return dict(edges.NOTHING)
        blocks = (params.of_stage(learner).method(affinity.Method),)
    if find_kind(stage) == "evaluation":
        judged = blocks[1].instances
        extents |= params.of_stage(judged).method(instances.Method).extents if judged in params.sections() else instances.NOTHING
    for block in blocks:
        own: Any = getattr(block, "extents", {})
        extents |= own(size) if callable(own) else own
    return extents


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def _find_extents(params: Params) -> dict[str, int]:
    """Lengths of dimensions that the data set fixes, and the largest grid of patches; nothing where they are not known."""
    settings, data, before = params.settings(dataset.Settings), open_index(), preview(params)
    names = settings.classes or (before.class_names if isinstance(before, Preview) else None)
    names = names or (tuple(data.class_names[1:]) if data is not None else None)
    if names is None:
        return {}
    patches = _read_describer("features", params).extents(settings.max_size) if "features" in params.sections() else {}
    height, width = settings.max_size
    return {**FIXED, "y": height, "x": width, "class": 1 + len(names), "predicted": 2 + len(names), **patches}


def preview(params: Params) -> Preview | SeedbedError:
    """What is known of the raw data, or why nothing is."""
    try:
        return params.method(dataset.Method).preview(params.raw_root())
    except SeedbedError as error:
        return error


def open_index() -> Artifact | None:
    """The data set, if it is there."""
    try:
        return open_artifact("dataset")
    except ArtifactError:
        return None


def _read_indexed_splits() -> dict[str, bool] | None:
    data = open_index()
    return None if data is None else data.splits_labelled


def _collect_refusals(*acts: Callable[[], object]) -> Iterator[SeedbedError]:
    for act in acts:
        try:
            act()
        except SeedbedError as error:
            yield error


def _locate(error: SeedbedError, block: object, address: str) -> SeedbedError:
    """The same error with the address of the parameter, of which blocks, which do not know where they stand, say only the end."""
    end = re.sub(r"^params.yaml: ", "", error.where)
    places = [f"{place}.{name}" for place, one in blocks(block, address) for name in identity(one)]
    whole = [place for place in places if place == end or place.endswith(f".{end}")]
    where = f"params.yaml: {whole[0] if len(whole) == 1 else f'{address}: {end}'}"
    return type(error)(where, found=error.found, expected=error.expected, do=error.do)
