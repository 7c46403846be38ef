"""A whole project in miniature: the drawn world with a few images, and every method made fast."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from ruamel.yaml import YAML

from seedbed.params import Params
from seedbed.run.stage import Run, run_stage
from seedbed.store.records import WORK
from tests.support.small import shrunk

CHECKOUT = Path(__file__).parents[2]
STAGES = (
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
)
SETTINGS = {
    "dataset": {"method": "shapes", "root": "data/raw/shapes", "max_size": [72, 80], "allow_broken": 0},
    "pretraining": {"split": ""},
    "features": {"pretraining": "none"},
    "superpixels": {"features": "features"},
    "classifier": {"split": "train"},
    "cams": {"classifier": "classifier"},
    "seeds": {"class_maps": "cams", "superpixels": "superpixels", "corrections": "data/none.zarr"},
    "affinity": {"split": "train", "maps": {"labels": "none"}, "start": "none"},
    "edges": {"affinity": "none"},
    "refinement": {"class_maps": "cams"},
    "instances": {"class_maps": "none"},
    "saliency": {"folder": "data/none.zarr", "class_maps": "none"},
    "segmenter": {
        "split": "train",
        "maps": {"labels": "seeds", "regions": "superpixels", "confidence": "none", "objects": "none"},
        "start": "none",
        "classifier": "none",
    },
    "predictions": {"split": "val", "segmenter": "segmenter"},
    "evaluation": {
        "split": "train",
        "class_maps": "cams",
        "labels": {"seeds": "seeds", "masks": "refinement"},
        "superpixels": "superpixels",
        "instances": "none",
        "saliency": "none",
        "predictions": "predictions",
        "pictures": 2,
    },
}
WORLD = {"num_train": 6, "num_val": 3, "seed": 0, "min_side": 64, "max_side": 72}
CROWD = WORLD | {"num_train": 40, "num_val": 26}  # more images than a shard has, so that there is work for two


@dataclass(frozen=True)
class Project:
    """A folder with parameters and what the stages made of them."""

    root: Path

    @property
    def data(self) -> Path:
        """Where artifacts are."""
        return self.root / "data"

    @property
    def raw(self) -> Path:
        """Where images, masks and labels are."""
        return self.data / "raw" / "shapes"

    def params(self) -> dict[str, Any]:
        """The content of its params.yaml."""
        content: dict[str, Any] = YAML(typ="safe").load(self.root / "params.yaml")
        return content

    def write_params(self, content: dict[str, Any]) -> None:
        """Replace its params.yaml. It is JSON, which is YAML too, and quick to write and read."""
        (self.root / "params.yaml").write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")

    def run(self, *stages: str, workers: int = 1) -> None:
        """Run stages in this process, on the CPU."""
        with contextlib.chdir(self.root):
            for stage in stages:
                module = importlib.import_module(f"stages.{stage}")
                module.main(Run(stage, Params.read(), device_wanted="cpu", workers=workers))

    def command(self, stage: str, *flags: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run a stage in this process, which has imported what takes most of a program's time, with all that a program does about it."""
        module, out, error = importlib.import_module(f"stages.{stage}"), io.StringIO(), io.StringIO()
        command = [f"stages/{stage}.py", *flags]
        variables = {"SEEDBED_WORKERS": "1", "SEEDBED_DEVICE": "cpu", **(environment or {})}
        status: Any = 0
        with (
            contextlib.chdir(self.root),
            mock.patch.object(sys, "argv", command),
            mock.patch.dict(os.environ, variables),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(error),
        ):
            try:
                run_stage(module.main, stage)
            except SystemExit as ended:
                status = ended.code
        return subprocess.CompletedProcess(command, status, out.getvalue(), error.getvalue())

    def program(
        self, stage: str, *flags: str, environment: dict[str, str] | None = None, prepare: Callable[[], None] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a stage as DVC does.

        prepare: done by the new process before anything else.
        """
        variables = {name: value for name, value in os.environ.items() if not name.startswith("SEEDBED_")}
        return subprocess.run(
            [sys.executable, "-m", f"stages.{stage}", *flags],
            cwd=self.root,
            env=variables | {"PYTHONPATH": str(CHECKOUT), "SEEDBED_WORKERS": "1"} | (environment or {}),
            preexec_fn=prepare,
            capture_output=True,
            text=True,
            check=False,
        )

    def copy_to(self, root: Path, *, without: Sequence[str] = ()) -> Project:
        """The same project elsewhere."""
        shutil.copytree(self.root, root, ignore=shutil.ignore_patterns(*without), dirs_exist_ok=True)
        return Project(root)


def new_project(root: Path, original: dict[str, Any], *, world: Mapping[str, int] = WORLD) -> Project:
    """A project in which nothing was run yet.

    world: what is drawn.
    """
    content = shrunk(original)
    for family, settings in SETTINGS.items():
        content[family] |= settings
    content["dataset"]["shapes"] = dict(world)
    root.mkdir(parents=True, exist_ok=True)
    project = Project(root)
    project.write_params(content)
    shutil.copytree(CHECKOUT / "data" / "none.zarr", project.data / "none.zarr")
    return project


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, but for the store: what is there depends on the past."""
    files = ((file.relative_to(folder), file) for file in sorted(folder.rglob("*")) if file.is_file())
    return {relative.as_posix(): file.read_bytes() for relative, file in files if WORK not in relative.parts}
