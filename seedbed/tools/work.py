"""What networks have to do for a system, as far as its parameters tell before anything runs: trainings, passes and views, not seconds.

A pass is over all images of a training's split, in views of some size, whatever the size of the network; two networks that learn together
pass twice. Views are those in which trained networks see an image to answer: sizes, mirror images, once for each stage. Left out is what
needs no network, such as dense CRFs and random walks, and answers to clicks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from seedbed.report.wording import format_count
from seedbed.store.schemas import find_kind
from seedbed.tools.recipe_files import NETWORKS

TOGETHER = {"cotraining": 2}  # networks that a method trains at once, where there are several
ANSWER = ("features", "cams", "edges", "predictions")  # kinds of stages in which a network sees images, with what some methods do without


@dataclass(frozen=True)
class Work:
    """What networks have to do."""

    trainings: int  # of networks on images
    passes: float  # of these together, which may have parts of one
    sides: tuple[int, ...]  # of their views, in pixels; those that are known, in order
    heads: int  # trainings on features of a network that stays as it is
    views: int  # of each image, of all stages together

    def __str__(self) -> str:
        return ", ".join(self.list_parts()) or "no networks"

    def list_parts(self) -> Iterator[str]:
        """It in words, what there is of each kind."""
        if self.trainings:
            sides = f" of {'-'.join(map(str, sorted({self.sides[0], self.sides[-1]})))} px" if self.sides else ""
            yield f"{format_count(self.trainings, 'training')}, {format_count(self.passes, 'pass', 'passes')}{sides}"
        if self.heads:
            yield f"{format_count(self.heads, 'training')} on features"
        if self.views:
            yield f"{format_count(self.views, 'view')} of an image"


def count_work(sections: Mapping[str, Any]) -> Work:
    """Count what the selected methods have to do.

    sections: of params.yaml or of a recipe, which may lack some.
    """
    trainings = passes = heads = views = 0
    sides = set()
    for name, section in sections.items():
        method = str(section.get("method", ""))
        block = section.get(method) or {}
        has_network = any(one in block for one in NETWORKS)
        if "training" in block and has_network:
            trainings += TOGETHER.get(method, 1)
            passes += TOGETHER.get(method, 1) * block["training"]["epochs"]
            sides |= {block["augmentation"]["crop"]} if "augmentation" in block else set()
        elif "training" in block:
            heads += 1
        if find_kind(name) in ANSWER:
            views += _count_views(find_kind(name), method, block, has_network=has_network)
    return Work(trainings, passes, tuple(sorted(sides)), heads, views)


def _count_views(kind: str, method: str, block: Mapping[str, Any], *, has_network: bool) -> int:
    """In how many views a network sees an image in a stage."""
    if kind == "features":
        return int(has_network)
    sizes = int(method != "none") if kind == "edges" else len(block.get("scales", ()))
    return 2 * sizes if block.get("flip") else sizes
