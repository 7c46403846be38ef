"""`seedbed recipe` without a name: every recipe with whose system it is, what was published, what it needs and what it costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from seedbed.errors import join_names
from seedbed.report.wording import format_duration
from seedbed.store.records import FOLDER, WORK
from seedbed.store.schemas import find_kind
from seedbed.tools import editing
from seedbed.tools.recipe_files import CITATION, Recipe, find_weights, list_blocks, list_recipes, read_block, read_recipes
from seedbed.tools.work import count_work

WIDTHS = (39, 36)  # of what stands beside a recipe's name: with the longest one 100 columns
HEADINGS = ("recipe", "what it is, whose, and published", "what it needs, and costs")
EXPLAINED = (
    "Published figures are as the sources state them. Beside images, a recipe needs a GPU, maps by a detector of salient things, "
    "weights of the hub or from a file of yours. Passes are those of all trainings over their images, in views of so many pixels a "
    "side; then an image is seen in so many views. A time is what `seedbed plan` expects at most."
)


def tabulate_recipes() -> Iterator[Table]:
    """Every recipe, by data set."""
    editing.check_checkout()
    recipes = list(read_recipes(list_recipes()))
    current = editing.plain(editing.load())
    longest = max(map(len, [HEADINGS[0], *(recipe.file.stem for recipe in recipes)]))
    groups: dict[str, list[Recipe]] = {}
    for recipe in recipes:
        groups.setdefault(str(recipe.sections.get("dataset", {}).get("root", "no data set")), []).append(recipe)
    for place, (root, group) in enumerate(groups.items()):
        shared = _find_shared([recipe.title for recipe in group])
        made = Table(box=None, show_header=place == 0, header_style="bold", title_justify="left", title_style="bold")
        made.title = f"{escape(shared.strip())} ({escape(root)})" if shared else escape(root)
        made.add_column(HEADINGS[0], min_width=longest, no_wrap=True)
        for heading, width in zip(HEADINGS[1:], WIDTHS, strict=True):
            made.add_column(heading, min_width=width, max_width=width)
        for recipe in group:
            what = [recipe.title.removeprefix(shared).partition(":")[0], cite(recipe), recipe.published]
            costs = [describe_needs(recipe), *list_costs(recipe, current)]
            made.add_row(recipe.file.stem, *(escape("\n".join(filter(None, lines))) for lines in (what, costs)))
        yield made


def describe_blocks() -> Iterator[str]:
    """Every block of a method, with its title."""
    for address in list_blocks():
        yield f"{address}: {read_block(address).title}"


def cite(recipe: Recipe) -> str:
    """Whose system a recipe is: first author and year of each paper; empty where it is of none."""
    found = map(CITATION.match, recipe.paper.split("; "))
    return ", ".join(f"{match['author']} {match['year']}" for match in found if match)


def describe_needs(recipe: Recipe) -> str:
    """What a recipe needs beside images and their labels."""
    weights = [(source, name) for source, name in find_weights(recipe.sections) if source == "hub" or not Path(name).exists()]
    sources = [source for source in ("hub", "file") if source in dict(weights)]
    detector = any(find_kind(name) == "saliency" and section.get("method") == "files" for name, section in recipe.sections.items())
    needs = (recipe.needs, "saliency" * detector, f"weights ({join_names(sources)})" * bool(sources))
    return join_names(filter(None, needs))


def list_costs(recipe: Recipe, current: Mapping[str, Any]) -> Iterator[str]:
    """What networks have to do, and the time that all takes here if params.yaml has the recipe and stages of it have run.

    current: content of params.yaml.
    """
    sections = recipe.plain()
    yield from count_work(sections).list_parts()
    if (FOLDER / WORK).exists() and _is_within(sections, current):
        from seedbed.tools.speeds import count_images, estimate_seconds  # which load much

        known = [seconds for stage in sections if (seconds := estimate_seconds(stage, count_images(stage))) is not None]
        if known:
            yield f"here {format_duration(sum(known))}{'' if len(known) == len(sections) else ', and what never ran'}"


def _is_within(recipe: Any, content: Any) -> bool:
    """Whether all values of a recipe are those of other content, which may have more."""
    if isinstance(recipe, Mapping) and isinstance(content, Mapping):
        return all(name in content and _is_within(value, content[name]) for name, value in recipe.items())
    return bool(recipe == content)


def _find_shared(titles: Sequence[str]) -> str:
    """The words with which all of several titles begin."""
    words = [title.split(" ") for title in titles]
    shared = takewhile(lambda same: len({*same}) == 1, zip(*words, strict=False)) if len(titles) > 1 else ()
    return "".join(f"{word} " for word, *_ in shared)
