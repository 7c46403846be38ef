"""Which stages `dvc repro` would run, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich.table import Table
from ruamel.yaml import YAML

from seedbed.errors import MachineError, listed

Verdict = Literal["runs", "perhaps", "nothing to do"]
COLOURS: dict[Verdict, str] = {"runs": "yellow", "perhaps": "cyan", "nothing to do": "green"}
SHOWN = 4  # names of files in a reason


@dataclass(frozen=True)
class Planned:
    """What will happen to one stage."""

    stage: str
    verdict: Verdict
    reasons: tuple[str, ...]


def planned() -> list[Planned]:
    """Every stage in the order of running."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from networkx import lexicographical_topological_sort

    try:
        repo = Repo()
        graph = repo.index.graph
        written = {stage: place for place, stage in enumerate(repo.index.stages)}
        order = [stage.addressing for stage in lexicographical_topological_sort(graph.reverse(), key=written.__getitem__)]
        before = {stage.addressing: [one.addressing for one in graph.successors(stage)] for stage in graph}
        status = repo.status()
    except DvcException as error:
        raise MachineError(
            "dvc", found=str(error), expected="a project that DVC can read", do="run this in the project's folder"
        ) from error
    known = _recorded()
    plan: dict[str, Planned] = {}
    for stage in order:
        waits_for = [one for one in before[stage] if plan[one].verdict != "nothing to do"]
        if stage not in known:
            plan[stage] = Planned(stage, "runs", ("it never ran here",))
        elif stage in status and _restorable(status[stage], {f"data/{one}.zarr" for one in waits_for}):
            plan[stage] = Planned(stage, "perhaps", ("what it reads or left is not in place: taken from DVC's cache if it is there",))
        elif stage in status:
            plan[stage] = Planned(stage, "runs", tuple(_reasons(status[stage])))
        elif waits_for:
            plan[stage] = Planned(stage, "perhaps", (f"if it changes: {listed(waits_for)}",))
        else:
            plan[stage] = Planned(stage, "nothing to do", ())
    return [plan[stage] for stage in order]


def table(plan: list[Planned]) -> Table:
    """A plan for people."""
    made = Table(box=None, header_style="bold")
    for column in ("stage", "dvc repro", "why"):
        made.add_column(column)
    for one in plan:
        made.add_row(one.stage, f"[{COLOURS[one.verdict]}]{one.verdict}[/]", "; ".join(one.reasons))
    return made


def _recorded() -> set[str]:
    """Stages of which dvc.lock tells what they were run with."""
    lock = Path("dvc.lock")
    content: Mapping[str, Any] = YAML(typ="safe").load(lock.read_text(encoding="utf-8")) if lock.is_file() else {}
    return set((content or {}).get("stages", {}))


def _restorable(changes: list[Any], pending: set[str]) -> bool:
    """Whether nothing is known to have changed: only artifacts are missing or not the present ones.

    pending: artifacts of earlier stages that will be put in place before this one.
    """
    return all(isinstance(change, dict) and set(change.get("changed deps", {})) <= pending for change in changes)


def _reasons(changes: list[Any]) -> Iterator[str]:
    """DVC's findings in words."""
    for change in changes:
        if not isinstance(change, dict):
            yield str(change)  # "changed command"
            continue
        dependencies: dict[str, Any] = change.get("changed deps", {})
        for source, changed in dependencies.items():
            if isinstance(changed, dict):
                yield f"{source}: {_some(changed)} changed"
        files = [name for name, changed in dependencies.items() if not isinstance(changed, dict)]
        code = [name for name in files if name.endswith(".py")]
        data = [name for name in files if name not in code]
        if code:
            yield f"code changed: {_some(code)}"
        if data:
            yield f"data changed: {_some(data)}"
        for name, changed in change.get("changed outs", {}).items():
            yield f"{name} is {'missing' if changed == 'deleted' else changed}"


def _some(names: Any) -> str:
    names = list(names)
    return listed(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
