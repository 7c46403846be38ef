"""Small projects whose runs were never run: what they left is written as runs leave it, into folders, git and DVC's cache."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ruamel.yaml import YAML

from seedbed.scoring import metrics
from seedbed.store.artifact import Artifact, MadeBy
from seedbed.store.schemas import FIXED, SCHEMAS
from tests.support.publishing import published

NAMES = ("background", "cat", "dog")
Matrix = Sequence[Sequence[int]]  # pixels (true class, predicted class), the last column those without a label
Counted = Mapping[str, Mapping[str, Matrix]]  # of every image, by kind of labels


def evaluate(data: Path, images: Counted, *, classes: Sequence[str] = NAMES, made_by: MadeBy | None = None) -> Artifact:
    """Publish an evaluation, and write the figures that follow from it. What is not given counts nothing."""
    kinds = list(dict.fromkeys(kind for counted in images.values() for kind in counted))
    extents = {**FIXED, "kind": len(kinds), "other_kind": len(kinds), "class": len(classes), "predicted": 1 + len(classes)}
    extents |= {"threshold": 1, "thing_size": 2, "size_bound": 1, "instance": 0, "y": 2, "x": 3}
    arrays = SCHEMAS["evaluation"].arrays
    empty = {
        name: np.zeros(one.cells(extents), object if one.dtype == "str" else one.dtype) for name, one in arrays.items() if one.per_image
    }
    rows = []
    for image, counted in images.items():
        confusion = np.stack([np.array(counted.get(kind, np.zeros((len(classes), 1 + len(classes)))), np.int64) for kind in kinds])
        judged = {"judged": [kind in counted for kind in kinds], "with_truth": True, "confusion": confusion}
        rows.append({**empty, "ids": image, "size": (2, 3), **judged})
    whole = {name: np.zeros([extents[one] for one in spec.dimensions]) for name, spec in arrays.items() if not spec.per_image}
    figures = {kind: metrics.summary(sum_of(images, kind), classes) for kind in kinds}
    write(data / "metrics/evaluation.json", json.dumps(figures, indent=2))
    return published("evaluation", data, rows, whole={**whole, "kinds": kinds}, extents=extents, made_by=made_by)


def sum_of(images: Counted, kind: str) -> npt.NDArray[np.int64]:
    """What was counted on all images."""
    return np.asarray(np.sum([counted[kind] for counted in images.values() if kind in counted], axis=0), np.int64)


def write(file: Path, text: str) -> None:
    """Write a file, and the folders that it lies in."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def write_yaml(file: Path, content: Any) -> None:
    """Write a file as DVC does."""
    with file.open("w", encoding="utf-8") as stream:
        YAML(typ="safe").dump(content, stream)


def cache(root: Path, name: str, *, within: str = "data") -> dict[str, Any]:
    """Put a copy of an artifact into DVC's cache as `dvc commit` does; what dvc.lock says of it."""
    folder = root / within / f"{name}.zarr"
    listed = []
    for file in sorted(one for one in folder.rglob("*") if one.is_file()):
        content = file.read_bytes()
        listed.append({"md5": _keep(root, content), "relpath": file.relative_to(folder).as_posix()})
    listing = json.dumps(sorted(listed, key=lambda one: one["relpath"])).encode()
    return {"path": f"{within}/{name}.zarr", "hash": "md5", "md5": f"{_keep(root, listing, suffix='.dir')}.dir"}


def _keep(root: Path, content: bytes, *, suffix: str = "") -> str:
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    place = root / ".dvc/cache/files/md5" / md5[:2] / f"{md5[2:]}{suffix}"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    return md5


def lock(**stages: Mapping[str, Any]) -> dict[str, Any]:
    """What dvc.lock says of some stages: parameters by address, and digests of what they read and left by path."""

    def of(stage: Mapping[str, Any]) -> dict[str, Any]:
        files = {part: [{"path": path, "md5": md5} for path, md5 in stage.get(part, {}).items()] for part in ("deps", "outs")}
        return {"cmd": stage.get("cmd", "x"), **files, "params": {"params.yaml": dict(stage.get("params", {}))}}

    return {"schema": "2.0", "stages": {name: of(stage) for name, stage in stages.items()}}


@dataclass
class History:
    """A project in git."""

    root: Path
    minute: int = 0  # of the last commit

    @classmethod
    def begin(cls, root: Path) -> History:
        """A project without commits, that DVC knows."""
        root.mkdir(parents=True, exist_ok=True)
        made = cls(root)
        made.git("init", "-q", "-b", "main")
        write(root / ".dvc/config", "[core]\n    analytics = false\n")
        write(root / ".dvc/.gitignore", "/config.local\n/tmp\n/cache\n")
        write(root / ".gitignore", "/data/*.zarr\n/data/.work\n")
        return made

    def git(self, *arguments: str) -> str:
        """Run git here, a minute after the last time."""
        self.minute += 1
        date = f"2026-01-01T12:{self.minute:02}:00+00:00"
        who = {f"GIT_{role}_{what}": what for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        dates = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date, "GIT_CONFIG_GLOBAL": os.devnull}
        done = subprocess.run(["git", *arguments], cwd=self.root, env={**os.environ, **who, **dates}, capture_output=True, check=True)
        return done.stdout.decode().strip()

    def write(self, *, params: Any = None, recorded: Any = None, figures: Any = None) -> None:
        """Write what a run leaves in git; what is not given stays as it is."""
        for name, content in {"params.yaml": params, "dvc.lock": recorded}.items():
            if content is not None:
                write_yaml(self.root / name, content)
        if figures is not None:
            write(self.root / "data/metrics/evaluation.json", json.dumps(figures))

    def commit(self, subject: str = "a run") -> str:
        """Commit all that there is."""
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", subject)
        return self.git("rev-parse", "HEAD")

    def experiment(self, name: str) -> str:
        """Keep all that there is as DVC keeps an experiment that began with the last commit, to which all goes back."""
        baseline = self.git("rev-parse", "HEAD")
        sha = self.commit(f"dvc: commit experiment {name}")
        self.git("update-ref", f"refs/exps/{baseline[:2]}/{baseline[2:]}/{name}", sha)
        self.git("reset", "-q", "--hard", baseline)
        return sha
