"""Commits and experiments as a table: what was changed, what came of it, and seeds of one setting together."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from seedbed import cli
from seedbed.tools.runs import Setting, list_runs, put_together
from tests.support.histories import History, lock, write


def run(history: History, miou: float, *, code: str = "1", raw: str = "1", stale: Any = None, **parameters: Any) -> None:
    """Write what a run leaves: its parameters, what it read, and one figure. `_` stands for a dot in names of parameters.

    stale: other parameters than it ran with, in params.yaml.
    """
    ran = {name.replace("_", "."): value for name, value in parameters.items()}
    stages = {
        "dataset": {"deps": {"data/raw/shapes": raw}, "outs": {"data/dataset.zarr": raw}},
        "seeds": {
            "deps": {"data/dataset.zarr": raw, "seedbed/seeds/threshold.py": code},
            "params": ran,
            "outs": {"data/seeds.zarr": str(miou)},
        },
        "evaluation": {"deps": {"data/seeds.zarr": str(miou), "stages/evaluation.py": "1"}},
    }
    figures = {"classifier": {"mean_average_precision": 0.5}, "seeds": {"miou": miou, "iou": {"cat": 1}}}
    history.write(params=stale or ran, recorded=lock(**stages), figures=figures)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    """Commits, of which one changed no run, and experiments with other seeds; no test changes it."""
    made = History.begin(tmp_path_factory.mktemp("history") / "project")
    run(made, 0.1, tau=1, a_seed=0)
    made.commit("first")
    run(made, 0.2, tau=2, a_seed=0)
    made.commit("higher tau")
    made.write(params={"tau": 3})
    made.commit("only thought of")
    for seed, miou in ((1, 0.3), (2, 0.4)):
        run(made, miou, tau=2, a_seed=seed)
        made.experiment(f"seed-{seed}")
    run(made, 0.25, tau=2, a_seed=0, code="2")
    made.commit("other code")
    return made


def describe(settings: list[Setting]) -> list[tuple[list[str], list[float], Mapping[str, Any], list[str]]]:
    """Names, figures and changes of each row."""
    return [
        ([run.subject for run in one.runs], one.values("seeds"), one.runs[-1].changes(seeds=False), one.runs[-1].other_changes)
        for one in settings
    ]


def test_seeds_of_one_setting_are_put_together(history: History) -> None:
    experiments = [f"dvc: commit experiment seed-{seed}" for seed in (2, 1)]
    assert describe(put_together(list_runs(number=9, root=history.root))) == [
        (["other code"], [0.25], {}, ["seedbed/seeds/threshold.py"]),
        ([*experiments, "higher tau"], [0.4, 0.3, 0.2], {"tau": (1, 2)}, []),
        (["first"], [0.1], {}, []),
    ]


def test_each_run_by_itself_the_latest_first(history: History) -> None:
    found = list_runs(number=9, root=history.root)
    assert [one.name for one in found[1:3]] == ["seed-2", "seed-1"]
    assert [one.subject for one in (found[0], *found[3:])] == ["other code", "higher tau", "first"], "only those that left something"
    assert found[1].changes(seeds=True) == {"a.seed": (0, 2)} and found[1].changes(seeds=False) == {}
    assert [len(list_runs(number=number, root=history.root)) for number in (1, 2, 4)] == [1, 2, 4]
    assert list_runs(number=3, root=history.root)[0].other_changes, "what lies before those that are listed is looked at too"
    assert list_runs(number=1, root=history.root)[0].other_changes


def test_the_workspace_is_first_where_it_is_another_run(tmp_path: Path) -> None:
    history = History.begin(tmp_path)
    run(history, 0.1, tau=1)
    assert [one.name for one in list_runs(number=5, root=tmp_path)] == ["workspace"], "before the first commit"
    history.commit("first")
    history.write(params={"tau": 7})
    assert [one.subject for one in list_runs(number=5, root=tmp_path)] == ["first"], "what has not run is no run"
    run(history, 0.4, tau=7)
    here, first = list_runs(number=5, root=tmp_path)
    assert (here.name, here.date, here.record.figures, here.changes(seeds=False)) == (
        "workspace",
        "",
        {"classifier": 0.5, "seeds": 0.4},
        {"tau": (1, 7)},
    )
    assert (first.subject, first.record.figures) == ("first", {"classifier": 0.5, "seeds": 0.1})


def test_what_ran_counts_and_not_what_params_yaml_says(tmp_path: Path) -> None:
    history = History.begin(tmp_path)
    run(history, 0.1, tau=1)
    history.commit()
    run(history, 0.2, tau=2, stale={"tau": 9})
    history.commit()
    assert list_runs(number=5, root=tmp_path)[0].changes(seeds=False) == {"tau": (1, 2)}


def test_what_is_no_seed_of_one_setting(tmp_path: Path) -> None:
    """Other code, other raw data, or other figures in spite of all being the same."""
    history = History.begin(tmp_path)
    for seed, (miou, code, raw) in enumerate([(0.1, "1", "1"), (0.2, "2", "1"), (0.3, "1", "2")]):
        run(history, miou, code=code, raw=raw, tau=1, a_seed=seed)
        history.commit()
    run(history, 0.4, code="1", raw="2", tau=1, a_seed=2)
    history.commit()
    assert [one.values("seeds") for one in put_together(list_runs(number=9, root=tmp_path))] == [[0.4], [0.3], [0.2], [0.1]]
    run(history, 0.3, code="1", raw="2", tau=1, a_seed=2)
    history.commit("a copy of the third")
    together = put_together(list_runs(number=9, root=tmp_path))
    assert [one.values("seeds") for one in together] == [[0.3], [0.4], [0.2], [0.1]], "a copy counts once"
    assert len(together[0].runs) == 2


def test_commits_of_which_nothing_is_on_record_are_not_one_setting(tmp_path: Path) -> None:
    history = History.begin(tmp_path)
    for miou in (0.1, 0.2):
        history.write(figures={"seeds": {"miou": miou}})
        history.commit()
    assert [one.values("seeds") for one in put_together(list_runs(number=9, root=tmp_path))] == [[0.2], [0.1]]


def test_a_commit_that_cannot_be_read_keeps_no_other_from_being_listed(tmp_path: Path) -> None:
    history = History.begin(tmp_path)
    for tau in (1, 2):
        run(history, 0.1 * tau, tau=tau)
        history.commit(f"tau {tau}")
        write(tmp_path / "dvc.lock", "<<<<<<< HEAD: [")
        history.commit(f"a conflict, {tau}")
    found = list_runs(number=9, root=tmp_path)
    assert [one.subject for one in found] == ["a conflict, 2", "tau 2", "a conflict, 1", "tau 1"]
    assert [bool(one.record.problem) for one in found] == [True, False, True, False]
    assert found[0].record.problem.startswith("dvc.lock of ") and "found what cannot be read" in found[0].record.problem
    assert [one.changes(seeds=True) for one in found] == [{}] * 4 and [len(one.runs) for one in put_together(found)] == [1] * 4


# As it is typed.


def seedbed(root: Path, *arguments: str) -> tuple[int, str]:
    """Type a command."""
    with contextlib.chdir(root):
        done = CliRunner().invoke(cli.app, ["runs", *arguments], env={"COLUMNS": "100", "TERM": "dumb"})
    lines = (re.sub(r"^[0-9a-f]{7}\b", "SHORT67", line).rstrip() for line in done.output.splitlines())
    return done.exit_code, re.sub(r" 12:\d\d\b", " TIME", "\n".join(lines))


PRINTED = """\
run      date        what was changed                          classifier               seeds
SHORT67  2026-01-01  code: seedbed/seeds/threshold.py              0.5000              0.2500
         TIME
seed-2   2026-01-01  tau: 1 -> 2                       0.5000 ±0.0000 (3)  0.3000 ±0.1000 (3)
seed-1   TIME
SHORT67
SHORT67  2026-01-01                                                0.5000              0.1000
         TIME

mIoU; of the classifier, mean average precision; ± standard deviation over seeds (how many)"""


def test_what_is_printed(history: History) -> None:
    assert seedbed(history.root, "-n", "9") == (0, PRINTED)


def test_each_tells_of_seeds(history: History) -> None:
    code, printed = seedbed(history.root, "--each", "--kind", "seeds")
    assert code == 0 and re.search(r"seed-2 +2026-01-01  a\.seed: 0 -> 2 +0\.4000", printed)
    assert printed.endswith("\nmIoU; --kind shows others: classifier")


def test_json(history: History) -> None:
    code, printed = seedbed(history.root, "--json")
    content = json.loads(printed)
    assert code == 0 and [len(one["runs"]) for one in content] == [1, 3, 1]
    assert content[1]["changed"] == {"tau": {"before": 1, "after": 2}}
    assert content[1]["figures"]["seeds"] == {"mean": 0.3, "sd": 0.1, "n": 3}
    assert content[0]["figures"]["seeds"] == {"mean": 0.25, "sd": None, "n": 1}
    assert content[1]["runs"][0] == {
        "name": "seed-2",
        "date": content[1]["runs"][0]["date"],
        "subject": "dvc: commit experiment seed-2",
        "problem": "",
        "seeds": {"a.seed": 2},
        "figures": {"classifier": 0.5, "seeds": 0.4},
    }


def test_an_unknown_kind(history: History) -> None:
    expected = "expected one of: classifier, seeds (nearest: seeds); correct it"
    assert seedbed(history.root, "--kind", "seed") == (2, f"error: --kind seed: found nothing that has such a figure; {expected}")


def test_without_runs_or_git(tmp_path: Path) -> None:
    assert seedbed(tmp_path) == (2, f"error: {tmp_path}: found no git repository; expected one that keeps runs; name folders instead")
    History.begin(tmp_path)
    assert seedbed(tmp_path) == (0, "no runs: commit dvc.lock and data/metrics after `dvc repro`")
