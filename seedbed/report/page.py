"""The report: one HTML file with all that a run has to show. It opens from disk, and holds no script and no address of anything outside it.

What is missing or damaged is said in a line where it would stand.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from typing import Any

import numpy as np

from seedbed.errors import ArtifactError, SeedbedError
from seedbed.reads import read_entry, read_probabilities
from seedbed.report import drawing
from seedbed.report.gallery import (
    JUDGED,
    Gallery,
    Picture,
    Source,
    draw_errors,
    draw_labels,
    draw_picture,
    draw_training_images,
    fit_photo,
    say,
    spell,
)
from seedbed.report.graph import Stage, draw_graph
from seedbed.report.markup import Markup, element, join
from seedbed.report.svg import Bar, Mark, draw_bars, draw_line, draw_matrix
from seedbed.report.tables import Table
from seedbed.scoring.judgement import CLASS_MAPS, CLASSIFIER, ORACLE, PREDICTIONS, REFINED, SUPERPIXELS, UNLABELLED, Scores
from seedbed.store.artifact import Artifact
from seedbed.types import LabelMap

HERO = 7  # images at the head
FIGURES = {  # of kinds of labels, and what each is called in a table
    "miou": "mIoU",
    "boundary_miou": "boundary mIoU",
    "coverage": "coverage",
    "precision": "precision",
    "false_positive_rate": "false positive rate",
    "false_negative_rate": "false negative rate",
    "label_violation_rate": "label violations",
}
REGION_FIGURES = {
    "mean_count": "per image",
    "achievable_segmentation_accuracy": "accuracy that they make possible",
    "undersegmentation_error": "undersegmentation error",
    "boundary_recall": "boundary recall",
    "boundary_precision": "boundary precision",
}
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
    split: str  # images that training images are shown of
    source: Source
    problems: Sequence[str] = ()  # what of it could not be read


class Page:
    """A report in the making."""

    def __init__(self, run: Run, *, images: int) -> None:
        """images: that are shown in each gallery."""
        self.run = run
        self.images = images

    def write(self) -> str:
        """The whole file."""
        sections = [
            ("stages", "Stages", self._stages),
            ("figures", "Figures", self._figures),
            ("classes", "Classes", self._classes),
            ("sizes", "Object size", self._sizes),
            ("confusion", "Confusion", self._confusion),
            ("thresholds", "Thresholds", self._thresholds),
            ("trainings", "Trainings", self._trainings),
            ("superpixels", "Superpixels and classifier", self._beside),
            ("training-images", "Training images", self._training_images),
            ("predictions", "Predictions", self._predictions),
            ("worst", "Worst images", self._worst),
            ("parameters", "Parameters", self._parameters),
        ]
        style = resources.files("seedbed.report").joinpath("page.css").read_text(encoding="utf-8")
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        policy = f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
        head = element(
            "head",
            {},
            element("meta", {"charset": "utf-8"}),
            element("meta", {"http-equiv": "Content-Security-Policy", "content": policy}),
            element("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
            element("meta", {"name": "referrer", "content": "no-referrer"}),
            element("title", {}, f"Seedbed: {self.run.root}"),
            element("style", {}, Markup(style)),
        )
        links = [element("li", {}, element("a", {"href": f"#{anchor}"}, title)) for anchor, title, _ in sections]
        body = element(
            "body",
            {},
            self._head(),
            element("nav", {}, element("ul", {}, *links)),
            element(
                "main",
                {},
                *(element("section", {"id": anchor}, element("h2", {}, title), try_to(draw)) for anchor, title, draw in sections),
                element("footer", {}, f"Written by `seedbed report` of {self.run.name}. Figures as in data/metrics/evaluation.json."),
            ),
        )
        return f"<!DOCTYPE html>\n{element('html', {'lang': 'en'}, head, body)}\n"

    # What several sections need.

    @cached_property
    def kinds(self) -> dict[str, Mapping[str, Any]]:
        """Figures of kinds of labels."""
        others = (CLASSIFIER, SUPERPIXELS)
        return {kind: content for kind, content in self.run.figures.items() if kind not in others and isinstance(content, Mapping)}

    @cached_property
    def last_labels(self) -> str:
        """The last kind of labels that are made for training; empty where there are none."""
        made = [kind for kind in self.kinds if kind not in (PREDICTIONS, REFINED)]
        return made[-1] if made else ""

    @property
    def data(self) -> Artifact:
        """The index of the data set."""
        return self.run.source.artifact("dataset")

    @cached_property
    def colours(self) -> dict[str, str]:
        """Colours of classes by name, if the data set is there."""
        try:
            palette = Gallery.of(self.data).palette
            return {name: spell(colour) for name, colour in zip(self.data.class_names, palette, strict=True)}
        except SeedbedError:
            return {}

    def labels(self, kind: str, image_id: str) -> LabelMap:
        """Labels of an image, of a kind."""
        if kind == REFINED:
            return read_entry(self.run.source.artifact(JUDGED), "refined", image_id)
        artifact = self.run.source.artifact(self.run.slots.get(kind, kind))
        if kind == PREDICTIONS:
            return read_probabilities(artifact, image_id).resize(artifact.size(image_id)).labels
        return read_entry(artifact, "labels", image_id)

    # The sections.

    def _head(self) -> Markup:
        cards = element("div", {"class": "cards"}, *self._cards())
        problems = [say(one) for one in self.run.problems]
        title = element("h1", {}, element("bdi", {}, self.run.root.rstrip("/").rpartition("/")[2] or "Seedbed"))
        return element("div", {"class": "top"}, title, try_to(self._lead), *problems, cards, try_to(self._hero))

    def _lead(self) -> Markup:
        data = self.data
        splits = []
        for name in data.splits_labelled:
            images = data.split(name)
            labelled = int(data.array("labelled")[[data.row(one) for one in images]].sum())
            splits.append(f"{name} {len(images):,}" + ("" if labelled == len(images) else f" ({labelled:,} labelled)"))
        return element(
            "p",
            {"class": "lead"},
            element("b", {}, f"{len(data.usable):,} images"),
            f" ({', '.join(splits)}) and ",
            element("b", {}, f"{data.num_classes} classes"),
            f", read as {data.made_by.method} from ",
            element("code", {}, self.run.root),
            f". Segmentation from image-level labels; this is {self.run.name}.",
        )

    def _cards(self) -> Iterator[Markup]:
        for kind, style, what in (
            (PREDICTIONS, "card main", "mIoU of predictions"),
            (REFINED, "card main", "mIoU of predictions after the CRF"),
            (self.last_labels, "card", f"mIoU of {words(self.last_labels)}, the last labels"),
        ):
            content = self.kinds.get(kind)
            if content is not None:
                miou = number(content, "miou")
                of = f"{count(content, 'images_with_truth')} images with a truth"
                shown = ("no truth", f"{what}; {count(content, 'images')} images") if miou is None else (f"{miou:.3f}", f"{what}, {of}")
                yield element("div", {"class": style}, element("p", {"class": "large"}, shown[0]), element("p", {}, shown[1]))
        precision = number(self.run.figures.get(CLASSIFIER), "mean_average_precision")
        if precision is not None:
            yield element(
                "div",
                {"class": "card"},
                element("p", {"class": "large"}, f"{precision:.3f}"),
                element("p", {}, "mean average precision of the classifier"),
            )
        if not self.kinds:
            yield say(NO_FIGURES)

    def _hero(self) -> Markup:
        """Predictions over images, to begin with."""
        slot = self.run.slots.get(PREDICTIONS, PREDICTIONS)
        if slot not in self.run.source.names():
            return Markup("")
        gallery, images = Gallery.of(self.data), spread(self.run.source.artifact(slot).ids, HERO)
        drawn = []
        for image_id in images:
            labels = self.labels(PREDICTIONS, image_id)
            over = drawing.overlay(self.run.source.photo(image_id), labels, gallery.palette)
            drawn.append(draw_picture(Picture("", fit_photo(over)), alt=image_id))
        told = element("p", {"class": "hero-note"}, "What the trained network says of images that it never saw.")
        return join(element("div", {"class": "hero"}, *drawn), told) if drawn else Markup("")

    def _stages(self) -> Markup:
        if not self.run.stages:
            return say("No stage is known: there is neither a dvc.yaml nor an artifact.")
        head = ("stage", "method", "reads", "images", "last computation", "computed, reused", "on disk")
        rows = []
        for stage in self.run.stages:
            right = (stage.images, stage.took, stage.work, stage.disk)
            cells = [element("td", {"class": "strong"}, stage.name), element("td", {}, stage.method)]
            cells += [element("td", {"class": "wrap"}, ", ".join(stage.reads) or "raw images")]
            if stage.problem:
                cells.append(element("td", {"colspan": 4, "class": "bad" if stage.damaged else "wrap"}, stage.problem))
            else:
                cells += [element("td", {"class": "right"}, one) for one in right]
            rows.append(element("tr", {}, *cells))
        heads = [element("th", {"class": "right"} if place > 2 else {}, one) for place, one in enumerate(head)]
        table = element("table", {}, element("tr", {}, *heads), *rows)
        told = (
            "Each stage stands to the right of what it reads; arrows that follow from others are left out, the table has all. "
            "Times are of the last computation here, and bars their share of all."
        )
        return join(
            intro(told),
            element("div", {"class": "graph scroll"}, try_to(lambda: draw_graph(self.run.stages))),
            element("div", {"class": "scroll"}, table),
        )

    def _figures(self) -> Markup:
        if not self.kinds:
            return say(NO_FIGURES)
        heads = [element("th", {}, "labels"), element("th", {"class": "right"}, "images"), element("th", {"class": "right"}, "with truth")]
        heads += [element("th", {"class": "right"}, what) for what in FIGURES.values()]
        rows = []
        for kind, content in self.kinds.items():
            cells = [element("td", {"class": "strong"}, words(kind))]
            cells += [element("td", {"class": "right"}, count(content, name)) for name in ("images", "images_with_truth")]
            for name in FIGURES:
                cells.append(element("td", {"class": "right strong" if name == "miou" else "right"}, spell_number(number(content, name))))
            rows.append(element("tr", {}, *cells))
        oracle = self.kinds.get(CLASS_MAPS, {}).get(ORACLE)
        best, at = number(oracle, "miou"), number(oracle, "threshold")
        told = (
            ""
            if best is None
            else f"Class maps at the best threshold of all, {at:g}, which only who has the truth can find: mIoU {best:.3f}."
        )
        table = element("table", {}, element("tr", {}, *heads), *rows)
        return join(
            intro(
                "mIoU is the mean over classes, from one confusion matrix of all pixels; pixels without a label count as missed. "
                "Label violations: images labelled with a class that they are known not to contain."
            ),
            element("div", {"class": "scroll"}, table),
            element("p", {"class": "intro"}, told),
        )

    def _classes(self) -> Markup:
        panels = []
        for kind, content in self.kinds.items():
            of_classes = content.get("iou")
            if isinstance(of_classes, Mapping):
                bars = [Bar(str(name), number(of_classes, name), self.colours.get(str(name), "")) for name in of_classes]
                panels.append(
                    panel(kind, f"mIoU {spell_number(number(content, 'miou'))}", draw_bars(bars, label=f"IoU of {words(kind)} by class"))
                )
        return join(intro("IoU of each class."), element("div", {"class": "panels"}, *panels)) if panels else say(NO_TRUTH)

    def _sizes(self) -> Markup:
        panels = []
        for kind, content in self.kinds.items():
            things = content.get("things")
            if isinstance(things, Mapping):
                bars = [
                    Bar(str(name), number(one, "iou"), note=f"{count(one, 'count')} things")
                    for name, one in things.items()
                    if isinstance(one, Mapping)
                ]
                panels.append(panel(kind, "", draw_bars(bars, label=f"IoU of {words(kind)} by size")))
        told = (
            "mIoU counts pixels, so it hides what happens to small things. Here each true thing - connected pixels of a class - "
            "counts as much as another, by the share of the image that it takes."
        )
        return join(intro(told), element("div", {"class": "panels"}, *panels)) if panels else say(NO_TRUTH)

    def _confusion(self) -> Markup:
        panels = [
            panel(kind, "", try_to(lambda kind=kind: self._draw_confusion(kind)))  # type: ignore[misc]
            for kind in self.kinds
            if f"confusion_{kind}" in self.run.tables
        ]
        return (
            join(intro("Percent of the pixels of each true class."), element("div", {"class": "panels"}, *panels))
            if panels
            else say(NO_TRUTH)
        )

    def _draw_confusion(self, kind: str) -> Markup:
        table = self.run.tables[f"confusion_{kind}"]()
        if not table.rows:
            return say(NO_TRUTH)
        true, predicted, shares = table.texts("true"), table.texts("predicted"), table.numbers("share")
        columns = list(dict.fromkeys(predicted))
        rows = [name for name in columns if name != UNLABELLED or name in true]
        cells = np.full((len(rows), len(columns)), np.nan)
        for one, other, share in zip(true, predicted, shares, strict=True):
            if one not in rows:
                raise ArtifactError(
                    table.file,
                    found=f"a class {one!r} that is true and never a column",
                    expected="all classes in each row",
                    do="run `dvc repro`",
                )
            cells[rows.index(one), columns.index(other)] = share
        return draw_matrix(cells, rows, columns, label=f"confusion of {words(kind)}")

    def _thresholds(self) -> Markup:
        table = self.run.tables["thresholds"]() if "thresholds" in self.run.tables else None
        if table is None or not table.rows:
            return say("There is no curve: no class maps were held against a truth.")
        points = list(zip(table.numbers("threshold"), table.numbers("miou"), strict=True))
        names = {"declared": "declared", ORACLE: "best"}
        marks = [
            Mark(*point, " and ".join(names.get(one, one) for one in mark.split(", ")))
            for point, mark in zip(points, table.texts("mark"), strict=True)
            if mark
        ]
        told = (
            "Class maps become labels where they exceed a threshold. The declared one was chosen beforehand; "
            "the best one is found with the truth at hand, so it is what could be had and nothing to tune by."
        )
        curve = draw_line(
            points, label="mIoU of class maps by threshold", size=(720, 300), marks=marks, names=("threshold", "mIoU of class maps")
        )
        return join(intro(told), curve)

    def _trainings(self) -> Markup:
        parts = []
        for stage in self.run.trained:
            parts += [element("h3", {}, stage), try_to(lambda stage=stage: self._draw_training(stage))]  # type: ignore[misc]
        return join(*parts) if parts else say("No training left a table of its steps.")

    def _draw_training(self, stage: str) -> Markup:
        table = self.run.tables[stage]()
        if not table.rows:
            return say("Nothing was trained.")
        steps, panels = table.numbers(table.columns[0]), []
        for column in table.columns[1:]:
            values = table.numbers(column)
            curve = draw_line(list(zip(steps, values, strict=True)), label=f"{words(column)} of {stage}")
            panels.append(panel(column, f"at last {values[-1]:.4g}", curve))
        return element("div", {"class": "panels"}, *panels)

    def _beside(self) -> Markup:
        regions, classifier = self.run.figures.get(SUPERPIXELS), self.run.figures.get(CLASSIFIER)
        panels = []
        if isinstance(regions, Mapping):
            rows = [
                element("tr", {}, element("td", {}, what), element("td", {"class": "right strong"}, spell_number(number(regions, name))))
                for name, what in REGION_FIGURES.items()
                if number(regions, name) is not None
            ]
            panels.append(panel(SUPERPIXELS, f"{count(regions, 'images')} images", element("table", {}, *rows)))
        if isinstance(classifier, Mapping) and isinstance(classifier.get("average_precision"), Mapping):
            each = classifier["average_precision"]
            bars = [Bar(str(name), number(each, name), self.colours.get(str(name), "")) for name in each]
            told = f"mean {spell_number(number(classifier, 'mean_average_precision'))} over {count(classifier, 'images')} images"
            panels.append(panel("average precision of the classifier", told, draw_bars(bars, label="average precision by class")))
        return element("div", {"class": "panels"}, *panels) if panels else say("Neither superpixels nor a classifier were judged.")

    def _training_images(self) -> Markup:
        source, gallery = self.run.source, Gallery.of(self.data)
        titles = {artifact: words(kind) for kind, artifact in self.run.slots.items()}
        images = spread(self.data.learnable(self.run.split), self.images)
        draw_training_images(source, gallery, images, titles=titles)
        return join(
            intro("What was made of some training images, stage by stage; the truth, where there is one, is seen by no training."),
            gallery.draw(),
        )

    def _predictions(self) -> Markup:
        slot = self.run.slots.get(PREDICTIONS, PREDICTIONS)
        gallery, images = Gallery.of(self.data), spread(self.run.source.artifact(slot).ids, self.images)
        kinds: dict[str, dict[str, LabelMap]] = {image_id: {PREDICTIONS: self.labels(PREDICTIONS, image_id)} for image_id in images}
        try:
            for image_id, labels in kinds.items():
                labels[REFINED] = self.labels(REFINED, image_id)
        except SeedbedError as error:
            gallery.problems[str(error)] = None
        draw_labels(self.run.source, gallery, images, kinds=kinds)
        told = "Some images that the network was not trained on. After the CRF: what a dense CRF makes of the prediction."
        return join(intro(told), gallery.draw(beside=True))

    def _worst(self) -> Markup:
        kinds = [
            kind for kind in (PREDICTIONS, self.last_labels) if number(self.kinds.get(kind), "miou") is not None and kind != CLASS_MAPS
        ]
        if not kinds:
            return say(f"{NO_TRUTH} In `seedbed view`, images can be sorted by how much stages disagree.")
        scores, parts = Scores(self.run.source.artifact(JUDGED), self.data.class_names), []
        for kind in kinds:
            gallery = Gallery.of(self.data)
            for image_id, miou in scores.worst(kind)[: self.images]:
                draw_errors(self.run.source, gallery, image_id, self.labels(kind, image_id), remark=f"mIoU {miou:.3f}")
            parts += [element("h3", {}, words(kind)), gallery.draw(more=drawing.LEGEND, beside=True)]
        return join(intro("Images with the lowest mIoU of their own, and where they are wrong."), element("div", {}, *parts))

    def _parameters(self) -> Markup:
        if not self.run.settings:
            return say("There is no params.yaml.")
        methods = {stage.name: stage.method for stage in self.run.stages}
        parts = []
        for section, settings in self.run.settings.items():
            changed = sum(one.before is not None for one in settings)
            told = element("summary", {}, element("b", {}, section), " ", element("span", {}, methods.get(section, "")), *_mark(changed))
            rows = []
            for one in settings:
                cells = [element("code", {}, one.address), element("code", {}, one.value)]
                before = "" if one.before is None else element("mark", {}, f"git has {one.before}")
                rows.append(element("tr", {}, *(element("td", {}, cell) for cell in (*cells, before))))
            parts.append(element("details", {}, told, element("table", {}, *rows)))
        return join(intro("Those of the selected methods. What differs from params.yaml in git is marked."), *parts)


def try_to(draw: Callable[[], Markup]) -> Markup:
    """Draw something, or say in a line why that is not possible."""
    try:
        return draw()
    except SeedbedError as error:
        return say(str(error))


def panel(title: str, told: str, content: Markup) -> Markup:
    """Something with a title."""
    below = element("p", {"class": "sub"}, told) if told else Markup("")
    return element("div", {}, element("h3", {}, words(title)), below, content)


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
    places = np.unique(np.linspace(0, len(images) - 1, min(wanted, len(images))).round().astype(int)) if images else []
    return [images[int(place)] for place in places]


def _mark(changed: int) -> list[Markup]:
    return [join(" ", element("mark", {}, f"{changed} changed"))] if changed else []
