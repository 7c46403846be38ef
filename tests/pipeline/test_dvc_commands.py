"""DVC's own commands go on working on our files: what a run was given, what it scored, and its curves, from one commit to the next."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from seedbed.store.runs import FIGURES, PARAMS
from seedbed.store.schemas import SCHEMAS
from tests.support.histories import History, write

pytestmark = pytest.mark.slow  # DVC takes two seconds to start
PROJECT = Path(__file__).parents[2]
PIPELINE, LOG = "dvc.yaml", "data/plots/segmenter.csv"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of two commits, the second with another threshold of seeds, and what evaluation and a training left."""
    history = History.begin(tmp_path_factory.mktemp("project") / "here")
    root, yaml = history.root, YAML()
    shutil.copy(PROJECT / PIPELINE, root)
    params = yaml.load(PROJECT / PARAMS)
    for threshold, miou, loss in ((0.7, 0.5, 2.0), (0.6, 0.625, 1.0)):
        params["seeds"]["superpixel_background"]["threshold"] = threshold
        yaml.dump(params, root / PARAMS)
        write(root / FIGURES, json.dumps({"seeds": {"miou": miou, "iou": {"a.b": miou}}}))
        write(root / LOG, f"step,loss\n0,3.0\n1,{loss}\n")
        history.git("add", "-A")
        history.git("commit", "-q", "-m", f"threshold {threshold}")
    return root


@pytest.fixture
def dvc(project: Path) -> Any:
    def run(*arguments: str) -> Any:
        command = [sys.executable, "-m", "dvc", *arguments, "--json"]
        return json.loads(subprocess.run(command, cwd=project, capture_output=True, check=True).stdout)

    return run


def test_parameters(dvc: Any) -> None:
    [(address, values)] = dvc("params", "diff", "HEAD~1")[PARAMS].items()
    assert address == "seeds.superpixel_background.threshold" and (values["old"], values["new"]) == (0.7, 0.6)


def test_figures(dvc: Any) -> None:
    changed = dvc("metrics", "diff", "HEAD~1")
    assert changed[FIGURES]["seeds.miou"] == {"old": 0.5, "new": 0.625, "diff": 0.125}


def test_curves(dvc: Any) -> None:
    curves = dvc("plots", "diff", "HEAD~1", "--targets", LOG)["data"]
    [drawn] = curves[LOG]
    points = [(one["rev"], one["step"], one["loss"]) for one in drawn["content"]["data"]["values"]]
    assert sorted(points) == [("HEAD~1", "0", "3.0"), ("HEAD~1", "1", "2.0"), ("workspace", "0", "3.0"), ("workspace", "1", "1.0")]


def test_runs(dvc: Any) -> None:
    [here, commit] = [one["revs"][0] if one.get("revs") else one for one in dvc("exp", "show", "--num", "1")]
    assert here["rev"] == "workspace"
    assert here["data"]["metrics"][FIGURES]["data"]["seeds"]["miou"] == commit["data"]["metrics"][FIGURES]["data"]["seeds"]["miou"] == 0.625


# --- The job script of docs/scale.md ---


def job_script() -> str:
    return (PROJECT / "docs" / "scale.md").read_text(encoding="utf-8").partition("```bash\n")[2].partition("```")[0]


def test_the_job_script_goes_through_the_stages_in_order(project: Path) -> None:
    subprocess.run(["bash", "-n"], input=job_script(), text=True, check=True)
    [(goal, order)] = re.findall(r"\$\(dvc dag --dot (\w+)( \|.*)\); do$", job_script(), re.MULTILINE)
    command = f"{sys.executable} -m dvc dag --dot {goal}{order}"
    stages = subprocess.run(["bash", "-c", command], cwd=project, capture_output=True, text=True, check=True).stdout.split()
    assert stages[0] == "dataset" and stages[-1] == "evaluation" and len(set(stages)) == len(stages)
    for before, after in (("classifier", "cams"), ("cams", "seeds"), ("seeds", "segmenter"), ("superpixels", "segmenter")):
        assert stages.index(before) < stages.index(after)


def test_the_job_script_starts_all_that_train_with_srun() -> None:
    [kinds] = re.findall(r"^ +([\w |]+)\)$", job_script(), re.MULTILINE)
    assert {one.strip() for one in kinds.split("|")} == {kind for kind, schema in SCHEMAS.items() if schema.weights}
