"""What a report is written of, and the small parts that its sections are put together from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from seedbed.errors import SeedbedError
from seedbed.reads import read_entry, read_labels
from seedbed.report.gallery import JUDGED, Gallery, Source, say, spell
from seedbed.report.graph import Stage
from seedbed.report.markup import Markup, element
from seedbed.report.tables import Table
from seedbed.scoring.judgement import CLASSIFIER, INSTANCES, PREDICTIONS, REFINED, SALIENCY, SUPERPIXELS
from seedbed.store.artifact import Artifact
from seedbed.types import LabelMap

NO_TRUTH = "No image has a truth, so nobody can say."
NO_FIGURES = "There are no figures: `dvc repro` has not come to the evaluation yet."


@dataclass(frozen=True)
class Setting:
    """A parameter."""

    address: str
    value: str
    before: str | None = None  # what git has, where that is something else


@dataclass(frozen=True)
class Run:
    """What there is to report of."""

    name: str
    root: str  # of the raw data
    stages: Sequence[Stage]
    settings: Mapping[str, Sequence[Setting]]  # by section, those of the selected methods
    figures: Mapping[str, Any]
    tables: Mapping[str, Callable[[], Table]]  # that stages left for plots
    trained: Sequence[str]  # stages that leave a table of their training
    slots: Mapping[str, str]  # artifact of what is judged, by its name in the figures
    split: str  # that training images are shown of
    source: Source
    problems: Sequence[str] = ()  # what of it could not be read

    @cached_property
    def kinds(self) -> dict[str, Mapping[str, Any]]:
        """Figures of kinds of labels."""
        others = (CLASSIFIER, SUPERPIXELS, INSTANCES, SALIENCY)
        return {kind: content for kind, content in self.figures.items() if kind not in others and isinstance(content, Mapping)}

    @cached_property
    def last_labels(self) -> str:
        """The last kind of labels that are made for training; empty where there are none."""
        made = [kind for kind in self.kinds if kind not in (PREDICTIONS, REFINED)]
        return made[-1] if made else ""

    @property
    def data(self) -> Artifact:
        """The index of the data set."""
        return self.source.artifact("dataset")

    @property
    def predictions(self) -> str:
        """The artifact that predictions are read from."""
        return self.slots.get(PREDICTIONS, PREDICTIONS)

    @cached_property
    def colours(self) -> dict[str, str]:
        """Colours of classes by name, if the data set is there."""
        try:
            palette = Gallery.of(self.data).palette
            return {name: spell(colour) for name, colour in zip(self.data.class_names, palette, strict=True)}
        except SeedbedError:
            return {}

    def read_labels(self, kind: str, image_id: str) -> LabelMap:
        """Labels of an image, of a kind."""
        if kind == REFINED:
            return read_entry(self.source.artifact(JUDGED), "refined", image_id)
        return read_labels(self.source.artifact(self.predictions if kind == PREDICTIONS else self.slots.get(kind, kind)), image_id)


def try_to(draw: Callable[[], Markup]) -> Markup:
    """Draw something, or say in a line why that is not possible."""
    try:
        return draw()
    except SeedbedError as error:
        return say(str(error))


def panel(title: str, told: str, content: Markup) -> Markup:
    """Something with a title."""
    below = element("p", {"class": "sub"}, told) if told else Markup("")
    return element("div", {}, element("h4", {}, element("bdi", {}, words(title))), below, content)


def intro(text: str) -> Markup:
    """What a section shows."""
    return element("p", {"class": "intro"}, text)


def words(name: str) -> str:
    """A name of the figures as people write it."""
    return {REFINED: "predictions after the CRF"}.get(name, name.replace("_", " "))


def number(content: Any, name: str) -> float | None:
    """A figure; None where there is none."""
    value = content.get(name) if isinstance(content, Mapping) else None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def count(content: Any, name: str) -> str:
    """A whole number of the figures."""
    value = number(content, name)
    return "?" if value is None else f"{value:,.0f}"


def spell_number(value: float | None) -> str:
    """A figure for people."""
    return "-" if value is None else f"{value:.1f}" if value >= 10 else f"{value:.3f}"


def spread(images: Sequence[str], wanted: int) -> list[str]:
    """So many of images, evenly spread."""
    chosen = min(wanted, len(images))
    return [images[round(place)] for place in np.linspace(0, len(images) - 1, chosen).tolist()] if chosen else []
