"""The page of `seedbed view` over many images: the first page, the next image, and the server's memory; Linux only.

Artifacts of drawn stripes are made as the stages make them, an index, seeds and an evaluation, for few images and for many. The server is a
program of its own and is asked what the page asks. That neither time nor memory grows with the number of images is what the ratios show.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from seedbed import images as image_files
from seedbed.methods import Method, method
from seedbed.params import Params
from seedbed.run.stage import Run
from seedbed.scoring.boundaries import Boundaries
from seedbed.scoring.judgement import Judge
from seedbed.store.schemas import Columns
from seedbed.types import LabelMap

ROOT = Path(__file__).parents[1]
COUNTS = (1_000, 100_000)
SIZE = (96, 128)
CLASSES = 20
KINDS = ("seeds", "masks")
NEXT = 200  # images that are looked at one after the other
FIRST = "/api/images?count=60&sort=miou%3Amasks"
LIMITS = {"first page, s": 1.0, "next image, ms": 100.0}


@method
class Drawn(Method):
    """What the record of an artifact says that its method was."""


def draw(image_id: str) -> LabelMap:
    """Stripes of two classes, which differ from image to image."""
    number = int(image_id)
    stripes = (np.arange(SIZE[1]) + number) // 16 % 2 * (1 + number % CLASSES)
    return np.broadcast_to(stripes.astype(np.uint8), SIZE)


def index(image_ids: Sequence[str]) -> Iterator[Columns]:
    """What stage `dataset` would find out of images."""
    for _ in image_ids:
        yield {"size": SIZE, "original_size": SIZE, "problem": "", "mask_problem": ""}


def label(image_ids: Sequence[str]) -> Iterator[Columns]:
    """What stage `seeds` would compute of images."""
    for image_id in image_ids:
        yield {"labels": draw(image_id)}


def judge(image_ids: Sequence[str]) -> Iterator[Columns]:
    """What stage `evaluation` would count of images; of few different ones, so that it does not take an hour."""
    how = Judge(KINDS, CLASSES, Boundaries(distance=2, share=0.02), np.array([0.3]), (0.1,), 0)
    known: dict[int, Columns] = {}
    for image_id in image_ids:
        number = int(image_id) % (16 * CLASSES)
        if number not in known:
            seeds, masks = draw(str(number)), draw(str(number + 1))
            known[number] = how.columns(
                draw(str(number)),
                {"seeds": seeds, "masks": masks},
                size=SIZE,
                contained=None,
                class_maps=None,
                regions=None,
                objects=None,
                instances=None,
                true_instances=None,
                corrected=False,
            )
        yield known[number]


def make(folder: Path, count: int) -> None:
    """Everything that the page reads of so many images. All of them have the same photograph."""
    ids = [f"{number:06}" for number in range(count)]
    raw = folder / "data" / "raw" / "stripes"
    raw.mkdir(parents=True)
    content = cv2.imencode(".png", np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8))[1].tobytes()
    (raw / "one.png").write_bytes(content)
    (folder / "params.yaml").write_text("dataset: {method: folder, root: data/raw/stripes}\n", encoding="utf-8")
    with chdir(folder):
        classes = np.array([np.isin(np.arange(1 + CLASSES), [0, 1 + number % CLASSES]) for number in range(count)])
        whole: dict[str, Any] = {
            "max_size": SIZE,
            "class_names": ["background", *(f"class {number}" for number in range(CLASSES))],
            "split_names": ["train"],
            "file": ["one.png"] * count,
            "image_digest": [image_files.digest(content)] * count,
            "labels": classes,
            "labelled": np.ones(count),
            "splits": np.ones((count, 1)),
            "mask_meaning": np.arange(256) * 0 - 1,
        }
        Run("dataset", Params({})).per_image(Drawn(), index, image_ids=ids, whole=whole)
        run = Run("seeds", Params({}))
        run.open("dataset")
        run.per_image(Drawn(), label, image_ids=ids)
        run = Run("evaluation", Params({}))
        run.open("dataset")
        lengths = {"kind": len(KINDS), "other_kind": len(KINDS), "threshold": 1, "thing_size": 2, "size_bound": 1, "instance": 0}
        whole = {"kinds": KINDS, "thresholds": [0.3], "threshold": 0.3, "size_bounds": [0.1]}
        run.per_image(Drawn(), judge, image_ids=ids, extents=lengths, whole=whole)


@contextmanager
def serve(folder: Path) -> Iterator[tuple[str, int]]:
    """The address of a server, and its process."""
    command = [sys.executable, "-m", "seedbed.cli", "view", "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True) as server:  # noqa: S603 (ours)
        assert server.stdout is not None
        yield server.stdout.readline().split()[1].rstrip("/"), server.pid
        server.send_signal(signal.SIGINT)


def ask(url: str) -> bytes:
    """An answer, unpacked."""
    request = urllib.request.Request(url, headers={"Accept-Encoding": "gzip"})  # noqa: S310 (our own server)
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        content: bytes = answer.read()
        return gzip.decompress(content) if answer.headers["Content-Encoding"] == "gzip" else content


def memory(process: int) -> float:
    """Megabytes that a process holds."""
    lines = Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS:"))) / 1024


def measure(folder: Path, count: int) -> dict[str, float]:
    """What a visitor waits for, and what the server holds."""
    with serve(folder) as (address, process):
        started = time.perf_counter()
        for path in ("/", "/api/run", FIRST):
            listed = ask(address + path)
        first = time.perf_counter() - started
        assert json.loads(listed)["total"] == count
        held, seconds = memory(process), list[float]()
        for number in np.random.default_rng(0).integers(0, count, NEXT):
            started, image = time.perf_counter(), urllib.parse.quote(f"{number:06}")
            for path in (f"image?id={image}", f"images?near={image}", f"photo?id={image}", f"layer?id={image}&artifact=seeds&array=labels"):
                ask(f"{address}/api/{path}")
            seconds.append(time.perf_counter() - started)
        return {
            "first page, s": first,
            "next image, ms": 1000 * statistics.median(seconds),
            "server at first, MB": held,
            f"after {NEXT} images, MB": memory(process),
        }


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--counts", type=int, nargs="+", default=COUNTS, help="numbers of images; ratios are to the first")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    found: dict[int, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for count in options.counts:
            make(Path(folder) / str(count), count)
        rounds = [{count: measure(Path(folder) / str(count), count) for count in options.counts} for _ in range(options.rounds)]
    for count in options.counts:
        found[count] = {what: statistics.median(one[count][what] for one in rounds) for what in rounds[0][count]}
    print("|  | " + " | ".join(f"{count:,} images" for count in options.counts) + " | ratio |")
    print("|---|" + "---|" * (len(options.counts) + 1))
    for what in found[options.counts[0]]:
        values = [found[count][what] for count in options.counts]
        limit = f" (limit {LIMITS[what]:g})" if what in LIMITS else ""
        print(f"| {what}{limit} | " + " | ".join(f"{value:.3g}" for value in values) + f" | {values[-1] / values[0]:.2f} |")


if __name__ == "__main__":
    main()
