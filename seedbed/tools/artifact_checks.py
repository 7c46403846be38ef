"""What must hold of an artifact as a whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress

import numpy as np

from seedbed.errors import join_names
from seedbed.tools.examined import GROUP, Examined, UnreadableError, find_non_finite, is_float
from seedbed.types import Alignment


def _check_layout(examined: Examined) -> Iterator[tuple[str, str]]:
    """Compare arrays with the schema. Those that differ count as damaged from then on."""
    wrong: dict[str, str] = {}
    for name, spec in examined.arrays.items():
        if f"{name}/{GROUP}" not in examined.damaged and name not in examined.group:
            wrong[name] = "no such array"
        with suppress(UnreadableError):
            array = examined.array(name)
            if spec.dtype != "str" and array.dtype != np.dtype(spec.dtype):
                wrong[name] = f"{array.dtype} instead of {spec.dtype}"
            elif array.ndim != len(spec.dimensions):
                wrong[name] = f"{array.ndim} dimensions instead of {len(spec.dimensions)}"
            elif spec.per_image and examined.ids and array.shape[0] != len(examined.ids):
                wrong[name] = f"{array.shape[0]} images instead of {len(examined.ids)}"
    examined.damaged.update(f"{name}/{GROUP}" for name in wrong)
    yield from wrong.items()


def _check_ids(examined: Examined) -> Iterator[tuple[str, str]]:
    for image_id, count in Counter(examined.ids).items():
        if count > 1:
            yield image_id, f"listed {count} times in ids"


def _check_numbers(examined: Examined) -> Iterator[tuple[str, str]]:
    """Look for numbers that are not finite in losses, weights and whatever else belongs to no single image."""
    names = [name for name, spec in examined.arrays.items() if not spec.per_image and is_float(spec.dtype)]
    for path in (*names, *(f"weights/{one}" for one in examined.weights)):
        with suppress(UnreadableError):
            if is_float(examined.array(path).dtype):
                yield from ((path, problem) for problem in find_non_finite("", examined.values(path)))


def _check_alignment(examined: Examined) -> Iterator[tuple[str, str]]:
    """Check how patches of features lie on their image."""
    if examined.artifact.kind == "features":
        with suppress(UnreadableError):
            edge = int(examined.values("patch_size"))
            if edge < 1:
                yield "patch_size", f"{edge} pixels"
        with suppress(UnreadableError):
            alignment = str(examined.values("alignment"))
            if alignment not in [*Alignment]:
                yield "alignment", f"{alignment!r} is not one of: {join_names(Alignment)}"


ArtifactCheck = Callable[[Examined], Iterator[tuple[str, str]]]
CHECKS: tuple[ArtifactCheck, ...] = (_check_layout, _check_ids, _check_numbers, _check_alignment)


def check_artifact(examined: Examined) -> Iterator[tuple[str, str]]:
    """Everything that is wrong with an artifact as a whole: where, and what."""
    for check in CHECKS:
        yield from check(examined)
