"""What is exported: labels of an artifact, or other arrays that lie over images, one image at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import cv2
import numpy as np
import numpy.typing as npt

from seedbed.errors import ArtifactError, ParamsError, join_names
from seedbed.reads import read_entry, read_instances, read_probabilities
from seedbed.report.palette import Palette, make_palette
from seedbed.store.artifact import Artifact
from seedbed.store.runs import open_run
from seedbed.tools.show import open_named
from seedbed.types import BACKGROUND, IGNORE, PARTS, Instances, LabelMap, Size

LABELLED = ("labels", "probabilities")  # ways of being shown that give a class for every pixel
TOLD_APART = "things"  # that gives things, each with a class


@dataclass(frozen=True)
class Wanted:
    """What is to be exported."""

    artifact: str
    run: str = ""  # as `open_run` takes it
    array: str = ""  # the first that fits, if none is named
    split: str = ""  # whose images; all that the artifact has, if none is named


@dataclass(frozen=True)
class Labelled:
    """An image with a class for every pixel."""

    image_id: str
    labels: LabelMap  # at the size of the image's file
    certainty: dict[int, float]  # mean probability of the pixels of each class; empty where nothing is known of it


@dataclass(frozen=True)
class Source:
    """An array of an artifact, and the data set that it is of."""

    data: Artifact
    artifact: Artifact
    array: str
    image_ids: list[str]

    @property
    def shown(self) -> str:
        """How the array is shown."""
        return self.artifact.schema.arrays[self.array].shown

    @property
    def palette(self) -> Palette:
        """Colours of classes."""
        return make_palette(self.data.num_classes)

    def classes(self) -> Iterator[tuple[int, str]]:
        """Every class but background, with its name."""
        return ((number, name) for number, name in enumerate(self.data.class_names) if number != BACKGROUND)

    def file_size(self, image_id: str) -> Size:
        """Height and width of an image in its file."""
        return self.data.original_size(image_id)

    def file_name(self, image_id: str) -> str:
        """An image's file, below the raw data."""
        return PurePosixPath(str(self.data.array("file")[self.data.row(image_id)])).as_posix()

    def splits(self) -> Iterator[tuple[str, list[str]]]:
        """Splits of the data set, with those of the images that belong to them."""
        for column, name in enumerate(self.data.array("split_names")):
            member = self.data.array("splits")[:, column]
            if found := [one for one in self.image_ids if member[self.data.row(one)]]:
                yield str(name), found

    def labelled(self, *, empty_too: bool = False) -> Iterator[Labelled]:
        """Labels of one image after the other.

        empty_too: whether also those of images in which no pixel has one.
        """
        for image_id in self.image_ids:
            labels, certain = self._read(image_id)
            if empty_too or (labels != IGNORE).any():
                present = np.unique(labels)
                certainty = {} if certain is None else {int(one): float(certain[labels == one].mean() / PARTS) for one in present}
                yield Labelled(image_id, resize_labels(labels, self.file_size(image_id)), certainty)

    def told_apart(self) -> Iterator[tuple[str, Instances]]:
        """Things of one image after the other, at the size of its file."""
        for image_id in self.image_ids:
            found = read_instances(self.artifact, image_id)
            yield image_id, replace(found, things=resize_labels(found.things, self.file_size(image_id)))

    def _read(self, image_id: str) -> tuple[LabelMap, npt.NDArray[np.uint8] | None]:
        """Labels of an image as the stages see it, and how probable they are, in 255ths."""
        if self.shown == "probabilities":
            probabilities = read_probabilities(self.artifact, image_id).resize(self.artifact.size(image_id))
            return probabilities.labels, np.asarray(np.rint(PARTS * probabilities.maps.max(axis=0)), np.uint8)
        beside = [name for name, spec in self.artifact.schema.arrays.items() if spec.shown == "confidence"]
        return read_entry(self.artifact, self.array, image_id), read_entry(self.artifact, beside[0], image_id) if beside else None


@contextmanager
def open_source(wanted: Wanted, *, shown: tuple[str, ...]) -> Iterator[Source]:
    """Open what is to be exported.

    shown: ways of being shown that fit.
    """
    with open_run(wanted.run) as run:
        data, artifact = run.artifact("dataset"), open_named(run, wanted.artifact)
        fitting = [name for name, spec in artifact.schema.arrays.items() if spec.shown in shown]
        if not fitting:
            expected = f"an artifact with {join_names(shown)}"
            raise ArtifactError(
                artifact.name, found="nothing of that kind", expected=expected, do="name another, as with --from refinement"
            )
        if wanted.array and wanted.array not in fitting:
            expected = f"one of: {join_names(fitting)}"
            raise ParamsError(f"{artifact.name}, --array", found=wanted.array, expected=expected, do="choose one")
        chosen = set(data.split(wanted.split) if wanted.split else data.usable)
        image_ids = [one for one in artifact.ids if one in chosen]
        if not image_ids:
            found = f"no image of split {wanted.split!r}" if wanted.split else "no image"
            raise ArtifactError(artifact.name, found=found, expected="some to export", do="name another split or artifact")
        yield Source(data, artifact, wanted.array or fitting[0], image_ids)


def resize_labels(labels: LabelMap, size: Size) -> LabelMap:
    """Labels at the size of the image's file: each pixel takes the class of the nearest."""
    return labels if labels.shape == size else np.asarray(cv2.resize(labels, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)


def mask_values(data: Artifact) -> npt.NDArray[np.uint8]:
    """What true masks of the data set call each class; 255 stays what it is."""
    values = np.arange(IGNORE + 1, dtype=np.uint8)
    meaning = data.array("mask_meaning")
    for number in range(1 + data.num_classes):
        if len(found := np.flatnonzero(meaning == number)):
            values[number] = found[0]
    return values


def describe_left_out(source: Source, count: int) -> str:
    """How many images were exported, and how many were not."""
    without = len(source.image_ids) - count
    return f"{count:,} images" + (f"; {without:,} without any label are left out" if without else "")
