"""The real graph under the real DVC, on a tiny world: what runs, what does not, and what `seedbed plan` says beforehand."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import json
import logging
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from dvc.repo import Repo
from PIL import Image
from ruamel.yaml import YAML
from typer.testing import CliRunner, Result

from seedbed import cli
from seedbed.params import Params
from seedbed.run.stage import Run
from seedbed.store.artifact import Artifact, open_artifact
from seedbed.store.records import digest
from seedbed.store.store import Store
from tests.support.blank_charts import blank_charts
from tests.support.small import shrunk

PROJECT = Path(__file__).parents[2]
COPIED = ("seedbed", "stages", "dvc.yaml", ".dvcignore", ".dvc/config", "data/raw/shapes/.gitignore", "data/none.zarr")
STAGES = [
    "dataset",
    "pretraining",
    "features",
    "superpixels",
    "classifier",
    "cams",
    "seeds",
    "affinity",
    "edges",
    "refinement",
    "instances",
    "saliency",
    "segmenter",
    "predictions",
    "evaluation",
]

Edit = Callable[[dict[str, Any]], None]


def seedbed(folder: Path, *arguments: str) -> Result:
    """A command of ours in this process, which has imported already what takes most of its time."""
    with contextlib.chdir(folder):
        done = CliRunner().invoke(cli.app, list(arguments), env={"COLUMNS": "400"})
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


class Ran(logging.Handler):
    """Hears which stages DVC runs."""

    def __init__(self) -> None:
        super().__init__()
        self.stages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Take note of one."""
        self.stages += re.findall(r"^Running stage '(\w+)'", record.getMessage())


class Checkout:
    """A copy of the project with small parameters."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in COPIED:
            target = root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if (PROJECT / name).is_dir():
                shutil.copytree(PROJECT / name, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(PROJECT / name, target)
        self.yaml = YAML(typ="safe")
        self.write(shrunk(self.yaml.load(PROJECT / "params.yaml")))
        subprocess.run(["git", "init", "-q", "."], cwd=root, check=True)

    def params(self) -> dict[str, Any]:
        content: dict[str, Any] = self.yaml.load(self.root / "params.yaml")
        return content

    def write(self, params: dict[str, Any]) -> None:
        self.yaml.dump(params, self.root / "params.yaml")

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """A command as a user of the activated environment would run it."""
        return subprocess.run(command, cwd=self.root, env=self.environment(), capture_output=True, text=True, check=False)

    def environment(self) -> dict[str, str]:
        """Variables of a process."""
        own = {"PYTHONPATH": str(self.root), "SEEDBED_WORKERS": "1", "DVC_NO_ANALYTICS": "1", "COLUMNS": "400"}
        return os.environ | own | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}

    def begun(self, *command: str) -> subprocess.Popen[str]:
        """A command that is under way."""
        return subprocess.Popen(
            command, cwd=self.root, env=self.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )

    def artifact(self, name: str) -> Artifact:
        """What a stage left."""
        return open_artifact(name, folder=self.root / "data")

    def repro(self, *targets: str) -> list[str]:
        """Stages that `dvc repro` runs. DVC is asked in this process, which has read already what it would take longest to read anew."""
        ran = Ran()
        said = logging.getLogger("dvc.stage.run")
        said.setLevel(logging.INFO)
        said.addHandler(ran)
        try:
            with contextlib.chdir(self.root), mock.patch.dict(os.environ, self.environment()), Repo() as repo:
                repo.reproduce(list(targets) or None)
        finally:
            said.removeHandler(ran)
        return ran.stages

    def seedbed(self, *arguments: str) -> Result:
        """A command of ours, typed here."""
        return seedbed(self.root, *arguments)

    def plan(self) -> dict[str, str]:
        """What `seedbed plan` says of every stage."""
        done = self.seedbed("plan")
        assert done.exit_code == 0, done.stderr
        found = (re.match(r"\s*(\w+)\s+(runs|perhaps|stale|nothing to do)\b\s*(.*)", line) for line in done.stdout.splitlines())
        return {match[1]: ": ".join(filter(None, [match[2], match[3].strip()])) for match in found if match}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout as a whole `dvc repro` leaves it. Its stages ran in this process: each as a program would import torch anew."""
    checkout = Checkout(tmp_path_factory.mktemp("project"))
    with contextlib.chdir(checkout.root), blank_charts():
        for stage in STAGES:
            main = importlib.import_module(f"stages.{stage}").main
            main(Run(stage, Params.read(), device_wanted="cpu"))
    with contextlib.chdir(checkout.root), Repo() as repo:
        repo.commit(force=True)
    return checkout


@pytest.fixture
def checkout(finished: Checkout) -> Iterator[Checkout]:
    """The finished checkout; its parameters, and with them its artifacts where others were made, are put back afterwards."""
    before, lock = finished.params(), (finished.root / "dvc.lock").read_bytes()
    yield finished
    if finished.params() != before:
        finished.write(before)
        if (finished.root / "dvc.lock").read_bytes() != lock:
            assert finished.repro() == [], "what was there before comes from the cache"


def test_before_a_first_run_the_plan_says_what_that_takes(tmp_path: Path) -> None:
    first = Checkout(tmp_path).seedbed("plan")
    assert (first.exit_code, first.stderr) == (0, "")
    assert first.stdout.splitlines()[:2] == [
        "Nothing has run here yet. `dvc repro` runs 15 stages on 5 images: 2 trainings, 1 pass of 32 px, 4 views of an image. "
        "How long that takes is known when it has run once.",
        "superpixels: nearly all of its time goes into the dense CRF: in a photograph of 375 x 500, at 20 iterations on one core, about "
        "1.5 s for 10 regions and 2.3 s for 100. crf.iterations: 0 skips the CRF.",
    ]


@pytest.mark.slow  # some stages under DVC, and that it would run nothing after all of them, are in `make test`
def test_dvc_runs_every_stage(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path)
    assert sorted(checkout.repro()) == sorted(STAGES)
    assert checkout.repro() == []
    assert set(checkout.plan().values()) == {"nothing to do"}


def test_a_second_run_runs_nothing(checkout: Checkout) -> None:
    done = checkout.run("dvc", "repro")
    assert (done.returncode, re.findall("Running stage", done.stdout)) == (0, []), done.stdout + done.stderr
    assert set(checkout.plan().values()) == {"nothing to do"}
    assert "\nEverything is up to date. Artifacts take " in checkout.seedbed("plan").stdout


def test_a_fresh_clone_says_what_a_run_takes(finished: Checkout, tmp_path: Path) -> None:
    """Of the repository's own parameters, README.md says it."""
    took = "five to seven minutes on two CPU cores"
    assert f"The pipeline took {took}," in (PROJECT / "README.md").read_text(encoding="utf-8")
    clone = Checkout(tmp_path)
    for name in ("params.yaml", "dvc.lock"):
        shutil.copy(finished.root / name, clone.root)
    done = clone.seedbed("plan")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == (
        "Nothing has run here yet. `dvc repro` runs 15 stages on 5 images: 2 trainings, 1 pass of 32 px, 4 views of an image. "
        f"With these parameters that took {took}."
    )
    params = clone.params()
    params["seeds"]["superpixel_background"]["threshold"] = 0.9
    clone.write(params)
    assert "views of an image. How long that takes is known when it has run once.\n" in clone.seedbed("plan").stdout
    (clone.root / "data/seeds.zarr").mkdir()
    expected = {
        "features": "runs: what it left is not in DVC's cache",
        "seeds": "runs: params.yaml: seeds.superpixel_background changed; data changed: data/dataset.zarr, data/cams.zarr, "
        "data/superpixels.zarr; data/seeds.zarr is not in cache",
    }
    plan = clone.plan()
    assert {stage: plan[stage] for stage in expected} == expected


@pytest.mark.slow
def test_what_dvc_takes_for_up_to_date_and_is_not(checkout: Checkout) -> None:
    """As where params.yaml was edited while a stage ran, and DVC read it when the stage had ended."""
    lock = checkout.root / "dvc.lock"
    before, params = lock.read_bytes(), checkout.params()
    changed = checkout.params()
    changed["superpixels"]["dino"]["threshold"] = 0.6
    changed["seeds"]["superpixel_background"]["threshold"] = 0.9
    checkout.write(changed)
    assert checkout.run("dvc", "commit", "--force", "superpixels", "seeds").returncode == 0
    with contextlib.chdir(checkout.root), Repo() as repo:
        assert repo.status() == {}, "DVC takes all for up to date"
    plan = checkout.plan()
    stale = {stage: verdict for stage, verdict in plan.items() if verdict.startswith("stale")}
    assert stale == {
        "superpixels": "stale: made with threshold 0.7; params.yaml now says 0.6",
        "seeds": "stale: made with threshold 0.7; params.yaml now says 0.9",
    }
    assert plan["segmenter"] == "perhaps: if it changes: seeds, superpixels"
    assert plan["refinement"] == "nothing to do"
    remedy = "dvc repro --force --single-item superpixels seeds"
    advice = f"DVC takes superpixels, seeds for up to date, so `dvc repro` alone leaves them: run `{remedy}`, then `dvc repro`\n"
    assert advice in checkout.seedbed("plan").stdout
    verified = checkout.seedbed("verify", "superpixels").stdout
    assert "superpixels: params.yaml: made with threshold 0.7; params.yaml now says 0.6\n" in verified
    done = checkout.run(*remedy.split())
    assert re.findall(r"Running stage '(\w+)'", done.stdout) == ["superpixels", "seeds"]
    assert {checkout.plan()[stage] for stage in stale} == {"nothing to do"}
    checkout.write(params)
    lock.write_bytes(before)
    assert checkout.run("dvc", "checkout", "--force").returncode == 0
    assert checkout.repro() == []


@pytest.mark.slow
def test_what_another_version_of_a_package_computed(checkout: Checkout) -> None:
    """DVC knows nothing of packages."""
    records = {path: path.read_text(encoding="utf-8") for path in Store("cams", folder=checkout.root / "data").folder.glob("*/zarr.json")}
    for path, text in records.items():
        content = json.loads(text)
        record = content["attributes"]["seedbed"]
        record["recipe"]["packages"]["torch"] = "1.0.0"
        record["digest"] = digest({name: value for name, value in record.items() if name != "digest"})
        path.write_text(json.dumps(content), encoding="utf-8")
    now = importlib.metadata.version("torch").partition("+")[0]
    assert checkout.plan()["cams"] == f"stale: computed with torch 1.0.0, now {now}"
    for path, text in records.items():
        path.write_text(text, encoding="utf-8")
    assert checkout.plan()["cams"] == "nothing to do"


def test_figures_and_pictures_are_left(checkout: Checkout) -> None:
    shown = checkout.seedbed("summary")
    assert shown.exit_code == 0, shown.stderr
    for kind in ("classifier", "class_maps", "seeds", "masks", "superpixels", "predictions", "predictions_crf"):
        assert kind in shown.stdout
    files, _, browser = shown.stdout.partition("Open:\n")[2].partition("\n\n")
    named = [line.split()[0] for line in files.splitlines()]
    assert len(named) == 6 and browser == "Every mask, in the browser: `seedbed view`\n"
    assert all((checkout.root / name).exists() for name in named)


@pytest.mark.parametrize(
    ("edit", "runs", "spared", "target"),
    [
        pytest.param(lambda params: params["dataset"]["folder"].update(classes=["owl"]), [], STAGES, "evaluation", id="unselected method"),
        pytest.param(
            lambda params: params["superpixels"]["dino"].update(threshold=0.1),
            ["superpixels"],
            ["dataset", "features", "classifier", "cams"],
            "seeds",
            id="threshold of superpixels, as far as seeds",
        ),
        pytest.param(
            lambda params: params["superpixels"]["dino"].update(threshold=0.1),
            ["superpixels"],
            ["dataset", "features", "classifier", "cams", "refinement"],
            "evaluation",
            id="threshold of superpixels",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            lambda params: params["evaluation"]["standard"]["crf"].update(smooth_weight=1),
            ["evaluation"],
            STAGES[:-1],
            "evaluation",
            id="final CRF",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            lambda params: params["evaluation"]["standard"]["boundaries"].update(distance=3),
            ["evaluation"],
            STAGES[:-1],
            "evaluation",
            id="tolerance",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_parameter_reruns_what_sees_it_and_nothing_else(
    checkout: Checkout, edit: Edit, runs: list[str], spared: list[str], target: str
) -> None:
    params = checkout.params()
    edit(params)
    checkout.write(params)
    plan = checkout.plan()
    certain = [stage for stage, verdict in plan.items() if verdict.startswith("runs")]
    assert certain == runs
    ran = checkout.repro(target)
    assert set(runs) <= set(ran)
    assert not set(spared) & set(ran)
    assert set(ran) <= {stage for stage, verdict in plan.items() if not verdict.startswith("nothing")}


def test_a_scale_of_class_maps_trains_no_classifier(checkout: Checkout) -> None:
    params = checkout.params()
    params["cams"]["multiscale"]["scales"] = [1.0, 0.5]
    checkout.write(params)
    plan = checkout.plan()
    assert [stage for stage, verdict in plan.items() if verdict == "nothing to do"] == [
        "dataset",
        "pretraining",
        "features",
        "superpixels",
        "classifier",
        "affinity",
        "edges",
        "instances",
        "saliency",
    ]
    assert plan["cams"] == "runs: params.yaml: cams.multiscale changed"


def test_the_plan_gives_the_reason(checkout: Checkout) -> None:
    params = checkout.params()
    params["seeds"]["superpixel_background"]["threshold"] = 0.9
    checkout.write(params)
    plan = checkout.plan()
    assert plan["seeds"] == "runs: params.yaml: seeds.superpixel_background changed"
    assert plan["segmenter"] == "perhaps: if it changes: seeds"
    assert set(plan["evaluation"].removeprefix("perhaps: if it changes: ").split(", ")) == {"seeds", "predictions"}
    assert plan["refinement"] == "nothing to do"


@pytest.mark.slow
def test_a_lost_artifact_comes_from_the_cache(checkout: Checkout) -> None:
    lost = checkout.root / "data/seeds.zarr"
    shutil.rmtree(lost)
    assert checkout.plan()["seeds"] == "perhaps: what it reads or left is not in place: taken from DVC's cache if it is there"
    assert checkout.repro() == []
    assert len(checkout.artifact("seeds")) == 5


@pytest.mark.slow
def test_a_stage_that_is_forced_to_run_computes_nothing_again(checkout: Checkout) -> None:
    """DVC removes an artifact before it runs its stage, but not what the store has."""
    done = checkout.run("dvc", "repro", "--force", "--single-item", "seeds")
    assert done.returncode == 0, done.stderr
    assert "(0 computed, 5 reused, 0 removed)" in done.stderr
    assert checkout.repro() == []


@pytest.mark.slow
def test_a_parameter_that_is_edited_while_its_stage_runs(checkout: Checkout) -> None:
    """DVC reads parameters again when a stage ends: it would take what the stage has not seen for what it was made with."""
    params = checkout.params()
    params["seeds"]["superpixel_background"]["threshold"] = 0.8
    checkout.write(params)
    with checkout.begun("dvc", "repro", "seeds") as repro:
        with Store("seeds", folder=checkout.root / "data").locked():
            assert repro.stderr is not None and "seeds: waiting for process" in repro.stderr.readline()
            params["seeds"]["superpixel_background"]["threshold"] = 0.85
            checkout.write(params)
        _, said = repro.communicate(timeout=60)
    where = "error: params.yaml: seeds.superpixel_background.threshold"
    assert f"{where}: found 0.85; expected 0.8, as when this stage began; run `dvc repro` again" in said
    assert repro.returncode != 0
    assert checkout.plan()["seeds"].startswith("runs: ")
    assert checkout.repro("seeds") == ["seeds"]
    assert checkout.artifact("seeds").made_by.parameters == {"threshold": 0.85}


def test_the_plan_refuses_a_wrong_value_of_an_unselected_method(checkout: Checkout) -> None:
    params = checkout.params()
    params["dataset"]["folder"]["classes"] = 3
    checkout.write(params)
    done = checkout.seedbed("plan")
    assert done.exit_code == 2
    assert done.stderr.startswith("error: params.yaml: dataset.folder.classes: found 3; expected")
    assert done.stderr.count("\n") == 1


def test_the_plan_outside_a_project(tmp_path: Path) -> None:
    done = seedbed(tmp_path, "plan")
    assert done.exit_code == 2
    assert done.stderr == (
        "error: params.yaml: found no such file; expected the parameters of the pipeline; run this in the project's folder\n"
    )


def test_the_plan_tells_what_would_fail_later(checkout: Checkout) -> None:
    params = checkout.params()
    params["predictions"]["split"] = "test"
    params["segmenter"]["region_growing"]["backbone"]["network"] = "resnet51"
    checkout.write(params)
    done = checkout.seedbed("plan")
    assert done.exit_code == 2
    first, second = done.stderr.splitlines()
    assert first.startswith("error: params.yaml: predictions.split: found 'test', to which no image belongs; expected one of: train, val; ")
    assert second.startswith("error: params.yaml: segmenter.region_growing.backbone.network: found 'resnet51'; expected a network of timm")
    assert "predictions  runs" in done.stdout


def test_raw_data_that_dvc_would_wait_for(checkout: Checkout) -> None:
    pipe = checkout.root / "data/raw/shapes/pipe"
    os.mkfifo(pipe)
    try:
        done = checkout.seedbed("plan")
    finally:
        pipe.unlink()
    assert done.exit_code == 2
    found, expected = "1 paths that DVC cannot read: pipe: a pipe", "only readable files and folders"
    do = "remove or rename them, or check their permissions"
    assert done.stderr == f"error: data/raw/shapes: found {found}; expected {expected}; {do}\n"


def test_an_empty_root(checkout: Checkout) -> None:
    params = checkout.params()
    params["dataset"]["root"] = ""
    checkout.write(params)
    done = checkout.seedbed("plan")
    assert done.exit_code == 2
    assert done.stderr.startswith("error: params.yaml: dataset.root: found ''; expected a folder below the project; ")
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_one_changed_mask_trains_nothing_again(checkout: Checkout) -> None:
    """Truth is nothing that any stage but the evaluation could notice."""
    params = checkout.params()
    params["dataset"]["method"] = "folder"
    params["dataset"]["folder"]["classes"] = [str(one) for one in checkout.artifact("dataset").array("class_names")[1:]]
    checkout.write(params)
    checkout.repro()  # the same images, read as a folder of one's own: a drawn world would draw its mask again
    mask = next((checkout.root / "data/raw/shapes/masks").glob("train*.png"))
    kept = mask.read_bytes()
    try:
        with Image.open(mask) as opened:
            emptied = Image.new("L", opened.size, 255)
        emptied.save(mask)
        assert sorted(checkout.repro()) == ["dataset", "evaluation"]
    finally:
        mask.write_bytes(kept)
