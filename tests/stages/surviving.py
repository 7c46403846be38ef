"""Albums of many small images, programs that are killed in the midst of their work, and what is left of them."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from seedbed.params import Params
from seedbed.run.executor import Workers
from seedbed.run.stage import Run
from seedbed.store.store import Store
from tests.stages.miniature import CHECKOUT, Project, new_project

PATIENCE = 90.0  # seconds until what must happen has not happened; importing torch alone can take ten
CLASSES = ["cat", "dog"]


@dataclass(frozen=True)
class Photo:
    """An image of an album."""

    seed: int  # of its pixels and its size
    labels: str = "cat"
    splits: str = "train"

    @property
    def content(self) -> bytes:
        """Its file: a few coloured rectangles."""
        random = np.random.default_rng(self.seed)
        height, width = int(random.integers(20, 33)), int(random.integers(34, 41))
        blocks = random.integers(0, 256, (5, 6, 3), dtype=np.uint8)
        encoded = cv2.imencode(".png", cv2.resize(blocks, (width, height), interpolation=cv2.INTER_NEAREST))[1]
        return encoded.tobytes()


Album = Mapping[str, Photo]  # by id, in order


def photos(*seeds: int, splits: str = "train") -> dict[str, Photo]:
    """Photos that are called after their seeds, a cat or a dog on each."""
    return {f"image_{seed:04d}": Photo(seed, CLASSES[seed % 2], splits) for seed in seeds}


def new_album(root: Path, original: dict[str, Any], album: Album, *, iterations: int = 1) -> Project:
    """A project that reads a folder with these images, in which nothing was run yet.

    iterations: of the CRF that superpixels end with, to make them slow.
    """
    project = new_project(root, original)
    content = project.params()
    content["dataset"] |= {
        "method": "folder",
        "root": "data/raw/album",
        "max_size": [40, 48],
        "folder": {"classes": CLASSES, "complete": True},
    }
    content["superpixels"]["dino"]["crf"]["iterations"] = iterations
    project.write_params(content)
    show(project, album)
    return project


def raw(project: Project, image: str) -> Path:
    """The file of an image."""
    return project.data / "raw" / "album" / "images" / f"{image}.png"


def show(project: Project, album: Album) -> None:
    """Make a project's raw folder that of an album."""
    root = project.data / "raw" / "album"
    shutil.rmtree(root, ignore_errors=True)
    (root / "images").mkdir(parents=True)
    for image, photo in album.items():
        raw(project, image).write_bytes(photo.content)
    rows = [f"{image}.png,{photo.labels},{photo.splits}" for image, photo in album.items()]
    (root / "labels.csv").write_text("\n".join(["image,labels,split", *rows, ""]))


def change_params(project: Project, section: str, **values: Any) -> None:
    """Give settings or blocks of a section other values."""
    content = project.params()
    content[section] |= values
    project.write_params(content)


# What a run says.


@dataclass(frozen=True)
class Counts:
    """The end of the line that says that a stage is done."""

    computed: int
    reused: int
    removed: int = 0

    @classmethod
    def of(cls, said: str) -> Counts:
        """Of what a stage said."""
        [found] = re.findall(r" images in [\d.]+ s \((\d+) computed, (\d+) reused, (\d+) removed\)$", said, re.MULTILINE)
        return cls(*map(int, found))


def heard(project: Project, stage: str, *, place: Workers = Workers()) -> str:  # noqa: B008 (it never changes)
    """What a stage says that is run by this process."""
    if stage == "features":
        heard(project, "pretraining", place=place)  # which learns nothing here, and says nothing of images
    module, stream = importlib.import_module(f"stages.{stage}"), io.StringIO()
    with contextlib.chdir(project.root), contextlib.redirect_stderr(stream):
        module.main(Run(stage, Params.read(), device_wanted="cpu", workers=place.workers, scheduler=place.scheduler))
    return stream.getvalue()


def counts(project: Project, *stages: str) -> list[Counts]:
    """Run stages in this process, and say what they counted."""
    return [Counts.of(heard(project, stage)) for stage in stages]


# Programs.


class Program:
    """A stage that runs as DVC starts it, in a group of processes of its own as that of a terminal is."""

    def __init__(self, project: Project, stage: str, *flags: str, checkout: Path = CHECKOUT) -> None:
        variables = {name: value for name, value in os.environ.items() if not name.startswith("SEEDBED_")}
        handle, name = tempfile.mkstemp(prefix="said-", dir=project.root)
        self._log = Path(name)
        with os.fdopen(handle, "wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", f"stages.{stage}", "--device", "cpu", *flags],
                cwd=project.root,
                env=variables | {"PYTHONPATH": str(checkout), "SEEDBED_WORKERS": "1"},
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        """What it has said so far."""
        return self._log.read_text(encoding="utf-8")

    @property
    def ended(self) -> bool:
        """Whether it has come to its end."""
        return self.process.poll() is not None

    def stop(self) -> None:
        """Let it stand still, as a machine that is short of everything does."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on."""
        self.process.send_signal(signal.SIGCONT)

    def interrupt(self, number: signal.Signals, *, everybody: bool) -> None:
        """Ask it to end.

        everybody: whether all processes of its group are asked, as by a terminal's Ctrl-C, or it alone.
        """
        (os.killpg if everybody else os.kill)(self.process.pid, number)

    @property
    def group(self) -> set[int]:
        """Processes of its group that are there still."""
        found = set()
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                state, _, group = stat.read_text().rpartition(")")[2].split()[:3]
                if int(group) == self.process.pid and state not in "ZX":
                    found.add(int(stat.parent.name))
        return found

    def kill(self) -> bool:
        """Kill it as the kernel does when memory runs out. Whether it was at work still."""
        self.process.kill()
        return self.process.wait() < 0

    def status(self) -> int:
        """Its exit status, once it has ended."""
        return self.process.wait(PATIENCE)


@contextmanager
def started(project: Project, stage: str, *flags: str, checkout: Path = CHECKOUT) -> Iterator[Program]:
    """A stage that is running; it does not outlive the block."""
    program = Program(project, stage, *flags, checkout=checkout)
    try:
        yield program
    finally:
        program.kill()


def until(happened: Callable[[], object]) -> None:
    """Wait for something."""
    end = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.002)


def alive(pid: int) -> bool:
    """Whether a process is there, and not just its exit status that nobody has asked for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def children(pid: int) -> set[int]:
    """Processes that a process has started."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == pid:
                found.add(int(stat.parent.name))
    return found


# What is in the store.


@dataclass(frozen=True)
class Trace:
    """What would differ if an entry had been written again."""

    inode: int
    written: int
    images: int


def traces(project: Project, stage: str) -> dict[str, Trace]:
    """A project's finished entries of a stage, by name."""
    found = {}
    for entry in Store(stage, folder=project.data).entries():
        found[entry.path.name] = Trace(entry.path.stat().st_ino, (entry.path / "zarr.json").stat().st_mtime_ns, len(entry.keys))
    return found


def images_in(kept: Mapping[str, Trace]) -> int:
    """How many images entries have."""
    return sum(trace.images for trace in kept.values())


def built(project: Project, stage: str) -> set[str]:
    """What is being built in the store, be it entries or the artifact, or was left there by who was killed."""
    return {path.name for path in (project.data / ".work" / stage).glob("new-*")}


# Harm.


def truncate(file: Path) -> None:
    """Take half of a file away."""
    replace(file, file.read_bytes()[: file.stat().st_size // 2])


def delete(file: Path) -> None:
    """Take a file away."""
    file.unlink()


def flip(file: Path) -> None:
    """Change one bit in the middle of a file."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    replace(file, bytes(content))


def replace(file: Path, content: bytes) -> None:
    """Give a file another content, under this name alone."""
    file.unlink()
    file.write_bytes(content)
