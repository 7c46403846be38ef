"""What another value of a parameter would make of an image: the method itself, run on that image alone, with nothing written."""

from __future__ import annotations

import dataclasses
import importlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
from pydantic import TypeAdapter

from seedbed import evaluation, instances, refinement, saliency, seeds, superpixels
from seedbed.corrections import Corrections, parse_lines
from seedbed.detected import DetectedMaps
from seedbed.errors import ParamsError, SeedbedError, join_names, nearest
from seedbed.methods import Declaration, Method, identity, load, read_declaration
from seedbed.params import Params, rebuild
from seedbed.reads import AllEvidence, Detected, Edges, Maps, Patches, Pictures, Regions, read_class_maps
from seedbed.report.layers import shade_objects
from seedbed.run.slots import NO_PATH, check_slots
from seedbed.store.artifact import Artifact
from seedbed.store.schemas import NONE, find_kind
from seedbed.types import ClassMaps, Evidence
from seedbed.view.library import Library

PLACE = re.compile(r"\$\{([\w.]+)\}")  # of a value in dvc.yaml


@dataclass(frozen=True)
class Trial:
    """What a stage would make of an image."""

    values: npt.NDArray[Any]  # (y, x), as a layer of the stage has them
    things: tuple[tuple[int, float], ...] = ()  # class and score of each, in the order of their numbers


Compute = Callable[[Any, Any, Library, str], Trial]  # from a method, settings, a run and an image of it


def _class_maps(name: str, library: Library, image_id: str) -> ClassMaps:
    maps = library.artifact(name)
    return read_class_maps(maps, image_id).resize(maps.size(image_id))


def _evidence(settings: Any, library: Library, image_id: str) -> Evidence:
    """What a stage's slots name of an image; not every family has each of them."""
    named = (getattr(settings, slot, NONE) for slot in ("class_maps", "superpixels", "features", "edges"))
    maps, regions, patches, links = (_open_slot(name, library) for name in named)
    known = AllEvidence(library.data, Pictures(None), Maps(maps), Regions(regions), Patches(patches), Edges(links))
    return dataclasses.replace(known[image_id], image=library.photo(image_id))


def _superpixels(method: superpixels.Method, settings: superpixels.Settings, library: Library, image_id: str) -> Trial:
    return Trial(method.partition(library.photo(image_id), Patches(_open_slot(settings.features, library))[image_id]))


def _seeds(method: seeds.Method, settings: seeds.Settings, library: Library, image_id: str) -> Trial:
    labels = method.label(_evidence(settings, library, image_id))
    text = None if settings.corrections == NO_PATH else library.run.read(settings.corrections)
    lines = parse_lines(text or "", where=settings.corrections)
    said = {image_id: lines[image_id]} if image_id in lines else {}
    return Trial(Corrections.of(said, library.data, where=settings.corrections).correct(image_id, labels))


def _refinement(method: refinement.Method, settings: refinement.Settings, library: Library, image_id: str) -> Trial:
    [made] = method.refine([_evidence(settings, library, image_id)])
    return Trial(made.labels)


def _instances(method: instances.Method, settings: instances.Settings, library: Library, image_id: str) -> Trial:
    [found] = method.part([_evidence(settings, library, image_id)])
    return Trial(found.things, tuple(zip(found.classes, found.scores, strict=True)))


def _saliency(method: saliency.Method, settings: saliency.Settings, library: Library, image_id: str) -> Trial:
    known = _evidence(settings, library, image_id)
    maps = DetectedMaps.of(library.run.project / settings.folder, library.data, [image_id]) if method.reads_files else None
    detected = Detected(maps)
    detected.check([image_id])
    found = method.find(known, detected.of(image_id, known.size))
    return Trial(shade_objects(found.objects))


def _evaluation(method: evaluation.Method, settings: evaluation.Settings, library: Library, image_id: str) -> Trial:
    return Trial(method.from_class_maps(_class_maps(settings.class_maps, library, image_id)))


def _open_slot(name: str, library: Library) -> Artifact | None:
    return None if name == NONE else library.artifact(name)


# Kinds of stages whose methods need no network, and how what they make is shown, before they run. The evaluation's is the threshold of
# class maps.
TRIED: dict[str, tuple[Compute, str]] = {
    "superpixels": (_superpixels, "regions"),
    "seeds": (_seeds, "labels"),
    "refinement": (_refinement, "labels"),
    "instances": (_instances, "things"),
    "saliency": (_saliency, "objects"),
    "evaluation": (_evaluation, "labels"),
}


@dataclass(frozen=True)
class Knob:
    """A parameter that can be tried."""

    address: str  # within the method's block, such as crf.iterations
    value: float | bool
    whole: bool
    meaning: str
    lowest: float | None  # that it may have
    highest: float | None


def list_tried(params: Params) -> list[str]:
    """Stages that can be tried, because they make anything."""
    return [section for section in params.sections() if find_kind(section) in TRIED and not _makes_nothing(section, params)]


def _makes_nothing(section: str, params: Params) -> bool:
    try:
        return load(find_kind(section), params.method_name(section)).makes_nothing
    except SeedbedError:
        return False  # whoever chooses it is told what is wrong


def find_shown(stage: str) -> str:
    """How what is tried of a stage is shown."""
    return TRIED[find_kind(stage)][1]


def selected(stage: str, params: Params) -> Method:
    """The method that a run selects for a stage that can be tried."""
    known = list_tried(params)
    if stage not in known:
        raise ParamsError("stage", found=repr(stage), expected=f"one of: {join_names(known)}{nearest(stage, known)}", do="choose one")
    method: Method = params.of_stage(stage).method(_family(stage).Method)
    return method


def _family(stage: str) -> Any:
    return importlib.import_module(f"seedbed.{find_kind(stage)}")


def list_knobs(stage: str, params: Params) -> list[Knob]:
    """Numbers and switches of the method that a stage uses."""
    method = selected(stage, params)
    schema = TypeAdapter(type(method)).json_schema()
    return list(_knobs(method, read_declaration(find_kind(stage), method.name), schema, schema.get("$defs", {}), ""))


def _knobs(block: Any, declared: Declaration | None, schema: Mapping[str, Any], shared: Mapping[str, Any], prefix: str) -> Iterator[Knob]:
    comments = {one.name: one for one in declared.parameters} if declared else {}
    for field in dataclasses.fields(block):
        value, about, told = getattr(block, field.name), schema["properties"][field.name], comments.get(field.name)
        if "$ref" in about:
            about = shared[about["$ref"].rpartition("/")[2]]
        if dataclasses.is_dataclass(value):
            yield from _knobs(value, told.nested if told else None, about, shared, f"{prefix}{field.name}.")
        elif isinstance(value, int | float):
            lowest, highest = (about.get(f"{end}imum", about.get(f"exclusive{end.title()}imum")) for end in ("min", "max"))
            yield Knob(f"{prefix}{field.name}", value, isinstance(value, int), told.comment if told else "", lowest, highest)


def compute(library: Library, params: Params, stage: str, image_id: str, changes: Mapping[str, str]) -> Trial:
    """What a stage would make of an image with other values of some parameters.

    changes: values as YAML writes them, by address within the method's block.
    """
    method = selected(stage, params)
    known = {knob.address for knob in list_knobs(stage, params)}
    block = json.loads(json.dumps(identity(method)))
    for address, text in changes.items():
        where = f"{stage}.{method.name}.{address}"
        if address not in known:
            raise ParamsError(where, found="no number of this method", expected=f"one of: {join_names(sorted(known))}", do="choose one")
        *outer, name = address.split(".")
        inner = block
        for one in outer:
            inner = inner[one]
        try:
            inner[name] = json.loads(text)
        except ValueError as error:
            raise ParamsError(where, found=repr(text), expected="a number, true or false", do="correct it") from error
    made = rebuild(_family(stage).Method, method.name, block, where="tried")
    settings = params.of_stage(stage).settings(_family(stage).Settings)
    settings = dataclasses.replace(settings, **dict.fromkeys(made.unread, NONE))  # which the stage would ask for
    check_slots(stage, settings, made)
    return TRIED[find_kind(stage)][0](made, settings, library, image_id)


def write_changes(stage: str, params: Params, changes: Mapping[str, str]) -> str:
    """What params.yaml has to say for changes to hold."""
    lines = [f"{stage}:", f"  {params.method_name(stage)}:"]
    written: list[str] = []
    for address, text in changes.items():
        *outer, name = address.split(".")
        for depth, one in enumerate(outer):
            if written[: depth + 1] != outer[: depth + 1]:
                lines.append(f"{'  ' * (depth + 2)}{one}:")
        written = outer
        lines.append(f"{'  ' * (len(outer) + 2)}{name}: {text}")
    return "\n".join(lines) + "\n"


def find_affected(pipeline: Mapping[str, Any], params: Mapping[str, Any], stage: str, method: str) -> tuple[list[str], list[str]]:
    """Stages of a dvc.yaml that run when a method's parameters change, and those that run if what they read has changed then.

    Other stages may use the same section, such as the evaluation's CRF.
    """
    stages: Mapping[str, Any] = pipeline.get("stages", {})
    address = f"{stage}.{method}"
    fill = _Filled(params)
    runs = [name for name, one in stages.items() if any(_covers(fill(listed), address) for listed in one.get("params", ()))]
    reads = {name: {fill(dep) for dep in one.get("deps", ())} for name, one in stages.items()}
    leaves = {
        name: {fill(next(iter(out)) if isinstance(out, Mapping) else out) for out in one.get("outs", ())} for name, one in stages.items()
    }
    after = list(runs)
    for one in after:
        after += [name for name in stages if name not in after and leaves[one] & reads[name]]
    return runs, [name for name in stages if name in after and name not in runs]


def _covers(listed: str, address: str) -> bool:
    return listed == address or address.startswith(f"{listed}.") or listed.startswith(f"{address}.")


@dataclass(frozen=True)
class _Filled:
    """Text of a dvc.yaml with the values that it names."""

    params: Mapping[str, Any]

    def __call__(self, text: Any) -> str:
        return PLACE.sub(lambda place: str(self._value(place[1])), str(text))

    def _value(self, address: str) -> Any:
        value: Any = self.params
        for name in address.split("."):
            value = value.get(name, "") if isinstance(value, Mapping) else ""
        return value
