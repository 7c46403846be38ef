"""`seedbed predict`: runs the trained segmenter on pictures that belong to no data set.

The network sees a picture at a limited size. Its probabilities are enlarged to the picture's own size a few rows at a time, so that a large
picture takes little more memory than a few copies of itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
import torch
from PIL import Image as PillowImage

from seedbed import evaluation, features, images, predictions, segmenter
from seedbed.errors import DataError, MachineError, ParamsError, SeedbedError
from seedbed.methods import Method, identity
from seedbed.networks.feature_network import FeatureNetwork
from seedbed.networks.inference import TrainedNetwork
from seedbed.params import Params, rebuild
from seedbed.report import drawing
from seedbed.report.export import encode_mask, encode_png
from seedbed.report.palette import Palette, make_palette
from seedbed.run import memory
from seedbed.run.slots import check_learned, check_slots, check_versions, join_views
from seedbed.store import files
from seedbed.store.artifact import Artifact, open_artifact
from seedbed.store.schemas import NONE, find_kind
from seedbed.types import IGNORE, Image, LabelMap, Probabilities, Size

MARK = ("Software", "seedbed predict")  # a note in every PNG file that is written; files without it are never overwritten
HEAD = 128  # Pillow puts that note into the first bytes of a file
NUMBERS = 2**22  # probabilities in a block of rows: 16 MB
PIXELS = 2**20  # pixels in a block of rows that is drawn on
M = TypeVar("M", bound=Method)
APART = "segment them one after the other, each with its own --to"


@dataclass(frozen=True)
class Request:
    """What to write for every picture, and where."""

    folder: Path
    with_crf: bool = False  # whether to refine the labels with the evaluation's dense CRF
    overlay: bool = False  # whether to write pictures with their labels over them, too
    longest_side: int | None = None  # at which the network sees a picture; None: the data set's max_size

    def mask_file(self, picture: Path) -> Path:
        """The file for a picture's mask."""
        return self.folder / f"{picture.stem}.png"

    def overlay_file(self, picture: Path) -> Path:
        """The file for a picture with its labels over it."""
        return self.folder / f"{picture.stem}_overlay.png"

    def outputs(self, picture: Path) -> list[Path]:
        """All files that are written for a picture."""
        return [self.mask_file(picture), self.overlay_file(picture)] if self.overlay else [self.mask_file(picture)]


@dataclass(frozen=True)
class SegmentedPicture:
    """A picture whose mask is written."""

    mask: Path
    shares: dict[str, float]  # of its pixels, by name of the classes that occur


@dataclass(frozen=True)
class Model:
    """The trained network, and the methods that turn its outputs into labels."""

    trained: TrainedNetwork[Any]
    describers: Sequence[FeatureNetwork]  # what describes patches, in each way, where the network labels those
    method: predictions.Method
    judge: evaluation.Method

    def load(self) -> None:
        """Load the networks, so that what is wrong with them is said before any picture is read."""
        self.trained.load()
        for describer in self.describers:
            describer.load()

    def labels(self, image: Image, *, bound: Size, with_crf: bool) -> LabelMap:
        """Label every pixel.

        bound: height and width to which a larger image is shrunk for the network.
        """
        size = (image.shape[0], image.shape[1])
        fitted = images.fit_size(size, bound)
        shrunk = image if fitted == size else np.asarray(cv2.resize(image, fitted[::-1], interpolation=cv2.INTER_AREA), np.uint8)
        patches = [patches for each in self.describers for patches in each.describe([shrunk])]
        [predicted] = self.method.predict(self.trained.load(), [shrunk], [patches], device=self.trained.device)
        if not with_crf:
            return find_likeliest(predicted, size)
        [made] = self.judge.from_probabilities([shrunk], [predicted.resize(fitted)])
        labels = made["predictions_crf"]
        if fitted == size:
            return labels
        classes = np.arange(len(predicted.maps), dtype=np.uint8)[:, None, None]
        return find_likeliest(Probabilities((labels == classes).astype(np.float32)), size)


def open_segmenter(params: Params, device: str) -> tuple[TrainedNetwork[Any], list[FeatureNetwork]]:
    """Open the network that the pipeline predicts with, and what describes patches, in each way, where it labels those."""
    settings, chosen, data = params.settings(predictions.Settings), params.method(predictions.Method), open_artifact("dataset")
    check_slots("predictions", settings, chosen)
    artifact = open_artifact(settings.segmenter)
    method: segmenter.Method[Any] = _rebuild(segmenter.Method, artifact)
    check_learned("predictions", chosen, settings.features, settings.segmenter, method, inputs=artifact.made_by.inputs)
    more = {slot: open_artifact(name) for slot, name in settings.views.items() if name != NONE}
    views = join_views("predictions", None if settings.features == NONE else open_artifact(settings.features), more)
    check_versions({one.name: one for one in (data, artifact, *views)})
    trained = TrainedNetwork[Any](method, (data.num_classes, *(one.lengths["channel"] for one in views[:1])), artifact, device)
    return trained, [_open_describer(one, params.of_stage(one.name), device) for one in views]


def _open_describer(described: Artifact, params: Params, device: str) -> FeatureNetwork:
    """What has described the patches of the images, for others.

    params: of the stage that did, which say where files of weights lie.
    """
    method, present = _rebuild(features.Method, described), params.method(features.Method)
    if present.name == method.name and identity(present) == identity(method):
        method = present
    pretraining = next((open_artifact(name) for name in described.made_by.inputs if find_kind(name) == "pretraining"), None)
    if pretraining is not None:
        check_versions({one.name: one for one in (described, pretraining)})
    scale, mirrored = method.patch_size / int(described.array("patch_size")), bool(described.array("mirrored"))
    return FeatureNetwork(method, device, pretraining, scale, mirrored)


def _rebuild(contract: type[M], artifact: Artifact) -> M:
    """The method that made an artifact."""
    made_by = artifact.made_by
    return rebuild(contract, made_by.method, made_by.parameters, where=str(artifact.path))


def segment_pictures(
    pictures: Sequence[Path], wanted: Request, *, params: Params, device: str
) -> Iterator[SegmentedPicture | SeedbedError]:
    """Segment pictures and write a mask for each. An error about one picture is yielded, and the others are still segmented."""
    side = wanted.longest_side
    if side is not None and not images.SMALLEST_SIDE <= side <= images.LARGEST_SIDE:
        expected = f"{images.SMALLEST_SIDE} to {images.LARGEST_SIDE:,} pixels"
        raise ParamsError("seedbed predict --size", found=str(side), expected=expected, do="correct it")
    data, opened = open_artifact("dataset"), open_segmenter(params, device)
    model = Model(*opened, params.method(predictions.Method), params.method(evaluation.Method))
    check_outputs(pictures, wanted)
    model.load()
    for picture in pictures:
        try:
            yield _segment_picture(picture, wanted, model, data)
        except DataError as error:
            yield error
        except (MemoryError, RuntimeError, cv2.error) as error:
            if not (memory.is_out_of_memory(error) or isinstance(error, torch.OutOfMemoryError)):
                raise
            found, do = "that memory ran out", "name a smaller --size, or use a larger machine"
            yield MachineError(str(picture), found=found, expected="enough memory for this picture", do=do)


def _segment_picture(picture: Path, wanted: Request, model: Model, data: Artifact) -> SegmentedPicture:
    image = images.decode(_read_content(picture), where=str(picture))
    side = wanted.longest_side
    labels = model.labels(image, bound=(side, side) if side else data.max_size, with_crf=wanted.with_crf)
    palette = make_palette(data.num_classes)
    files.write(encode_mask(labels, palette, note=MARK), wanted.mask_file(picture))
    if wanted.overlay:
        draw_overlay(image, labels, palette)
        files.write(encode_png(PillowImage.fromarray(image), note=MARK), wanted.overlay_file(picture))
    counts = np.sum([np.bincount(row, minlength=IGNORE + 1) for row in labels], axis=0)
    shares = {name: float(count / labels.size) for name, count in zip(data.class_names, counts, strict=False) if count}
    return SegmentedPicture(wanted.mask_file(picture), shares)


def check_outputs(pictures: Sequence[Path], wanted: Request) -> None:
    """Refuse outputs that would overwrite anything but an earlier run's, before anything is computed."""
    names = [picture.stem for picture in pictures]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(twice[0], found="two pictures with this name", expected="different names", do=APART)
    outputs = [file for picture in pictures for file in wanted.outputs(picture)]
    if twice := sorted({str(file) for file in outputs if outputs.count(file) > 1}):
        found = "the mask of one picture and the overlay of another"
        raise DataError(twice[0], found=found, expected="different names", do=APART)
    inputs = {identity for picture in pictures if (identity := _identify(picture))}
    elsewhere = "name another folder, as with --to masks"
    for file in outputs:
        if _identify(file) in inputs:
            raise DataError(str(file), found="a picture to be segmented", expected="another file to write to", do=elsewhere)
        if os.path.lexists(file) and not _is_ours(file):
            expected = "no file, or one that it wrote"
            raise DataError(
                str(file), found="a file that `seedbed predict` did not write", expected=expected, do=f"move it, or {elsewhere}"
            )
    files.check_folder(wanted.folder)


def _identify(file: Path) -> tuple[int, int] | None:
    """A file's identity, whatever its name; None if there is no file."""
    try:
        about = file.stat()
    except OSError:
        return None
    return about.st_dev, about.st_ino


def _is_ours(file: Path) -> bool:
    """Whether `seedbed predict` wrote a file."""
    try:
        with file.open("rb") as stream:
            return b"\0".join(one.encode() for one in MARK) in stream.read(HEAD)
    except OSError:
        return False


def _read_content(picture: Path) -> bytes:
    where = str(picture)
    try:
        if picture.is_dir():
            raise DataError(where, found="a folder", expected="a picture", do="name the pictures in it")
        if not picture.is_file():
            raise DataError(where, found="no such file", expected="a picture", do="correct the path")
        return picture.read_bytes()
    except OSError as error:
        raise DataError(
            where, found=f"a file that cannot be read: {error.strerror}", expected="a picture", do="correct the path"
        ) from error


# Pictures of any size are handled a block of rows at a time.


def find_likeliest(probabilities: Probabilities, size: Size) -> LabelMap:
    """The likeliest class of every pixel at another size: as by `Probabilities.resize`, but without holding all of it in memory."""
    count, rows = probabilities.maps.shape[:2]
    height, width = size
    places = np.clip((np.arange(height) + 0.5) * rows / height - 0.5, 0, rows - 1)
    above = places.astype(np.int64)
    below, share = np.minimum(above + 1, rows - 1), (places - above).astype(np.float32)[:, None]
    labels, step = np.empty(size, np.uint8), max(1, NUMBERS // (count * width))
    for start in range(0, height, step):
        block, first, last = slice(start, start + step), above[start], below[start : start + step][-1] + 1
        wide = Probabilities(probabilities.maps[:, first:last]).resize((last - first, width)).maps  # rows stay as they are
        upper, lower = wide[:, above[block] - first], wide[:, below[block] - first]
        lower -= upper
        lower *= share[block]
        lower += upper
        labels[block] = lower.argmax(axis=0)
    return labels


def draw_overlay(image: Image, labels: LabelMap, palette: Palette) -> None:
    """Draw labels over an image in place, as `drawing.draw_overlay` does."""
    height, step = len(image), max(1, PIXELS // image.shape[1])
    for start in range(0, height, step):
        first, last = max(0, start - 1), min(height, start + step + 1)  # one more row on either side, because its labels make borders
        drawn = drawing.draw_overlay(image[first:last], labels[first:last], palette)
        image[start : start + step] = drawn[start - first :][:step]
