"""A second pipeline in a folder beside the first: its own dvc.yaml, params.yaml and data, and the code of the project."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from seedbed.store.artifact import open_artifact
from seedbed.tools.dependencies import list_pipelines, render_pipeline
from tests.pipeline.test_repro import Checkout, seedbed

FOLDER = Path("pipelines/second")


class Second:
    """A pipeline with some of the project's stages, in a folder of a checkout."""

    def __init__(self, checkout: Checkout, stages: Sequence[str]) -> None:
        self.checkout, self.root = checkout, checkout.root / FOLDER
        for name in ("raw", "none.zarr"):
            shutil.copytree(checkout.root / "data" / name, self.root / "data" / name)
        pipeline = checkout.yaml.load(checkout.root / "dvc.yaml")["stages"]
        checkout.yaml.dump({"stages": {stage: pipeline[stage] for stage in stages}}, self.root / "dvc.yaml")
        self.params: dict[str, Any] = {stage: checkout.params()[stage] for stage in stages}
        self.write_params()
        with contextlib.chdir(checkout.root):
            written = {file: render_pipeline(file) for file in list_pipelines()}
        assert list(written) == [Path("dvc.yaml"), FOLDER / "dvc.yaml"]
        for file, text in written.items():
            (checkout.root / file).write_text(text, encoding="utf-8")

    def write_params(self) -> None:
        """Let its params.yaml say what `params` does."""
        self.checkout.yaml.dump(self.params, self.root / "params.yaml")

    def repro(self) -> list[str]:
        """Stages that `dvc repro`, typed there, ran."""
        done = subprocess.run(["dvc", "repro"], cwd=self.root, env=self.checkout.environment(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return re.findall(r"Running stage '(\w+)'", done.stdout)

    def plan(self) -> dict[str, str]:
        """What `seedbed plan`, typed there, says of every stage."""
        done = seedbed(self.root, "plan")
        assert (done.exit_code, done.stderr) == (0, "")
        found = (re.match(r"\s*(\S+)\s+(runs|perhaps|stale|nothing to do)\b\s*(.*)", line) for line in done.stdout.splitlines())
        return {match[1]: ": ".join(filter(None, [match[2], match[3].strip()])) for match in found if match}


@pytest.mark.slow
def test_a_pipeline_in_a_folder_is_planned_and_runs_there(tmp_path: Path) -> None:
    second = Second(Checkout(tmp_path), ["dataset"])
    first = seedbed(second.root, "plan")
    assert (first.exit_code, first.stderr) == (0, "")
    assert first.stdout.startswith("Nothing has run here yet. `dvc repro` runs 1 stages on 5 images.")
    assert second.repro() == ["dataset"]
    assert second.plan() == {"dataset": "nothing to do"}
    assert "`dvc repro` runs 15 stages on" in seedbed(tmp_path, "plan").stdout, "those of the first pipeline"
    assert len(open_artifact("dataset", folder=second.root / "data").ids) == 5
    assert not (tmp_path / "data" / "dataset.zarr").exists(), "the first pipeline's data are its own"


@pytest.mark.slow
def test_stages_of_a_pipeline_in_a_folder_follow_each_other(tmp_path: Path) -> None:
    stages = ["dataset", "pretraining", "features", "superpixels"]
    second = Second(Checkout(tmp_path), stages)
    assert sorted(second.repro()) == sorted(stages)
    assert set(second.plan().values()) == {"nothing to do"} and sorted(second.plan()) == sorted(stages)
    assert len(open_artifact("superpixels", folder=second.root / "data").ids) == 5
    second.params["superpixels"]["dino"]["threshold"] = 0.9
    second.write_params()
    assert second.plan()["superpixels"] == "runs: params.yaml: superpixels.dino changed"
    assert seedbed(second.root, "verify").exit_code == 2, "what was made with another threshold"
    assert second.repro() == ["superpixels"]
    assert seedbed(second.root, "verify").exit_code == 0
