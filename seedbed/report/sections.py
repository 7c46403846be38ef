"""Sections of the report that show figures: the stages, tables, bars and curves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import attrgetter

import numpy as np

from seedbed.errors import ArtifactError
from seedbed.report.contents import NO_FIGURES, NO_TRUTH, Run, Setting, count, intro, number, panel, spell_number, try_to, words
from seedbed.report.gallery import say
from seedbed.report.graph import Stage, draw_graph
from seedbed.report.markup import Markup, element, join
from seedbed.report.svg import Bar, Mark, draw_bars, draw_line, draw_matrix
from seedbed.scoring.judgement import CLASS_MAPS, CLASSIFIER, DECLARED, INSTANCES, ORACLE, SALIENCY, SUPERPIXELS, UNLABELLED

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
OBJECT_FIGURES = {
    "object_iou": "IoU of objects",
    "object_precision": "precision of objects",
    "object_recall": "recall of objects",
    "background_precision": "precision of background",
    "unknown": "unknown, share of the pixels",
}
THING_FIGURES = {"ap": "AP", "ap50": "AP50", "ap75": "AP75"}
NUMBERS: Mapping[str, Callable[[Stage], str]] = {  # of stages, and what each is called in a table
    "images": attrgetter("images"),
    "last computation": attrgetter("took"),
    "computed": attrgetter("computed"),
    "reused": attrgetter("reused"),
    "on disk": attrgetter("disk"),
}
MARKED = {DECLARED: "declared", ORACLE: "best"}
CURVE = (760, 300)  # pixels of the curve of thresholds


def draw_stages(run: Run) -> Markup:
    """The graph of the stages, and a table of them."""
    if not run.stages:
        return say("No stage is known: there is neither a dvc.yaml nor an artifact.")
    numbers = {what: read for what, read in NUMBERS.items() if any(read(stage) for stage in run.stages)}
    heads = [element("th", {}, what) for what in ("stage", "method", "reads")]
    heads += [element("th", {"class": "right"}, what) for what in numbers]
    rows = [_draw_row(stage, [read(stage) for read in numbers.values()]) for stage in run.stages]
    table = element("table", {}, element("tr", {}, *heads), *rows)
    told = "Each stage stands to the right of what it reads; arrows that follow from others are left out, the table has all."
    if any(stage.took for stage in run.stages):
        told += " Times are of the last computation here, and bars their share of all."
    graph = element("div", {"class": "graph scroll"}, try_to(lambda: draw_graph(run.stages)))
    return join(intro(told), graph, element("div", {"class": "scroll"}, table))


def _draw_row(stage: Stage, numbers: Sequence[str]) -> Markup:
    cells = [element("td", {"class": "strong"}, stage.name), element("td", {}, stage.method)]
    cells.append(element("td", {"class": "wrap"}, ", ".join(stage.reads) or "raw images"))
    if stage.problem:
        cells.append(element("td", {"colspan": max(1, len(numbers)), "class": "bad" if stage.damaged else "wrap"}, stage.problem))
    else:
        cells += [element("td", {"class": "right"}, one) for one in numbers]
    return element("tr", {}, *cells)


def draw_figures(run: Run) -> Markup:
    """A table of the figures of all kinds of labels."""
    if not run.kinds:
        return say(NO_FIGURES)
    heads = [element("th", {}, "labels")]
    heads += [element("th", {"class": "right"}, what) for what in ("images", "with truth", *FIGURES.values())]
    rows = []
    for kind, content in run.kinds.items():
        cells = [element("td", {"class": "strong"}, words(kind))]
        cells += [element("td", {"class": "right"}, count(content, name)) for name in ("images", "images_with_truth")]
        for name in FIGURES:
            style = "right strong" if name == "miou" else "right"
            cells.append(element("td", {"class": style}, spell_number(number(content, name))))
        rows.append(element("tr", {}, *cells))
    told = (
        "mIoU is the mean over classes, from one confusion matrix of all pixels; pixels without a label count as missed. "
        "Label violations: the share of images that are labelled with a class that they are known not to contain."
    )
    return join(intro(told), element("div", {"class": "scroll"}, element("table", {}, element("tr", {}, *heads), *rows)))


def draw_classes(run: Run) -> Markup:
    """The IoU of each class."""
    panels = []
    for kind, content in run.kinds.items():
        of_classes = content.get("iou")
        if isinstance(of_classes, Mapping):
            bars = [Bar(str(name), number(of_classes, name), run.colours.get(str(name), "")) for name in of_classes]
            told = f"mIoU {spell_number(number(content, 'miou'))}"
            panels.append(panel(kind, told, draw_bars(bars, label=f"IoU of {words(kind)} by class")))
    return join(intro("IoU of each class."), _beside(panels)) if panels else say(NO_TRUTH)


def draw_sizes(run: Run) -> Markup:
    """The IoU of things by their size."""
    panels = []
    for kind, content in run.kinds.items():
        things = content.get("things")
        if isinstance(things, Mapping):
            named = {str(name): one for name, one in things.items() if isinstance(one, Mapping)}
            bars = [Bar(f"{name} of the image", number(one, "iou"), note=_count_things(one)) for name, one in named.items()]
            panels.append(panel(kind, "", draw_bars(bars, label=f"IoU of {words(kind)} by size")))
    if not panels:
        judged = any(number(content, "miou") is not None for content in run.kinds.values())
        return say("These figures do not tell sizes apart: `dvc repro` brings those that do." if judged else NO_TRUTH)
    told = (
        "mIoU counts pixels, so it hides what happens to small things. Here each true thing - connected pixels of a class - "
        "counts as much as another, by the share of the image that it takes."
    )
    return join(intro(told), _beside(panels))


def _count_things(content: Mapping[str, object]) -> str:
    things = count(content, "count")
    return f"{things} thing" if things == "1" else f"{things} things"


def draw_confusions(run: Run) -> Markup:
    """Confusion matrices."""
    panels = [panel(kind, "", try_to(partial(_draw_confusion, run, kind))) for kind in run.kinds if f"confusion_{kind}" in run.tables]
    told = (
        "Percent of the pixels of each true class (a row) that are labelled as each class (a column); less than half a percent is left out."
    )
    return join(intro(told), _beside(panels)) if panels else say(NO_TRUTH)


def _draw_confusion(run: Run, kind: str) -> Markup:
    table = run.tables[f"confusion_{kind}"]()
    if not table.rows:
        return say(NO_TRUTH)
    true, predicted, shares = table.texts("true"), table.texts("predicted"), table.numbers("share")
    columns = list(dict.fromkeys(predicted))
    rows = [name for name in columns if name != UNLABELLED]
    cells = np.full((len(rows), len(columns)), np.nan)
    for one, other, share in zip(true, predicted, shares, strict=True):
        if one not in rows:
            expected = "every true class among the predicted ones"
            raise ArtifactError(table.file, found=f"the class {one!r}, which is true alone", expected=expected, do="run `dvc repro` again")
        cells[rows.index(one), columns.index(other)] = share
    return draw_matrix(cells, rows, columns, label=f"confusion of {words(kind)}")


def draw_thresholds(run: Run) -> Markup:
    """The mIoU of class maps at every threshold."""
    table = run.tables["thresholds"]() if "thresholds" in run.tables else None
    if table is None or not table.rows:
        return say("There is no curve: no class maps were held against a truth.")
    points = list(zip(table.numbers("threshold"), table.numbers("miou"), strict=True))
    marks = [
        Mark(*point, " and ".join(MARKED.get(one, one) for one in mark.split(", ")))
        for point, mark in zip(points, table.texts("mark"), strict=True)
        if mark
    ]
    told = (
        f"{words(CLASS_MAPS).capitalize()} become labels where they exceed a threshold. The declared one was chosen beforehand; "
        "the best one is found with the truth at hand, so it says what could be had, and nothing may be tuned by it."
    )
    names = ("threshold", f"mIoU of {words(CLASS_MAPS)}")
    return join(intro(told), draw_line(points, label=" by ".join(reversed(names)), size=CURVE, marks=marks, names=names))


def draw_trainings(run: Run) -> Markup:
    """Curves of all that is known of each step of each training."""
    parts = []
    for stage in run.trained:
        if stage in run.tables:
            parts += [element("h3", {}, stage), try_to(partial(_draw_training, run, stage))]
    return join(*parts) if parts else say("No training has left a table of its steps.")


def _draw_training(run: Run, stage: str) -> Markup:
    table = run.tables[stage]()
    if not table.rows:
        return say("Nothing was trained.")
    steps, panels = table.numbers(table.columns[0]), []
    for column in table.columns[1:]:
        values = table.numbers(column)
        curve = draw_line(list(zip(steps, values, strict=True)), label=f"{words(column)} of {stage} by step")
        panels.append(panel(column, f"{values[-1]:.4g} at the end", curve))
    return _beside(panels)


def draw_superpixels(run: Run) -> Markup:
    """Figures of what is judged though it is no labels: superpixels, saliency, the classifier, and things that are told apart."""
    classifier, panels = run.figures.get(CLASSIFIER), []
    for kind, figures in ((SUPERPIXELS, REGION_FIGURES), (SALIENCY, OBJECT_FIGURES)):
        content = run.figures.get(kind)
        if isinstance(content, Mapping):
            rows = [
                element("tr", {}, element("td", {}, what), element("td", {"class": "right strong"}, spell_number(number(content, name))))
                for name, what in figures.items()
                if number(content, name) is not None
            ]
            panels.append(panel(kind, f"{count(content, 'images')} images", element("table", {}, *rows)))
    each = classifier.get("average_precision") if isinstance(classifier, Mapping) else None
    if isinstance(each, Mapping):
        bars = [Bar(str(name), number(each, name), run.colours.get(str(name), "")) for name in each]
        told = f"mean {spell_number(number(classifier, 'mean_average_precision'))} over {count(classifier, 'images')} images"
        panels.append(panel("average precision of the classifier", told, draw_bars(bars, label="average precision by class")))
    things = run.figures.get(INSTANCES)
    each = things.get("ap50_by_class") if isinstance(things, Mapping) else None
    if isinstance(each, Mapping):
        bars = [Bar(str(name), number(each, name), run.colours.get(str(name), "")) for name in each]
        told = ", ".join(f"{what} {spell_number(number(things, name))}" for name, what in THING_FIGURES.items())
        told += f"; {count(things, 'things')} things, {count(things, 'true_things')} true ones, {count(things, 'images_with_truth')} images"
        panels.append(panel("things that are told apart", told, draw_bars(bars, label="AP50 of things by class")))
    return _beside(panels) if panels else say("Neither superpixels nor a classifier were judged.")


def draw_parameters(run: Run) -> Markup:
    """Parameters of the selected methods, folded."""
    if not run.settings:
        return say("There is no params.yaml.")
    parts = []
    for section, settings in run.settings.items():
        changed = sum(one.before is not None for one in settings)
        marks = [" ", element("mark", {}, f"{changed} changed")] if changed else []
        method = next((one.value for one in settings if one.address == f"{section}.method"), "")
        head = element("summary", {}, element("b", {}, section), " ", element("span", {}, method), *marks)
        parts.append(element("details", {}, head, element("table", {}, *map(_draw_setting, settings))))
    return join(intro("Those of the selected methods. What differs from params.yaml in the last commit is marked."), *parts)


def _draw_setting(setting: Setting) -> Markup:
    before = Markup("") if setting.before is None else element("mark", {}, f"{setting.before} in git")
    cells = (element("code", {}, setting.address), element("code", {}, setting.value), before)
    return element("tr", {}, *(element("td", {}, cell) for cell in cells))


def _beside(panels: list[Markup]) -> Markup:
    return element("div", {"class": "panels"}, *panels)
