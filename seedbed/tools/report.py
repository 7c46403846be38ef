"""The command `report`: gathers what a run left, and has the page written."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from seedbed import methods
from seedbed.errors import ArtifactError, MachineError, SeedbedError
from seedbed.images import Images
from seedbed.report.contents import Run, Setting
from seedbed.report.graph import Stage
from seedbed.report.page import write_page
from seedbed.report.tables import Table
from seedbed.report.wording import format_amount, format_duration
from seedbed.scoring.judgement import CLASS_MAPS, PREDICTIONS, SALIENCY, SUPERPIXELS
from seedbed.scoring.truth import Truth
from seedbed.store.artifact import Artifact
from seedbed.store.records import FOLDER
from seedbed.store.runs import FIGURES, WORKSPACE, Snapshot, open_run
from seedbed.store.schemas import NONE, SCHEMAS, find_kind
from seedbed.store.store import Store
from seedbed.tools.photographs import find_raw_root
from seedbed.types import Image, LabelMap

PIPELINE, PLOTS = "dvc.yaml", "data/plots"
READ = re.compile(r"data/([^/]+)\.zarr")
SLOT = re.compile(r"\$\{([\w.]+)\}")


def write_report(run: str, file: Path, *, images: int) -> int:
    """Write the report of a run, and say how many bytes that took.

    run: as `seedbed compare` names it.
    """
    with open_run(run) as opened:
        if not set(opened.artifacts()) - {NONE} and opened.read(FIGURES) is None:
            where = str(FOLDER) if opened.name == WORKSPACE else opened.name
            found = "no run: neither artifacts nor figures"
            raise ArtifactError(where, found=found, expected="what `dvc repro` leaves", do="run `dvc repro`")
        content = write_page(gather(opened), images=images).encode()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return len(content)


class Gathered:
    """Images and artifacts of a run, each opened once; what cannot be opened is an error whenever it is asked for."""

    def __init__(self, run: Snapshot) -> None:
        self._run = run
        self._opened: dict[str, Artifact | SeedbedError] = {}

    def names(self) -> list[str]:
        """Artifacts but that of the data set, in the order of the stages."""
        return [name for name in self._run.artifacts() if name not in ("dataset", NONE)]

    def artifact(self, name: str) -> Artifact:
        """One of them."""
        if name not in self._opened:
            try:
                self._opened[name] = self._run.artifact(name)
            except SeedbedError as error:
                self._opened[name] = error
        opened = self._opened[name]
        if isinstance(opened, SeedbedError):
            raise opened
        return opened

    def photo(self, image_id: str) -> Image:
        """An image as the stages see it."""
        return self._pictures[image_id]

    def truth(self, image_id: str) -> LabelMap | None:
        """Its true classes; None where nobody knows them."""
        return self._truth[image_id]

    @cached_property
    def _pictures(self) -> Images:
        return Images(find_raw_root(self._run), self.artifact("dataset"))

    @cached_property
    def _truth(self) -> Truth:
        return Truth.of_images(self._pictures)


def gather(run: Snapshot) -> Run:
    """What there is to report of a run."""
    problems: list[str] = []
    params = _try(lambda: run.params, problems)
    pipeline = _try(lambda: _read_pipeline(run), problems)
    source, stages = Gathered(run), pipeline.get("stages", {})
    stages = stages if isinstance(stages, Mapping) else {}
    evaluation = _section(params, "evaluation")
    reads = _list_reads(stages, params) or _recorded_reads(run)
    trained = [name for name, stage in stages.items() if f"{PLOTS}/{name}.csv" in _plots(stage)]
    labels = evaluation.get("labels")
    slots: dict[str, Any] = {CLASS_MAPS: evaluation.get(CLASS_MAPS), **(labels if isinstance(labels, Mapping) else {})}
    slots |= {name: evaluation.get(name) for name in (SUPERPIXELS, SALIENCY, PREDICTIONS)}
    return Run(
        name=f"the {run.name}" if run.name == WORKSPACE else run.name,
        root=str(_section(params, "dataset").get("root", "")),
        stages=_describe_stages(run, source, reads, params),
        settings=_list_settings(params, _find_params_in_git(run)),
        figures=_try(lambda: run.figures, problems),
        tables=dict(_find_tables(run, [*trained, "thresholds", *(f"confusion_{kind}" for kind in slots)])),
        trained=trained,
        slots={kind: artifact for kind, artifact in slots.items() if isinstance(artifact, str) and artifact != NONE},
        split=str(evaluation.get("split", "train")),
        source=source,
        problems=problems,
    )


def _try(read: Callable[[], Mapping[str, Any]], problems: list[str]) -> Mapping[str, Any]:
    try:
        return read()
    except SeedbedError as error:
        problems.append(str(error))
        return {}


def _section(params: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = params.get(name)
    return section if isinstance(section, Mapping) else {}


# Stages.


def _read_pipeline(run: Snapshot) -> Mapping[str, Any]:
    text = run.read(PIPELINE)
    try:
        content = YAML(typ="safe").load(text or "")
    except (YAMLError, ValueError, RecursionError) as error:
        found = f"what cannot be read: {str(error).partition(chr(10))[0]}"
        raise MachineError(f"{PIPELINE} of {run.name}", found=found, expected="the stages", do="restore it") from error
    return content if isinstance(content, Mapping) else {}


def _list_reads(stages: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Artifacts that each stage reads, as dvc.yaml and the slots of params.yaml say."""
    found = {}
    for name, stage in stages.items():
        dependencies = stage.get("deps") if isinstance(stage, Mapping) else None
        paths = [SLOT.sub(lambda slot: _look_up(params, slot[1]), one) for one in dependencies or () if isinstance(one, str)]
        read = [match[1] for path in paths if (match := READ.fullmatch(path))]
        found[name] = tuple(dict.fromkeys(one for one in read if one != NONE))
    return found


def _look_up(params: Mapping[str, Any], address: str) -> str:
    value: Any = params
    for part in address.split("."):
        value = value.get(part, "") if isinstance(value, Mapping) else ""
    return str(value)


def _recorded_reads(run: Snapshot) -> dict[str, tuple[str, ...]]:
    """The same as artifacts say: all that is known of a folder without dvc.yaml."""
    records = {name: run.record(name) for name in run.artifacts() if name != NONE}
    return {name: tuple(one for one in record.get("made_by", {}).get("inputs", ()) if one in records) for name, record in records.items()}


def _plots(stage: Any) -> list[str]:
    """Files that a stage leaves for plots."""
    plots = stage.get("plots") if isinstance(stage, Mapping) else None
    return [str(next(iter(one), "")) if isinstance(one, Mapping) else str(one) for one in plots or ()]


def _describe_stages(run: Snapshot, source: Gathered, reads: Mapping[str, tuple[str, ...]], params: Mapping[str, Any]) -> list[Stage]:
    there, told = set(run.artifacts()), {}
    for name in reads:
        try:
            told[name] = (source.artifact(name), "") if name in there else (None, "it never ran here")
        except SeedbedError as error:
            told[name] = None, str(error)
    last = {
        name: next(reversed(Store(name, folder=opened.path.parent).speeds()), None)
        for name, (opened, _) in told.items()
        if opened is not None
    }
    whole = sum(speed["seconds"] for speed in last.values() if speed)
    stages = []
    for name, (opened, problem) in told.items():
        declared = str(_section(params, name).get("method", ""))
        if opened is None:
            stages.append(Stage(name, declared, reads[name], problem=problem, damaged=name in there))
            continue
        speed, counted = last[name], not SCHEMAS[opened.kind].weights
        stages.append(
            Stage(
                name,
                opened.made_by.method,
                reads[name],
                took=format_duration(speed["seconds"]) if speed else "",
                share=speed["seconds"] / whole if speed else 0,
                computed="" if speed is None else f"{speed['computed']:,}" + ("" if counted else " steps"),
                reused=f"{max(0, len(opened) - speed['computed']):,}" if speed and counted else "",
                images=f"{len(opened):,}" if counted else "",
                disk=format_amount(sum(size for size, _ in opened.files.values())),
            )
        )
    return stages


# Parameters.


def _find_params_in_git(run: Snapshot) -> Mapping[str, Any]:
    """What params.yaml of the last commit says, where the run is the workspace's; empty where nobody knows."""
    if run.name != WORKSPACE:
        return {}
    try:
        with open_run("HEAD") as committed:
            return committed.params
    except SeedbedError:
        return {}


def _list_settings(params: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, list[Setting]]:
    """Parameters of the selected methods, by section."""
    found = {}
    for family, section in params.items():
        if isinstance(section, Mapping):
            kind = find_kind(str(family))
            others = set(methods.list_available(kind)) - {section.get("method")} if kind in methods.list_families() else set()
            then = dict(_flatten(before, ""))
            found[str(family)] = [
                Setting(address, value, then.get(address, "nothing") if before and then.get(address) != value else None)
                for address, value in _flatten({family: {key: one for key, one in section.items() if key not in others}}, "")
            ]
    return found


def _flatten(content: Mapping[Any, Any], prefix: str) -> Iterator[tuple[str, str]]:
    """Addresses and values."""
    for key, value in content.items():
        if isinstance(value, Mapping) and value:
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", '""' if value == "" else str(value)


# Tables.


def _find_tables(run: Snapshot, names: list[str]) -> Iterator[tuple[str, Callable[[], Table]]]:
    """Tables that the run left, to be read when they are wanted: what is wrong with one is said where it would stand."""
    for name in names:
        file = f"{PLOTS}/{name}.csv"
        try:
            text = run.read(file)
        except SeedbedError as error:
            yield name, partial(_refuse, error)
            continue
        if text is not None:
            yield name, partial(Table.parse, text, file=file)


def _refuse(error: SeedbedError) -> Table:
    raise error
