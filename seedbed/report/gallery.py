"""Galleries of a page: images with what was made of them, small, each with a caption, and a legend of the classes that they show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import cv2
import numpy as np

from seedbed.errors import SeedbedError
from seedbed.report import drawing
from seedbed.report.layers import Layer, list_layers, read_layer, read_maps
from seedbed.report.markup import Markup, element, embed_drawing, embed_photo, join
from seedbed.report.palette import UNLABELLED, Colour, Palette, make_palette
from seedbed.report.svg import CHIP, draw_chip, frame
from seedbed.store.artifact import Artifact
from seedbed.types import BACKGROUND, IGNORE, Image, LabelMap

LONGEST = 256  # pixels of the longer side of a picture
JUDGED = "evaluation"  # what it has of an image are labels of predictions


class Source(Protocol):
    """Where a page has images and artifacts from. What cannot be had is a `SeedbedError`."""

    def names(self) -> list[str]:
        """Artifacts, in the order of the stages."""

    def artifact(self, name: str) -> Artifact:
        """One of them."""

    def photo(self, image_id: str) -> Image:
        """An image as the stages see it."""

    def truth(self, image_id: str) -> LabelMap | None:
        """Its true classes; None where nobody knows them."""


@dataclass(frozen=True)
class Picture:
    """A picture with what stands below it."""

    caption: str
    pixels: Image
    photo: bool = True  # of many colours


@dataclass
class Gallery:
    """Images in rows, and the classes that were seen among them."""

    class_names: Sequence[str]
    palette: Palette
    rows: list[Markup] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)
    problems: dict[str, None] = field(default_factory=dict)  # what could not be read, each once

    @classmethod
    def of(cls, data: Artifact) -> Gallery:
        """An empty one, in the colours of the one palette."""
        return cls(data.class_names, make_palette(data.num_classes))

    def labels(self, caption: str, labels: LabelMap) -> Picture:
        """A picture of labels, whose classes are in the legend from now on."""
        self.seen |= {int(one) for one in np.unique(labels)}
        return Picture(caption, drawing.draw_labels(_fit_labels(labels), self.palette), photo=False)

    def add(self, image_id: str, remark: str, pictures: Sequence[Picture]) -> None:
        """A row."""
        head = element("header", {}, element("bdi", {"class": "id"}, image_id), element("span", {"class": "remark"}, remark))
        row = element("div", {"class": "pictures"}, *map(_draw_figure, pictures))
        self.rows.append(element("article", {"class": "shot"}, head, row))

    def draw(self, *, more: Mapping[str, Colour] | None = None, beside: bool = False) -> Markup:
        """The legend and the rows.

        more: what colours mean in pictures of errors.
        beside: whether rows are so short that two go side by side where there is room.
        """
        classes = {self.class_names[one]: self.palette[one] for one in sorted(self.seen - {IGNORE})}
        grey = {"no label": UNLABELLED} if IGNORE in self.seen else {}
        rows = element("div", {"class": "pairs" if beside else "rows"}, *self.rows)
        return join(*map(say, self.problems), draw_legend({**classes, **grey}), draw_legend(more or {}, of="errors:"), rows)


def draw_legend(colours: Mapping[str, Sequence[int]], *, of: str = "") -> Markup:
    """What colours mean; nothing of none.

    of: where they mean that.
    """
    head = [element("li", {"class": "of"}, of)] if of else []
    chips = [
        element("li", {}, frame(CHIP, CHIP, "", draw_chip(0, 0, spell(colour))), element("bdi", {}, name))
        for name, colour in colours.items()
    ]
    return element("ul", {"class": "legend"}, *head, *chips) if chips else Markup("")


def draw_training_images(source: Source, gallery: Gallery, images: Sequence[str], *, titles: Mapping[str, str]) -> None:
    """Add everything that there is to see of images, whatever stages made it.

    titles: of artifacts, where they are not called by their names.
    """
    for image_id in images:
        pictures = list(_list_pictures(source, gallery, image_id, titles=titles))
        gallery.add(image_id, _name_classes(source, gallery, image_id), pictures)


def _list_pictures(source: Source, gallery: Gallery, image_id: str, *, titles: Mapping[str, str]) -> Iterator[Picture]:
    photo = source.photo(image_id)
    yield Picture("image", fit_photo(photo))
    for name in source.names():
        if name == JUDGED:
            continue
        try:
            artifact = source.artifact(name)
            layers = list_layers(artifact, image_id)
            for layer in layers:
                title = titles.get(name, name)
                caption = title if layer is layers[0] else f"{title}: {layer.array.replace('_', ' ')}"
                yield draw_layer(artifact, layer, image_id, photo, gallery, caption=caption.replace("_", " "))
        except SeedbedError as error:
            gallery.problems[str(error)] = None
    if (true := source.truth(image_id)) is not None:
        yield gallery.labels("truth", true)


def draw_layer(artifact: Artifact, layer: Layer, image_id: str, photo: Image, gallery: Gallery, *, caption: str) -> Picture:
    """A layer as its schema says that it is shown; labels alone, features alone, all else over the photograph."""
    if layer.shown in ("labels", "probabilities"):
        return gallery.labels(caption, read_layer(artifact, layer, image_id))
    classes = layer.classes if layer.shown == "scores" else None
    gallery.seen |= set(classes or ())
    content, beneath = read_maps(artifact, layer, image_id, classes), None if layer.shown == "features" else photo
    return Picture(caption, fit_photo(drawing.draw_layer(content, layer.shown, gallery.palette, image=beneath, classes=classes)))


def draw_labels(source: Source, gallery: Gallery, images: Sequence[str], *, kinds: Mapping[str, Mapping[str, LabelMap]]) -> None:
    """Add images with labels of several kinds and the truth.

    kinds: labels of each image, by kind.
    """
    for image_id in images:
        true = source.truth(image_id)
        pictures = [Picture("image", fit_photo(source.photo(image_id)))]
        pictures += [gallery.labels(kind.replace("_", " "), labels) for kind, labels in kinds[image_id].items()]
        pictures += [] if true is None else [gallery.labels("truth", true)]
        gallery.add(image_id, _name_classes(source, gallery, image_id), pictures)


def draw_errors(source: Source, gallery: Gallery, image_id: str, labels: LabelMap, *, remark: str) -> None:
    """Add an image with where its labels are wrong."""
    photo, true = source.photo(image_id), source.truth(image_id)
    pictures = [Picture("image", fit_photo(photo)), gallery.labels("labels", labels)]
    if true is not None:
        marked = drawing.draw_errors(fit_photo(photo), _fit_labels(labels), _fit_labels(true))
        pictures += [gallery.labels("truth", true), Picture("errors", marked, photo=False)]
    gallery.add(image_id, remark, pictures)


def say(text: str) -> Markup:
    """A line of what is not there, and why."""
    return element("p", {"class": "note"}, text)


def spell(colour: Sequence[int]) -> str:
    """A colour for SVG."""
    return "#" + "".join(f"{int(one):02x}" for one in colour)


def _name_classes(source: Source, gallery: Gallery, image_id: str) -> str:
    data = source.artifact("dataset")
    if not data.array("labelled")[data.row(image_id)]:
        return "not labelled"
    contained = [int(one) for one in np.flatnonzero(data.array("labels")[data.row(image_id)]) if one != BACKGROUND]
    return ", ".join(gallery.class_names[one] for one in contained) or "nothing but background"


def draw_picture(picture: Picture) -> Markup:
    """A picture without its caption."""
    height, width = picture.pixels.shape[:2]
    address = (embed_photo if picture.photo else embed_drawing)(picture.pixels)
    return element("img", {"src": address, "width": width, "height": height, "alt": picture.caption})


def _draw_figure(picture: Picture) -> Markup:
    return element("figure", {}, draw_picture(picture), element("figcaption", {}, element("bdi", {}, picture.caption)))


def fit_photo(image: Image) -> Image:
    """An image no larger than pictures are."""
    return image if max(image.shape[:2]) <= LONGEST else _resize(image, cv2.INTER_AREA)


def _fit_labels(labels: LabelMap) -> LabelMap:
    return labels if max(labels.shape) <= LONGEST else _resize(labels, cv2.INTER_NEAREST_EXACT)


def _resize(image: Image, how: int) -> Image:
    height, width = image.shape[:2]
    share = LONGEST / max(height, width)
    return np.asarray(cv2.resize(image, (max(1, round(width * share)), max(1, round(height * share))), interpolation=how), np.uint8)
