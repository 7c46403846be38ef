"""Artifacts of a run for whoever looks at them one image at a time, while stages may be replacing them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import RLock

from seedbed.errors import ArtifactError, SeedbedError
from seedbed.images import Images
from seedbed.report.layers import Layer, list_layers
from seedbed.scoring.truth import Truth
from seedbed.store.artifact import Artifact
from seedbed.store.runs import Snapshot
from seedbed.types import Image, LabelMap

DATASET, EVALUATION = "dataset", "evaluation"


@dataclass(frozen=True)
class _Opened:
    artifact: Artifact
    signature: tuple[int, int]


class Library:
    """Artifacts of one run, opened when they are first asked for, and again once they were replaced."""

    def __init__(self, run: Snapshot, root: Path) -> None:
        """root: folder of the raw data."""
        self.run = run
        self.root = root
        self._opened: dict[str, _Opened] = {}
        self._lock = RLock()

    @property
    def data(self) -> Artifact:
        """The index of the data set."""
        return self.artifact(DATASET)

    def names(self) -> list[str]:
        """Artifacts that there are, but for the index of the data set, in the order of the stages."""
        return [name for name in self.run.artifacts() if name != DATASET]

    def artifact(self, name: str) -> Artifact:
        """An artifact as it is now."""
        if name not in self.run.artifacts():
            raise ArtifactError(name, found="no such artifact", expected="one that the run left", do="run `dvc repro`")
        with self._lock:
            opened = self._opened.get(name)
            if opened is None or opened.signature != _sign(opened.artifact.path):
                artifact = self.run.artifact(name)
                opened = self._opened[name] = _Opened(artifact, _sign(artifact.path))
            return opened.artifact

    def find(self, name: str) -> Artifact | None:
        """An artifact, or None where it cannot be had."""
        try:
            return self.artifact(name)
        except SeedbedError:
            return None

    def layers(self, image_id: str) -> tuple[list[Layer], list[str]]:
        """What there is to see of an image, and what is wrong with artifacts that cannot be read."""
        layers, problems = list[Layer](), list[str]()
        for name in self.names():
            with _told(problems):
                layers += list_layers(self.artifact(name), image_id)
        return layers, problems

    def photo(self, image_id: str) -> Image:
        """An image as the stages see it."""
        return Images(self.root, self.data)[image_id]

    def truth(self, image_id: str) -> LabelMap | None:
        """The true class of every pixel; None where there is no mask."""
        return Truth.of_images(Images(self.root, self.data), [image_id])[image_id]


def _sign(path: Path) -> tuple[int, int]:
    """What changes when an artifact is replaced."""
    try:
        status = (path / "zarr.json").stat()
    except OSError:
        return 0, 0
    return status.st_mtime_ns, status.st_ino


@contextmanager
def _told(problems: list[str]) -> Iterator[None]:
    """Note what is wrong, and go on."""
    try:
        yield
    except SeedbedError as error:
        problems.append(str(error))
