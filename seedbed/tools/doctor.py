"""`seedbed doctor`: checks whether this machine can run the pipeline."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

OLDEST_PYTHON, FIRST_UNTESTED_PYTHON = (3, 11), (3, 14)
LITTLE_DISK = 5 * 2**30


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    what: str
    good: bool
    found: str
    advice: str = ""


def examine() -> list[Finding]:
    """Run all checks; a check that itself fails is a finding."""
    return [_guard(check) for check in (python, torch, gpu, crf, opencv, dvc_links, dvc_locks, disk)]  # their names are shown


def python() -> Finding:
    """Version of the interpreter."""
    version = sys.version_info[:2]
    good = OLDEST_PYTHON <= version < FIRST_UNTESTED_PYTHON
    return Finding("python", good, sys.version.split()[0], "" if good else "use Python 3.11, 3.12 or 3.13")


def torch() -> Finding:
    """torch, torchvision and timm together."""
    from seedbed.networks import torchvision_repair

    repaired = torchvision_repair.apply()
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("torch", "torchvision", "timm"))
    importlib.import_module("timm")
    note = "torchvision's operators do not fit this torch; Seedbed needs none of them and works around it" if repaired else ""
    return Finding("torch", True, versions, note)


def gpu() -> Finding:
    """GPUs that torch can use. None are needed."""
    import torch

    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return Finding("gpu", True, ", ".join(names) or "none: networks run on the CPU")


def crf() -> Finding:
    """Whether the dense CRF computes."""
    from seedbed.algorithms.crf import DenseCrf

    field = DenseCrf(
        preset="own", smooth_distance=1, smooth_weight=1, colour_distance=1, colour_difference=1, colour_weight=1, iterations=1
    )
    [beliefs] = field.probabilities([np.zeros((4, 6, 3), np.uint8)], [np.full((2, 4, 6), 0.5, np.float32)])
    return Finding("crf", bool(np.allclose(beliefs, 0.5)), f"pydensecrf2 {importlib.metadata.version('pydensecrf2')}")


def opencv() -> Finding:
    """Which of OpenCV's packages is installed; two of them would overwrite each other."""
    import cv2

    packages = importlib.metadata.packages_distributions().get("cv2", [])
    good = len(set(packages)) == 1 and hasattr(cv2, "ximgproc")
    advice = "" if good else "run `pip uninstall -y opencv-python opencv-python-headless opencv-contrib-python-headless`, then `make setup`"
    return Finding("opencv", good, f"{cv2.__version__} from {', '.join(sorted(set(packages)))}", advice)


def dvc_links() -> Finding:
    """How DVC puts files from its cache into place."""
    from dvc.repo import Repo
    from dvc_objects.fs import generic

    repo = Repo()
    cache = repo.cache.local
    possible = generic.test_links(["reflink", "hardlink", "symlink"], cache.fs, cache.path, repo.fs, repo.root_dir)
    chosen = repo.config["cache"].get("type", ["reflink", "copy"])
    copies = "reflink" not in possible and not set(chosen) & {"hardlink", "symlink"}
    advice = "every artifact is on disk twice; `dvc config --local cache.type hardlink` avoids that" if copies else ""
    return Finding("dvc links", True, f"uses {' or '.join(chosen)}; possible here: {', '.join(possible) or 'copy'}", advice)


def dvc_locks() -> Finding:
    """Whether a run holds DVC's lock, or died with it. A second run fails rather than waits; DVC removes locks of dead processes."""
    file = Path(".dvc/tmp/rwlock")
    content = json.loads(file.read_text(encoding="utf-8") or "{}") if file.is_file() else {}
    holders = {entry["pid"]: entry["cmd"] for entry in content.get("write", {}).values() if isinstance(entry, dict)}
    alive = {pid: command for pid, command in holders.items() if _is_alive(pid)}
    if alive:
        found = ", ".join(f"held by process {pid}: {command}" for pid, command in alive.items())
        return Finding("dvc locks", True, found, f"a second `dvc repro` fails until that one is done; leave {file} where it is")
    if holders:
        return Finding("dvc locks", True, f"left by dead processes {sorted(holders)}", "the next `dvc repro` removes them")
    return Finding("dvc locks", True, "none held")


def disk() -> Finding:
    """Free space for artifacts."""
    free = shutil.disk_usage(Path.cwd()).free
    return Finding(
        "disk", free > LITTLE_DISK, f"{free / 2**30:.0f} GiB free", "" if free > LITTLE_DISK else "free some space before a long run"
    )


def _guard(check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except Exception as error:  # to find whatever is broken is the purpose of this command
        return Finding(check.__name__.replace("_", " "), False, f"{type(error).__name__}: {error}", "run `make setup`")


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
