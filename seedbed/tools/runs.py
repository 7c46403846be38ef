"""All runs that git keeps - commits and experiments of DVC - as a table: what was changed, and main figures.

Runs that differ in nothing but seeds are put together as mean and spread.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from seedbed.errors import ArtifactError, MachineError, join_names, nearest
from seedbed.params import flatten
from seedbed.store.revisions import Repository
from seedbed.store.runs import FIGURES, LOCK, PARAMS, WORKSPACE, Folder, Revision, Snapshot
from seedbed.tools.compare import ABSENT, CODE
from seedbed.tools.comparison_tables import shorten_names, write_value

SEED = "seed"  # what a parameter is called that is one
MAIN = ("miou", "mean_average_precision")  # of these each kind has one at most
SHOWN = 3  # kinds, the last ones, where none are asked for
CHANGES = 3  # parameters in a cell
NAMES = 3  # of runs in a cell
NOTHING: Any = ({}, {})  # the setting of a run that nothing is on record of


@dataclass(frozen=True)
class OnRecord:
    """What a run was run with, and what came of it."""

    parameters: Mapping[str, Any]  # by address: as dvc.lock has them, or where there is none, params.yaml
    sources: Mapping[str, Any]  # digests of code and raw data by file: of all that is read and no stage made
    figures: Mapping[str, float]  # the main one of each kind
    problem: str = ""  # why nothing can be read, if it cannot

    @classmethod
    def of(cls, run: Snapshot) -> OnRecord:
        """What is on record of a run; one that cannot be read keeps no other from being looked at."""
        try:
            return cls(_read_parameters(run), _read_sources(run), _read_figures(run))
        except MachineError as error:
            return cls({}, {}, {}, str(error))

    @property
    def seeds(self) -> dict[str, Any]:
        """Parameters that are seeds."""
        return {address: value for address, value in self.parameters.items() if _is_seed(address)}

    @cached_property
    def setting(self) -> tuple[dict[str, Any], Mapping[str, Any]]:
        """All but seeds that figures follow from."""
        return {address: value for address, value in self.parameters.items() if not _is_seed(address)}, self.sources


@dataclass(frozen=True)
class Ran:
    """A run among others."""

    name: str  # of the experiment, or the short name of the commit
    date: str  # ISO 8601; empty for the workspace
    subject: str  # of the commit
    record: OnRecord
    before: OnRecord | None  # what it is held against: the run before it, or what an experiment began with

    def changes(self, *, seeds: bool) -> dict[str, tuple[Any, Any]]:
        """Parameters that the run before had otherwise."""
        earlier, later = (one.parameters for one in self._compared)
        differing = {address: (earlier.get(address, ABSENT), later.get(address, ABSENT)) for address in {**earlier, **later}}
        return {address: both for address, both in differing.items() if both[0] != both[1] and (seeds or not _is_seed(address))}

    @property
    def other_changes(self) -> list[str]:
        """Files of code and raw data that the run before had otherwise; what only one of them reads follows from parameters."""
        earlier, later = (one.sources for one in self._compared)
        return sorted(file for file in earlier.keys() & later.keys() if earlier[file] != later[file])

    @property
    def _compared(self) -> tuple[OnRecord, OnRecord]:
        """What is held against each other; twice the same where one of the runs is not known."""
        unknown = self.before is None or self.before.problem or self.record.problem
        return (self.record if unknown or self.before is None else self.before), self.record


@dataclass(frozen=True)
class Setting:
    """Runs that differ in nothing but seeds, the latest first."""

    runs: Sequence[Ran]

    @cached_property
    def distinct(self) -> list[Ran]:
        """Those that are not another's copy, as a commit is of an experiment that was applied."""
        return [one for place, one in enumerate(self.runs) if all(one.record.seeds != other.record.seeds for other in self.runs[:place])]

    def belongs(self, run: Ran) -> bool:
        """Whether a run differs from these in seeds alone."""
        known = run.record.setting != NOTHING and run.record.setting == self.runs[0].record.setting
        # With the same seeds and other figures, something differs that is not on record.
        return known and all(run.record.figures == one.record.figures for one in self.runs if run.record.seeds == one.record.seeds)

    def values(self, kind: str) -> list[float]:
        """A figure of all of them."""
        return [one.record.figures[kind] for one in self.distinct if kind in one.record.figures]


def list_runs(*, number: int, root: Path = Path()) -> list[Ran]:
    """The latest runs, the workspace first if it is another than the last commit.

    number: of commits and experiments.
    """
    repository, found = Repository(root), []
    known: dict[str, OnRecord] = {}

    def record(sha: str) -> OnRecord:
        if sha not in known:
            known[sha] = OnRecord.of(Revision(repository, sha, name=sha[:7]))
        return known[sha]

    commits = repository.history((LOCK, FIGURES), number=number + 1)
    for commit, earlier in zip_longest(commits[:number], commits[1:]):
        if commit:
            found.append((commit.short, commit, earlier and earlier.sha))
    for experiment in repository.experiments()[:number]:
        found.append((experiment.name, repository.describe(experiment.sha), experiment.baseline))
    found = sorted(found, key=lambda one: datetime.fromisoformat(one[1].date), reverse=True)[:number]
    runs = [Ran(name, one.date, one.subject, record(one.sha), record(before) if before else None) for name, one, before in found]
    here, head = Folder(root, name=WORKSPACE), repository.resolve("HEAD")
    if any(here.read(file) != (repository.read(head, file) if head else None) for file in (LOCK, FIGURES)):
        runs.insert(0, Ran(WORKSPACE, "", "", OnRecord.of(here), record(head) if head else None))
    return runs


def put_together(runs: Sequence[Ran]) -> list[Setting]:
    """Runs that differ in nothing but seeds as one, where the latest of them is."""
    found: list[Setting] = []
    for run in runs:
        place = next((place for place, one in enumerate(found) if one.belongs(run)), len(found))
        found[place:] = [Setting([*(found[place].runs if place < len(found) else ()), run]), *found[place + 1 :]]
    return found


def runs_table(settings: Sequence[Setting], *, kinds: Sequence[str] = (), each: bool = False) -> RenderableType:
    """Runs for people.

    kinds: whose figures are shown; if none, the last ones.
    each: whether every run has a row, and seeds are told of.
    """
    if not settings:
        return "no runs: commit dvc.lock and data/metrics after `dvc repro`"
    known = list_kinds(settings)
    if unknown := [kind for kind in kinds if kind not in known]:
        expected = f"one of: {join_names(known)}{nearest(unknown[0], known)}"
        raise ArtifactError(f"--kind {unknown[0]}", found="nothing that has such a figure", expected=expected, do="correct it")
    shown = kinds or known[-SHOWN:]
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("run", overflow="fold")
    table.add_column("date", width=len("2026-11-26"))
    table.add_column("what was changed", overflow="fold")
    for kind in shown:
        table.add_column(escape(kind.replace("_", "\n")), justify="right", no_wrap=True)
    for one in settings:
        changes = "\n".join(_write_changes(one.runs[-1], seeds=each))
        table.add_row(
            escape(_name(one)), _write_date(one.runs[0].date), escape(changes), *(_write_values(one.values(kind)) for kind in shown)
        )
    more = [kind for kind in known if kind not in shown]
    spread = any(len(one.distinct) > 1 for one in settings)
    notes = [
        "mIoU; of the classifier, mean average precision" if "classifier" in shown else "mIoU",
        *(["± standard deviation over seeds (how many)"] if spread else []),
        *([f"--kind shows others: {', '.join(more)}"] if more else []),
    ]
    return Group(table, "", f"[dim]{escape('; '.join(notes))}[/]")


def list_kinds(settings: Sequence[Setting]) -> list[str]:
    """All that some run has a main figure of."""
    return list(dict.fromkeys(kind for one in settings for run in one.runs for kind in run.record.figures))


def runs_as_json(settings: Sequence[Setting]) -> list[dict[str, Any]]:
    """Runs as plain data, those that differ in seeds together."""
    return [
        {
            "runs": [
                {
                    "name": run.name,
                    "date": run.date,
                    "subject": run.subject,
                    "problem": run.record.problem,
                    "seeds": run.record.seeds,
                    "figures": run.record.figures,
                }
                for run in one.runs
            ],
            "changed": {address: {"before": was, "after": now} for address, (was, now) in one.runs[-1].changes(seeds=False).items()},
            "other_changes": one.runs[-1].other_changes,
            "figures": {
                kind: {
                    "mean": round(statistics.fmean(values), 6),
                    "sd": round(statistics.stdev(values), 6) if len(values) > 1 else None,
                    "n": len(values),
                }
                for kind in list_kinds([one])
                for values in [one.values(kind)]
            },
        }
        for one in settings
    ]


def _read_parameters(run: Snapshot) -> dict[str, Any]:
    if run.lock:
        return {address: value for stage in run.lock.values() for address, value in flatten(stage.get("params", {}).get(PARAMS, {}))}
    return dict(flatten(run.params))


def _read_sources(run: Snapshot) -> dict[str, Any]:
    made = {out["path"] for stage in run.lock.values() for out in stage.get("outs", ())}
    read = {one["path"]: one.get("md5") for stage in run.lock.values() for one in stage.get("deps", ())}
    return {file: md5 for file, md5 in read.items() if file not in made}


def _read_figures(run: Snapshot) -> dict[str, float]:
    kinds = {kind: content for kind, content in run.figures.items() if isinstance(content, Mapping)}
    return {kind: content[name] for kind, content in kinds.items() for name in MAIN if isinstance(content.get(name), int | float)}


def _is_seed(address: str) -> bool:
    return address.rpartition(".")[2] == SEED


def _write_changes(run: Ran, *, seeds: bool) -> Iterator[str]:
    if run.record.problem:
        yield run.record.problem
    changes = [*run.changes(seeds=seeds).items()]
    changes.sort(key=lambda one: ABSENT in one[1])  # those of methods that were not selected before, or are not any more, come last
    for address, (before, after) in changes[:CHANGES]:
        if before is ABSENT:
            yield f"{address}: {write_value(after)}, new"
        elif after is ABSENT:
            yield f"{address}: gone"
        else:
            yield f"{address}: {write_value(before)} -> {write_value(after)}"
    if len(changes) > CHANGES:
        yield f"and {len(changes) - CHANGES} more parameters"
    code = [file for file in run.other_changes if file.startswith(CODE)]
    data = [file for file in run.other_changes if file not in code]
    if data:
        yield f"data: {shorten_names(data)}"
    if code:
        yield f"code: {len(code)} files" if changes and len(code) > 1 else f"code: {shorten_names(code)}"


def _write_date(date: str) -> str:
    return date[:16].replace("T", " ")


def _write_values(values: Sequence[float]) -> str:
    if len(values) < 2:
        return f"{values[0]:.4f}" if values else ""
    return f"{statistics.fmean(values):.4f} ±{statistics.stdev(values):.4f} ({len(values)})"


def _name(one: Setting) -> str:
    names = [run.name for run in one.runs]
    return "\n".join(names[:NAMES]) + (f"\nand {len(names) - NAMES} more" if len(names) > NAMES else "")
