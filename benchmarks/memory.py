"""Memory and time of the machinery around a stage that works image by image and has next to nothing to compute; Linux only.

Peak memory of the process that runs the stage and of its largest worker, for few and for many images. Every figure is of a program of
its own: one where everything is computed, one where nothing is, and one where an image was put before all others.
"""

from __future__ import annotations

import argparse
import atexit
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from seedbed.methods import Method, method
from seedbed.params import Params
from seedbed.reads import Labels
from seedbed.run.stage import Run
from seedbed.store.schemas import Columns
from seedbed.types import LabelMap

FEW, MANY = 500, 10_000
HEIGHT, WIDTH = 96, 128
CLASSES = 20
ROUNDS = 3
WORKERS = (1, 2)
STATUS = Path("/proc/self/status")
INDEX = "index"
TASKS = {  # in this order, each in the folder that the one before has left
    "compute": "everything is computed",
    "reuse": "nothing is computed",
    "shift": "one more image, before all others",
}


@dataclass(frozen=True)
class Stripes:
    """Labels that take no time; no two images in a row have the same."""

    notes: Path  # where workers say how much memory they needed

    def key(self, image: str) -> str:
        """Identity of an image."""
        return image

    def __getitem__(self, image: str) -> LabelMap:
        """Labels of an image."""
        return np.broadcast_to(((np.arange(WIDTH) + int(image)) // 16 % (1 + CLASSES)).astype(np.uint8), (HEIGHT, WIDTH))


@method
class Drawn(Method):
    """What the record of an artifact says that its method was."""


def look(stripes: Stripes, images: Sequence[str]) -> Iterator[Columns]:
    """What stage `dataset` would find out of images."""
    for image in images:
        yield {"size": stripes[image].shape, "original_size": stripes[image].shape, "problem": "", "mask_problem": ""}


def label(stripes: Stripes, classes: Labels, images: Sequence[str]) -> Iterator[Columns]:
    """What stage `seeds` would compute of images."""
    if multiprocessing.parent_process():
        _tell_at_the_end(stripes.notes)
    for image in images:
        assert len(classes[image]) == CLASSES
        yield {"labels": stripes[image]}


@cache
def _tell_at_the_end(notes: Path) -> None:
    atexit.register(lambda: (notes / str(os.getpid())).write_text(str(peak())))


def peak() -> int:
    """Bytes of memory that this process has needed at most.

    Not from getrusage: there a program that was started by a larger one begins with that one's peak.
    """
    lines = STATUS.read_text(encoding="ascii").splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith("VmHWM:")))


def perform(task: str, *, images: int, workers: int) -> None:
    """One measurement, in this process and the current folder. Prints seconds, and peak memory of itself and of its largest worker."""
    ids = [f"{number:06}" for number in range(images + 1)]
    started, notes = time.perf_counter(), Path(tempfile.mkdtemp(dir="."))
    stripes = Stripes(notes.absolute())
    if task == INDEX:
        classes = np.ones((len(ids), 1 + CLASSES))
        whole = {
            "max_size": (HEIGHT, WIDTH),
            "class_names": [f"class {number}" for number in range(1 + CLASSES)],
            "split_names": ["train"],
            "file": [f"{image}.jpg" for image in ids],
            "image_digest": ids,
            "labels": classes,
            "labelled": classes[:, 0],
            "splits": classes[:, :1],
            "mask_meaning": np.full(256, -1),
        }
        Run("dataset", Params({})).per_image(Drawn(), look, stripes, image_ids=ids, whole=whole)
    else:
        run = Run("seeds", Params({}), workers=workers)
        run.per_image(Drawn(), label, stripes, Labels(run.open("dataset")), image_ids=ids if task == "shift" else ids[1:])
    seconds = time.perf_counter() - started
    print(json.dumps([seconds, peak(), max((int(note.read_text()) for note in notes.iterdir()), default=0)]))


def measured(images: int, workers: int) -> dict[str, tuple[float, ...]]:
    """What every task takes, in a new folder."""
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for task in (INDEX, *TASKS):
            command = [sys.executable, str(Path(__file__).absolute()), "--task", task, "--images", str(images), "--workers", str(workers)]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603 (this very file)
            if done.returncode:
                sys.exit(f"{task}, {images} images, {workers} workers: ended with {done.returncode}\n{done.stderr}")
            results[task] = tuple(json.loads(done.stdout))
    return results


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--few", type=int, default=FEW)
    parser.add_argument("--many", type=int, default=MANY)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--task", choices=(INDEX, *TASKS), help="one measurement; the program starts itself with it")
    parser.add_argument("--images", type=int, default=FEW)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    if options.task:
        perform(options.task, images=options.images, workers=options.workers)
        return
    if not STATUS.is_file():
        print(f"not measured: there is no {STATUS} here, which says how much memory a process has needed")
        return
    few, many = options.few, options.many
    rounds = [{(count, workers): measured(count, workers) for workers in WORKERS for count in (few, many)} for _ in range(options.rounds)]
    print(f"a stage of {HEIGHT} x {WIDTH} labels per image, {few} and {many} images, medians of {options.rounds} rounds")
    heading = f"  {'':36}{'workers':>8}{'images':>8}{'s':>8}{'ms/image':>10}{'peak, MiB':>11}{'worker, MiB':>13}"
    print(f"{heading}   bytes more per image, and of the worker")
    for task, meaning in TASKS.items():
        for workers in WORKERS:
            peaks: dict[int, tuple[float, float]] = {}
            for count in (few, many):
                seconds, own, worker = (statistics.median(one[count, workers][task][place] for one in rounds) for place in range(3))
                peaks[count] = own, worker
                numbers = f"{workers:8}{count:8}{seconds:8.2f}{seconds / count * 1000:10.2f}{own / 2**20:11.1f}{worker / 2**20:13.1f}"
                growth = [(after - before) / (many - few) for before, after in zip(peaks[few], peaks[count], strict=True)]
                print(f"  {meaning:36}{numbers}" + (f"   {growth[0]:8.0f}{growth[1]:8.0f}" if count == many else ""))


if __name__ == "__main__":
    main()
