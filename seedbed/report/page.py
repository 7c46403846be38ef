"""The report: one HTML file with all that a run has to show. It opens from disk, and holds no script and no address of anything outside it.

What is missing or damaged is said in a line where it would stand.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from functools import partial
from importlib import resources
from pathlib import PurePosixPath

from seedbed.report import pictures, sections
from seedbed.report.contents import NO_FIGURES, Run, count, number, try_to, words
from seedbed.report.gallery import say
from seedbed.report.markup import Markup, element
from seedbed.scoring.judgement import CLASSIFIER, PREDICTIONS, REFINED

STYLE = "page.css"


def write_page(run: Run, *, images: int) -> str:
    """The whole file.

    images: that are shown in each gallery.
    """
    drawn = [
        ("Stages", try_to(partial(sections.draw_stages, run))),
        ("Figures", try_to(partial(sections.draw_figures, run))),
        ("Classes", try_to(partial(sections.draw_classes, run))),
        ("Object size", try_to(partial(sections.draw_sizes, run))),
        ("Confusion", try_to(partial(sections.draw_confusions, run))),
        ("Thresholds", try_to(partial(sections.draw_thresholds, run))),
        ("Trainings", try_to(partial(sections.draw_trainings, run))),
        ("Superpixels and classifier", try_to(partial(sections.draw_superpixels, run))),
        ("Training images", try_to(partial(pictures.draw_training_sample, run, images))),
        ("Predictions", try_to(partial(pictures.draw_predictions, run, images))),
        ("Worst images", try_to(partial(pictures.draw_worst, run, images))),
        ("Parameters", try_to(partial(sections.draw_parameters, run))),
    ]
    anchors = [title.lower().replace(" ", "-") for title, _ in drawn]
    links = [element("li", {}, element("a", {"href": f"#{anchor}"}, title)) for anchor, (title, _) in zip(anchors, drawn, strict=True)]
    parts = [
        element("section", {"id": anchor}, element("h2", {}, title), content)
        for anchor, (title, content) in zip(anchors, drawn, strict=True)
    ]
    foot = element("footer", {}, f"Written by `seedbed report` of {run.name}.")
    body = element("body", {}, _draw_head(run), element("nav", {}, element("ul", {}, *links)), element("main", {}, *parts, foot))
    return f"<!DOCTYPE html>\n{element('html', {'lang': 'en'}, _describe(run), body)}\n"


def _describe(run: Run) -> Markup:
    """The head of the file. Its policy lets a browser load nothing and run nothing: only pictures and the style that are inside."""
    style = resources.files("seedbed.report").joinpath(STYLE).read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return element(
        "head",
        {},
        element("meta", {"charset": "utf-8"}),
        element("meta", {"http-equiv": "Content-Security-Policy", "content": policy}),
        element("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        element("title", {}, f"{_name_data(run)} - Seedbed"),
        element("style", {}, Markup(style)),
    )


def _name_data(run: Run) -> str:
    return PurePosixPath(run.root).name or "A run"


def _draw_head(run: Run) -> Markup:
    cards = element("div", {"class": "cards"}, *_list_cards(run))
    title = element("h1", {}, element("bdi", {}, _name_data(run)))
    return element(
        "div",
        {"class": "top"},
        title,
        try_to(partial(_draw_lead, run)),
        *map(say, run.problems),
        cards,
        try_to(partial(pictures.draw_hero, run)),
    )


def _draw_lead(run: Run) -> Markup:
    data, splits = run.data, []
    for name in data.splits_labelled:
        images = data.split(name)
        labelled = int(data.array("labelled")[[data.row(one) for one in images]].sum())
        splits.append(f"{name} {len(images):,}" + ("" if labelled == len(images) else f", {labelled:,} of them labelled"))
    return element(
        "p",
        {"class": "lead"},
        element("b", {}, f"{len(data.usable):,} images"),
        f" ({'; '.join(splits)}) of ",
        element("b", {}, f"{data.num_classes} {'class' if data.num_classes == 1 else 'classes'}"),
        ", segmented from image-level labels. This is ",
        element("b", {}, element("bdi", {}, run.name)),
        ", its images are in ",
        element("code", {}, run.root),
        ".",
    )


def _list_cards(run: Run) -> Iterator[Markup]:
    if not run.kinds:
        yield say(NO_FIGURES)
    for kind, style in ((PREDICTIONS, "card main"), (REFINED, "card main"), (run.last_labels, "card")):
        if kind in run.kinds:
            content = run.kinds[kind]
            miou, images = number(content, "miou"), count(content, "images_with_truth")
            told = f"{count(content, 'images')} images, none with a truth" if miou is None else f"mIoU over {images} images"
            told += ", the last labels" if kind == run.last_labels else ""
            yield _draw_card("-" if miou is None else f"{miou:.3f}", words(kind), told, style=style)
    classifier = run.figures.get(CLASSIFIER)
    precision = number(classifier, "mean_average_precision")
    if precision is not None:
        told = f"average precision, {count(classifier, 'images')} images"
        yield _draw_card(f"{precision:.3f}", CLASSIFIER, told, style="card")


def _draw_card(figure: str, what: str, told: str, *, style: str) -> Markup:
    return element(
        "div",
        {"class": style},
        element("p", {"class": "what"}, what),
        element("p", {"class": "large"}, figure),
        element("p", {}, told),
    )
