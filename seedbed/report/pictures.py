"""Sections of the report that show images, and what was made of them."""

from __future__ import annotations

from seedbed.errors import SeedbedError
from seedbed.report import drawing
from seedbed.report.contents import NO_TRUTH, Run, intro, number, spread, words
from seedbed.report.gallery import (
    JUDGED,
    Gallery,
    Picture,
    draw_errors,
    draw_labels,
    draw_picture,
    draw_training_images,
    fit_photo,
    say,
)
from seedbed.report.markup import Markup, element, join
from seedbed.scoring.judgement import CLASS_MAPS, PREDICTIONS, REFINED, Scores
from seedbed.types import LabelMap

HERO = 7  # images at the head


def draw_hero(run: Run) -> Markup:
    """Predictions over images, to begin with."""
    if run.predictions not in run.source.names():
        return Markup("")
    gallery, drawn = Gallery.of(run.data), []
    for image_id in spread(run.source.artifact(run.predictions).ids, HERO):
        over = drawing.draw_overlay(run.source.photo(image_id), run.read_labels(PREDICTIONS, image_id), gallery.palette)
        drawn.append(draw_picture(Picture(image_id, fit_photo(over))))
    told = element("p", {"class": "hero-note"}, "What the trained network says of some images of the predicted split.")
    return join(element("div", {"class": "hero"}, *drawn), told) if drawn else Markup("")


def draw_training_sample(run: Run, wanted: int) -> Markup:
    """Some training images, with all that stages made of them."""
    gallery = Gallery.of(run.data)
    titles = {artifact: words(kind) for kind, artifact in run.slots.items()}
    draw_training_images(run.source, gallery, spread(run.data.learnable(run.split), wanted), titles=titles)
    told = "What was made of some training images, stage by stage. No training sees the truth, where there is one."
    return join(intro(told), gallery.draw())


def draw_predictions(run: Run, wanted: int) -> Markup:
    """Some images that were predicted."""
    gallery, images = Gallery.of(run.data), spread(run.source.artifact(run.predictions).ids, wanted)
    kinds: dict[str, dict[str, LabelMap]] = {image_id: {PREDICTIONS: run.read_labels(PREDICTIONS, image_id)} for image_id in images}
    try:
        for image_id, labels in kinds.items():
            labels["after the CRF"] = run.read_labels(REFINED, image_id)
    except SeedbedError as error:
        gallery.problems[str(error)] = None
    draw_labels(run.source, gallery, images, kinds=kinds)
    return join(
        intro("Some images of the predicted split: what the network says, and what a dense CRF makes of it."), gallery.draw(beside=True)
    )


def draw_worst(run: Run, wanted: int) -> Markup:
    """Images whose labels are worst, and where they are wrong."""
    kinds = [kind for kind in (PREDICTIONS, run.last_labels) if number(run.kinds.get(kind), "miou") is not None and kind != CLASS_MAPS]
    if not kinds:
        return say(f"{NO_TRUTH} `seedbed view` sorts images by how much stages disagree.")
    scores, parts = Scores(run.source.artifact(JUDGED), run.data.class_names), []
    for kind in kinds:
        gallery = Gallery.of(run.data)
        for image_id, miou in scores.worst(kind)[:wanted]:
            draw_errors(run.source, gallery, image_id, run.read_labels(kind, image_id), remark=f"mIoU {miou:.3f}")
        parts += [element("h3", {}, words(kind)), gallery.draw(more=drawing.LEGEND, beside=True)]
    return join(intro("Images with the lowest mIoU of their own, and where they are wrong."), *parts)
