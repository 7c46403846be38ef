"""Which stages `dvc repro` would run, why, and what that takes in time and space."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from rich.table import Table

from seedbed.dataset import Preview
from seedbed.errors import MachineError, join_names
from seedbed.params import Params
from seedbed.report.wording import format_amount, format_count, format_duration
from seedbed.store.artifact import Artifact
from seedbed.store.records import FOLDER, WORK
from seedbed.store.schemas import FIXED, SCHEMAS, find_kind
from seedbed.tools import editing, preflight, provenance
from seedbed.tools.dependencies import CODE
from seedbed.tools.speeds import count_images, estimate_seconds, open_published
from seedbed.tools.work import count_work

Verdict = Literal["runs", "perhaps", "stale", "nothing to do"]
COLOURS: dict[Verdict, str] = {"runs": "yellow", "perhaps": "cyan", "stale": "red", "nothing to do": "green"}
PARAMS, PIPELINE = "params.yaml", "dvc.yaml"
LOST = "what it left is not in DVC's cache"
TOOK = "five to seven minutes on two CPU cores"  # what README.md says of the drawn data set with the parameters of dvc.lock
SHOWN = 4  # names of files in a reason


@dataclass(frozen=True)
class StagePlan:
    """What will happen to one stage."""

    stage: str
    verdict: Verdict  # stale: DVC takes it for up to date, but it is not what it would be made now
    reasons: tuple[str, ...]
    other_parameters: bool = False  # than those that dvc.lock tells of


def plan_stages(params: Params) -> list[StagePlan]:
    """Every stage of the pipeline in this folder, in the order of running."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from networkx import lexicographical_topological_sort

    try:
        repo = Repo()
        own = [stage for stage in repo.index.stages if stage.relpath == PIPELINE]  # others have their folder before their name
        graph = repo.index.graph.subgraph(own)
        written = {stage: place for place, stage in enumerate(own)}
        order = [stage.addressing for stage in lexicographical_topological_sort(graph.reverse(), key=written.__getitem__)]
        before = {stage.addressing: [one.addressing for one in graph.successors(stage)] for stage in graph}
        status = repo.status(targets=[PIPELINE])
    except DvcException as error:
        raise MachineError(
            "dvc", found=str(error), expected="a project that DVC can read", do="run this in the project's folder"
        ) from error
    except OSError as error:
        found = f"a file that cannot be read: {error.strerror}"
        raise MachineError(str(error.filename), found=found, expected="files that DVC can read", do="repair or remove it") from error
    known = provenance.read_recorded()
    plan: dict[str, StagePlan] = {}
    for stage in order:
        waits_for = [one for one in before[stage] if plan[one].verdict != "nothing to do"]
        pending = {f"data/{one}.zarr" for one in waits_for}
        if stage not in known:
            plan[stage] = StagePlan(stage, "runs", ("it never ran here",), other_parameters=True)
        elif stage not in status and (outdated := _find_outdated(stage, params)):
            plan[stage] = StagePlan(stage, "stale", outdated)
        elif stage not in status:
            reasons = (f"if it changes: {join_names(waits_for)}",) if waits_for else ()
            plan[stage] = StagePlan(stage, "perhaps" if waits_for else "nothing to do", reasons)
        elif not _is_unchanged(status[stage], pending):
            plan[stage] = StagePlan(
                stage, "runs", tuple(_describe_changes(status[stage])), other_parameters=_has_other_parameters(status[stage])
            )
        elif _is_lost(status[stage]):
            plan[stage] = StagePlan(stage, "runs", (LOST,))
        else:
            plan[stage] = StagePlan(stage, "perhaps", ("what it reads or left is not in place: taken from DVC's cache if it is there",))
    return [plan[stage] for stage in order]


def _find_outdated(stage: str, params: Params) -> tuple[str, ...]:
    """Why an artifact that DVC takes for up to date is not."""
    artifact = open_published(stage)
    return () if artifact is None else tuple(provenance.find_outdated(artifact, params))


@dataclass(frozen=True)
class Cost:
    """What a stage takes, by the schema and by its last run here. None where nobody knows yet."""

    images: int | None
    seconds: float | None  # to compute everything anew, as fast as the last time
    bytes_per_image: int | None  # before compression
    stored: int | None  # bytes of the artifact


def estimate_cost(stage: str, params: Params) -> Cost:
    """What computing a stage anew would take: an upper bound, since what the store has is reused."""
    made, schema, images = open_published(stage), SCHEMAS[find_kind(stage)], count_images(stage)
    extents = _find_extents(stage, params, open_published("dataset"))
    return Cost(
        images=images,
        seconds=estimate_seconds(stage, images),
        bytes_per_image=None if schema.weights or extents is None else schema.bytes_per_image(extents),
        stored=sum(size for size, _ in made.files.values()) if made is not None else None,
    )


def _find_extents(stage: str, params: Params, data: Artifact | None) -> dict[str, int] | None:
    """Lengths of a stage's dimensions; None while the data set is not indexed, which fixes most of them."""
    if data is None:
        return None
    own = preflight.find_own_extents(stage, params, data.max_size)
    return {**FIXED, "split": len(data.array("split_names")), **data.extents, **own}


def list_remarks(plan: list[StagePlan], params: Params) -> Iterator[str]:
    """What one should know of the selected methods before they run."""
    for one in plan:
        if one.verdict != "nothing to do":
            method = _load_method(one.stage, params)
            if method.remark:
                yield f"{one.stage}: {method.remark}"


def has_never_run(plan: list[StagePlan]) -> bool:
    """Whether nothing has run here and nothing can be had from DVC's cache: the first sight of a fresh clone."""
    left = [one.stage for one in plan if (FOLDER / f"{one.stage}.zarr").exists()]
    return not left and not (FOLDER / WORK).exists() and all(one.verdict == "runs" for one in plan)


def describe_first_run(plan: list[StagePlan], params: Params) -> str:
    """What a first run takes."""
    before = preflight.preview(params)
    images = f" on {before.images:,} images" if isinstance(before, Preview) and before.images else ""
    work = count_work({name: section for name, section in editing.plain(editing.load()).items() if name in {one.stage for one in plan}})
    drawn = params.method_name("dataset") == "shapes" and not any(one.other_parameters for one in plan)
    took = f"With these parameters that took {TOOK}." if drawn else "How long that takes is known when it has run once."
    takes = f": {work}" if any(work.list_parts()) else ""
    return f"Nothing has run here yet. `dvc repro` runs {len(plan)} stages{images}{takes}. {took}"


def _load_method(stage: str, params: Params) -> Any:
    return params.of_stage(stage).method(importlib.import_module(f"seedbed.{find_kind(stage)}").Method)


def tabulate_plan(plan: list[StagePlan]) -> Table:
    """A plan for people."""
    made = Table(box=None, header_style="bold")
    for column in ("stage", "dvc repro", "why"):
        made.add_column(column)
    for one in plan:
        made.add_row(one.stage, f"[{COLOURS[one.verdict]}]{one.verdict}[/]", "; ".join(one.reasons))
    return made


def tabulate_costs(costs: Mapping[str, Cost]) -> Table:
    """What every stage takes, for people."""
    made = Table(box=None, header_style="bold", title="to compute everything anew, and what is on disk now", title_justify="left")
    made.add_column("stage")
    for column in ("images", "an image", "all", "an image, raw", "on disk"):
        made.add_column(column, justify="right")
    for stage, that in costs.items():
        each = that.seconds / that.images if that.seconds is not None and that.images else None
        images = "" if that.images is None else f"{that.images:,}"
        made.add_row(
            stage,
            images,
            format_duration(each),
            format_duration(that.seconds),
            format_amount(that.bytes_per_image),
            format_amount(that.stored),
        )
    return made


def summarise_costs(plan: list[StagePlan], costs: Mapping[str, Cost]) -> str:
    """The plan in a line."""
    waiting = [one.stage for one in plan if one.verdict != "nothing to do"]
    known = [seconds for stage in waiting if (seconds := costs[stage].seconds) is not None]
    stored = sum(that.stored or 0 for that in costs.values())
    unknown = len(waiting) - len(known)
    time = f"At most {format_duration(sum(known))}, as fast as the last time and with nothing known already. " if known else ""
    stages = format_count(unknown, "stage")
    more = f"{'Nothing' if not known else 'Nothing more'} is known of {stages} that never ran here. " if unknown else ""
    if not waiting:
        time = "Everything is up to date. "
    return f"{time}{more}Artifacts take {format_amount(stored)} now; `seedbed gc` says what is kept beside them."


def advise(plan: list[StagePlan]) -> Iterator[str]:
    """What to do about artifacts that `dvc repro` would leave as they are."""
    if stale := [one.stage for one in plan if one.verdict == "stale"]:
        yield f"DVC takes {join_names(stale)} for up to date, so `dvc repro` alone leaves them: run {provenance.describe_remedy(stale)}"


def _is_unchanged(changes: list[Any], pending: set[str]) -> bool:
    """Whether nothing is known to have changed: only artifacts are missing or not the present ones.

    pending: artifacts of earlier stages that will be put in place before this one.
    """
    return all(isinstance(change, dict) and set(change.get("changed deps", {})) <= pending for change in changes)


def _has_other_parameters(changes: list[Any]) -> bool:
    return any(PARAMS in change.get("changed deps", {}) for change in changes if isinstance(change, dict))


def _is_lost(changes: list[Any]) -> bool:
    """Whether DVC's cache lacks something that a stage left."""
    return any("not in cache" in change.get("changed outs", {}).values() for change in changes if isinstance(change, dict))


def _describe_changes(changes: list[Any]) -> Iterator[str]:
    """DVC's findings in words."""
    for change in changes:
        if not isinstance(change, dict):
            yield str(change)  # "changed command"
            continue
        dependencies: dict[str, Any] = change.get("changed deps", {})
        for source, changed in dependencies.items():
            if isinstance(changed, dict):
                yield f"{source}: {_shorten(changed)} changed"
        files = [name for name, changed in dependencies.items() if not isinstance(changed, dict)]
        code = [name for name in files if name.lstrip("./").startswith(CODE)]
        data = [name for name in files if name not in code]
        if code:
            yield f"code changed: {_shorten(code)}"
        if data:
            yield f"data changed: {_shorten(data)}"
        left: dict[str, list[str]] = {}
        for name, changed in change.get("changed outs", {}).items():
            left.setdefault("missing" if changed == "deleted" else changed, []).append(name)
        for how, names in left.items():
            yield f"{_shorten(names)} {'is' if len(names) == 1 else 'are'} {how}"


def _shorten(names: Any) -> str:
    names = list(names)
    return join_names(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
