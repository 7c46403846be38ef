"""Indexing many images: images per second, peak memory, and what a second look costs; Linux only.

Folders of JPEG files, all of another content, are indexed by stage `dataset` as a program of its own: at first, again when nothing has
changed, and again with 100 images more. That cost and memory grow no faster than the number of images shows in the columns per image.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
COUNTS = (1_000, 10_000, 100_000)
MORE = 100
ROUNDS = 3
PHOTOS = 1_000  # of the usual size, for comparison
HEIGHT, WIDTH = 96, 128
PHOTO = (375, 500)
LOOKS = ("first", "again", f"{MORE} more")
PROGRAM = """
import json, time
from pathlib import Path
from seedbed.params import Params
from seedbed.run.stage import Run, _count_processors
import stages.dataset
started = time.perf_counter()
stages.dataset.main(Run("dataset", Params.read(), workers=_count_processors()))
line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(json.dumps([time.perf_counter() - started, int(line.split()[1]) / 1024]))
"""


def files(height: int, width: int) -> list[bytes]:
    """A few different JPEG files."""
    random = np.random.default_rng(0)
    scenes = (cv2.resize(random.integers(0, 256, (6, 8, 3), dtype=np.uint8), (width, height)) for _ in range(16))
    return [cv2.imencode(".jpg", scene)[1].tobytes() for scene in scenes]


def show(raw: Path, first: int, last: int, contents: Sequence[bytes]) -> None:
    """Put images into a folder; a number behind the end of the picture makes every file another."""
    for number in range(first, last):
        folder = raw / "images" / f"{number // 1000:03}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number:06}.jpg").write_bytes(contents[number % len(contents)] + number.to_bytes(4, "big"))
    rows = (f"{number // 1000:03}/{number:06}.jpg,{('cat', 'dog', 'cat dog')[number % 3]},train" for number in range(last))
    (raw / "labels.csv").write_text("\n".join(["image,labels,split", *rows, ""]))


def new_project(folder: Path) -> Path:
    """A project that reads a folder. Returns the folder."""
    content = YAML(typ="safe").load(ROOT / "params.yaml")
    content["dataset"] |= {"method": "folder", "root": "data/raw/many", "max_size": list(PHOTO)}
    content["dataset"]["folder"] = {"classes": ["cat", "dog"], "complete": True}
    YAML().dump(content, folder / "params.yaml")
    return folder / "data" / "raw" / "many"


def look(folder: Path) -> list[float]:
    """Index once. Returns seconds, and peak memory in MiB of the process that hands out work."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 (this very file)
    if done.returncode:
        sys.exit(done.stderr)
    measured: list[float] = json.loads(done.stdout)
    return measured


def measured(count: int, contents: Sequence[bytes], rounds: int) -> dict[str, list[float]]:
    """Medians of every look at so many images."""
    found: dict[str, list[list[float]]] = {name: [] for name in LOOKS}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        raw = new_project(folder)
        for _ in range(rounds):
            shutil.rmtree(folder / "data", ignore_errors=True)
            show(raw, 0, count, contents)
            found["first"].append(look(folder))
            found["again"].append(look(folder))
            show(raw, count, count + MORE, contents)
            found[LOOKS[2]].append(look(folder))
    return {name: [statistics.median(one) for one in zip(*each, strict=True)] for name, each in found.items()}


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counts", type=int, nargs="+", default=COUNTS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    cases = [(count, (HEIGHT, WIDTH)) for count in options.counts] + [(min(PHOTOS, *options.counts), PHOTO)]
    print(f"indexing JPEG files on {len(os.sched_getaffinity(0))} processors, medians of {options.rounds} rounds")
    print(f"  {'images':>8}  {'pixels':>9}  {'look':>8}{'s':>9}{'images/s':>10}{'ms/image':>10}{'peak, MiB':>11}")
    for count, (height, width) in cases:
        for name, (seconds, own) in measured(count, files(height, width), options.rounds).items():
            numbers = f"{seconds:9.2f}{count / seconds:10.0f}{seconds / count * 1000:10.2f}{own:11.0f}"
            print(f"  {count:8}  {height:4} x {width:3} {name:>9}{numbers}", flush=True)


if __name__ == "__main__":
    main()
