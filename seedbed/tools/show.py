"""The command `show`: one picture of what an artifact holds of an image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image as PillowImage

from seedbed.errors import ArtifactError, DataError, ParamsError, SeedbedError, join_names
from seedbed.images import Images
from seedbed.report.drawing import draw_layer
from seedbed.report.export import encode_png
from seedbed.report.layers import Layer, list_layers, read_maps
from seedbed.report.lettering import Entry, draw_legend
from seedbed.report.palette import UNLABELLED, make_palette, make_thing_colours
from seedbed.store.artifact import Artifact
from seedbed.store.runs import Snapshot, open_run
from seedbed.tools.photographs import find_raw_root
from seedbed.types import BACKGROUND, IGNORE, Image

BY_CLASS = ("scores", "probabilities")  # ways of being shown that have a map for each class
SMALLEST = 480  # pixels across, to which small pictures in files are enlarged


@dataclass(frozen=True)
class Wanted:
    """Which picture is asked for."""

    artifact: str
    image_id: str
    run: str = ""  # as `open_run` takes it
    array: str = ""  # the first that can be seen, if none is named
    class_name: str = ""  # of which a map is shown; all, if none is named
    plain: bool = False  # the layer alone, without the photograph


@dataclass(frozen=True)
class Drawn:
    """A picture, and what its reader has to know."""

    picture: Image
    legend: tuple[Entry, ...]
    remarks: tuple[str, ...] = ()

    def encode(self) -> bytes:
        """It as a PNG file, with the legend below. Small ones are enlarged by a whole number."""
        times = max(1, SMALLEST // self.picture.shape[1])
        picture = self.picture.repeat(times, axis=0).repeat(times, axis=1)
        page = np.concatenate([picture, draw_legend(self.legend, picture.shape[1])])
        return encode_png(PillowImage.fromarray(page))


def draw_picture(wanted: Wanted) -> Drawn:
    """Draw what is asked for."""
    with open_run(wanted.run) as run:
        data, artifact = run.artifact("dataset"), open_named(run, wanted.artifact)
        layer = choose_layer(artifact, wanted.image_id, wanted.array)
        classes = _choose_classes(layer, wanted.class_name, data.class_names)
        content = read_maps(artifact, layer, wanted.image_id, classes)
        photo, remarks = (None, []) if wanted.plain else _photo(run, data, wanted.image_id)
    palette = make_palette(data.num_classes)
    picture = draw_layer(content, layer.shown, palette, image=photo, classes=classes)
    colours = [(int(red), int(green), int(blue)) for red, green, blue in palette]
    numbers: list[int] = list(classes or ())
    if classes is None and layer.shown in ("labels", "probabilities"):
        numbers = [int(one) for one in np.unique(content) if one != IGNORE and (one != BACKGROUND or photo is None)]
    legend = [Entry(data.class_names[number], colours[number], number) for number in numbers]
    if layer.shown == "labels" and (content == IGNORE).any():
        legend.append(Entry("no label", UNLABELLED))
    own = [(int(red), int(green), int(blue)) for red, green, blue in make_thing_colours(data.num_classes)]
    for number, (class_id, score) in enumerate(layer.things, 1):
        legend.append(Entry(f"{number}: {data.class_names[class_id]} {score:.2f}", own[number], class_id))
    remarks += [f"{entry.text}: {entry.name}" for entry in legend if entry.text != entry.name]
    return Drawn(picture, tuple(legend), tuple(remarks))


def open_named(run: Snapshot, name: str) -> Artifact:
    """Open an artifact that a user has named."""
    if name not in run.artifacts():
        expected = f"one of: {join_names(run.artifacts())}" if run.artifacts() else "what a run left"
        raise ArtifactError(name, found="no such artifact", expected=expected, do="name another, or run `dvc repro`")
    return run.artifact(name)


def choose_layer(artifact: Artifact, image_id: str, array: str) -> Layer:
    """An array of an artifact that can be seen, the first if none is named."""
    if not any(spec.shown for spec in artifact.schema.arrays.values()):
        raise ArtifactError(artifact.name, found="nothing that can be seen", expected="an array over images", do="name another artifact")
    if image_id not in artifact:
        found = f"no image {image_id!r}"
        raise DataError(artifact.name, found=found, expected="one of its `ids`", do="correct it; `seedbed view` lists images")
    layers = list_layers(artifact, image_id)
    chosen = [layer for layer in layers if array in ("", layer.array)]
    if not chosen:
        expected = f"one of: {join_names([layer.array for layer in layers])}"
        raise ParamsError(f"{artifact.name}, --array", found=array, expected=expected, do="choose one")
    return chosen[0]


def _choose_classes(layer: Layer, class_name: str, names: list[str]) -> tuple[int, ...] | None:
    """Classes whose maps are shown; None where classes are shown themselves, or a map of none."""
    where = f"{layer.artifact}.{layer.array}, --class"
    if not class_name:
        return layer.classes if layer.shown == "scores" else None
    if layer.shown not in BY_CLASS:
        raise ParamsError(where, found=class_name, expected="an array with a map for each class", do="leave it out")
    known = {names[number]: number for number in layer.classes}
    if class_name not in known:
        expected = f"one of: {join_names(known)}" if known else "nothing: the image has no class map"
        raise ParamsError(where, found=class_name, expected=expected, do="choose one that the image has")
    return (known[class_name],)


def _photo(run: Snapshot, data: Artifact, image_id: str) -> tuple[Image | None, list[str]]:
    """The photograph, or why there is none."""
    try:
        return Images(find_raw_root(run), data)[image_id], []
    except SeedbedError as error:
        return None, [f"without the photograph: {error}"]
