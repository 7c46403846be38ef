"""Every single parameter of a block of parameters, what else it can be, and whether a result is another one then.

Parameters are plain data here, as in params.yaml; what their types refuse is found out by trying.
"""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

Plain = dict[str, Any]  # a block of parameters as params.yaml writes it
Result = Any  # arrays, numbers, texts and whatever holds them
TOLERANCE = {"rtol": 1e-5, "atol": 1e-8}  # rounding is no effect of a parameter


@dataclass(frozen=True)
class Leaf:
    """One parameter."""

    of: str  # what the outermost block is called
    path: tuple[str, ...]  # from there down
    block: str  # class of the block that it stands in
    hint: Any  # its type

    @property
    def keys(self) -> list[str]:
        """What a table may call it, most particular first: by its place, and by the block that it belongs to."""
        return [".".join((self.of, *self.path)), f"{self.block}.{self.path[-1]}"]

    def among(self, table: Mapping[str, Any]) -> str | None:
        """What a table calls it, if it is there."""
        return next((key for key in self.keys if key in table), None)


def leaves(kind: type, *, of: str, path: tuple[str, ...] = ()) -> Iterator[Leaf]:
    """Every parameter of a block and of the blocks within it.

    of: what the outermost block is called.
    """
    hints = get_type_hints(kind, include_extras=True)
    for field in dataclasses.fields(kind):
        hint, place = hints[field.name], (*path, field.name)
        while get_origin(hint) is Annotated:
            hint = get_args(hint)[0]
        if dataclasses.is_dataclass(hint):
            yield from leaves(hint, of=of, path=place)  # type: ignore[arg-type]  # no hint is an instance
        else:
            yield Leaf(of, place, kind.__name__, hint)


def value(plain: Plain, path: Sequence[str]) -> Any:
    """What a parameter is."""
    for name in path:
        plain = plain[name]
    return plain


def with_values(plain: Plain, path: Sequence[str], values: Plain) -> Plain:
    """The same parameters, but for some of the block at a place."""
    changed = copy.deepcopy(plain)
    value(changed, path).update(copy.deepcopy(values))
    return changed


def built(kind: type, plain: Plain) -> Any:
    """A method or a block, or None where these parameters are refused."""
    try:
        return TypeAdapter(kind).validate_json(json.dumps(plain))
    except ValidationError:
        return None


# What else a parameter can be. Groups, of each of which one value has to show; so that every entry of a list and every choice does.


def others(hint: Any, now: Any) -> list[list[Any]]:
    """Other values by the type; none where the type does not say enough."""
    if get_origin(hint) is Literal:
        return [[choice] for choice in get_args(hint) if choice != now]
    if isinstance(now, bool):
        return [[not now]]
    if isinstance(now, int | float):
        return [_numbers(now)]
    if isinstance(now, list | tuple) and all(isinstance(one, int | float) for one in now):
        entries = list(now)
        each = [[[*entries[:place], number, *entries[place + 1 :]] for number in _numbers(one)] for place, one in enumerate(entries)]
        endless = entries and get_args(hint)[1:] == (Ellipsis,)
        return [*each, [[*entries, number] for number in _numbers(entries[-1])]] if endless else each
    return []


def _numbers(now: float) -> list[float]:
    """Numbers in the neighbourhood, then some far away; those that must be whole are told from others by what is refused."""
    found = (round(one, 6) for one in (now * 1.5, now / 1.5, now + 1, now - 1, 0.5, 1, 0, now * 4, now / 4))
    return [_neat(one) for one in found if one != now]


def _neat(number: float) -> float:
    """A number as one writes it."""
    return int(number) if number == int(number) else number


@dataclass(frozen=True)
class Trial:
    """Parameters with which something is computed, to see what changes with each of them.

    situations: other values of some blocks, by class; where a parameter cannot show with what is usual, it may with one of these.
    other_values: by name of a parameter, where its type does not say enough: values, or several that only go together as a mapping.
    excused: by name of a parameter, why it cannot show.
    passed_on: classes of blocks that are given whole to code which others have too; of each the first parameter is tried alone.
    """

    of: str  # what the method is called
    kind: type
    usual: Plain
    compute: Callable[[Any], Result]
    situations: Mapping[str, Sequence[Plain]]
    other_values: Mapping[str, Sequence[Any]]
    excused: Mapping[str, str]
    passed_on: Collection[str] = ()

    @cached_property
    def starts(self) -> list[tuple[Plain, Result]]:
        """The usual parameters and each situation that fits them, with their results."""
        blocks = {leaf.path[:-1]: leaf.block for leaf in leaves(self.kind, of=self.of)}
        changed = [with_values(self.usual, path, values) for path, block in blocks.items() for values in self.situations.get(block, ())]
        makes = [(plain, built(self.kind, plain)) for plain in (self.usual, *changed)]
        assert all(made is not None for _, made in makes), f"{self.kind.__name__}: parameters that are refused: {makes}"
        return [(plain, parts(self.compute(made))) for plain, made in makes]

    def complaints(self) -> Iterator[str]:
        """What is wrong: parameters that change nothing, and those that are said to but do."""
        for leaf in self._list_tried():
            name, excuse = leaf.keys[0], leaf.among(self.excused)
            groups = self._groups(leaf)
            if not groups:
                yield f"{name}: say what else than {value(self.usual, leaf.path)!r} it can be"
            for group in groups:
                tried, shows = self._tried(leaf, group)
                if not tried:
                    yield f"{name}: nothing of {group} is taken; say what else it can be"
                elif excuse and shows:
                    yield f"{name}: excused, but {tried[-1]} changes the result; excuse it no more"
                elif not excuse and not shows:
                    yield f"{name}: {' and '.join(map(str, tried))} change nothing; is it read at all? If so, let it show, or excuse it"

    def _list_tried(self) -> Iterator[Leaf]:
        seen = set()
        for leaf in leaves(self.kind, of=self.of):
            if leaf.block not in self.passed_on or leaf.path[:-1] not in seen:
                yield leaf
            seen.add(leaf.path[:-1])

    def _groups(self, leaf: Leaf) -> list[list[Any]]:
        key, now = leaf.among(self.other_values), value(self.usual, leaf.path)
        return [[one] for one in self.other_values[key] if one != now] if key else others(leaf.hint, now)

    def _tried(self, leaf: Leaf, group: Sequence[Any]) -> tuple[list[Any], bool]:
        """Values that were taken, up to the first that shows, and whether one does."""
        tried = []
        for plain, before in self.starts:
            for other in group:
                values = other if isinstance(other, dict) else {leaf.path[-1]: other}
                if value(plain, leaf.path) == values.get(leaf.path[-1]):
                    continue
                made = built(self.kind, with_values(plain, leaf.path[:-1], values))
                if made is not None:
                    tried.append(values)
                    if differ(before, parts(self.compute(made))):
                        return tried, True
        return tried, False


# Results.


def parts(result: Result) -> list[tuple[str, npt.NDArray[Any]]]:
    """A result as arrays, each with its place."""
    return list(_parts(result, ""))


def _parts(result: Result, place: str) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    if dataclasses.is_dataclass(result):
        result = {field.name: getattr(result, field.name) for field in dataclasses.fields(result)}
    if isinstance(result, set | frozenset):
        result = sorted(result)
    if isinstance(result, Mapping):
        for name, one in result.items():
            yield from _parts(one, f"{place}.{name}")
    elif isinstance(result, list | tuple):
        for index, one in enumerate(result):
            yield from _parts(one, f"{place}.{index}")
        yield f"{place}.length", np.asarray(len(result))
    elif isinstance(result, Tensor):
        yield place, result.detach().float().numpy()
    else:
        found = np.asarray(result if result is not None else "none")
        assert found.dtype != object, f"{place}: {type(result).__name__} cannot be compared"
        yield place, found


def differ(before: list[tuple[str, npt.NDArray[Any]]], after: list[tuple[str, npt.NDArray[Any]]]) -> bool:
    """Whether two results are not the same, but for rounding."""
    if [(place, one.shape) for place, one in before] != [(place, one.shape) for place, one in after]:
        return True
    return any(not _same(one, other) for (_, one), (_, other) in zip(before, after, strict=True))


def _same(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> bool:
    if one.dtype.kind == other.dtype.kind == "f":
        return np.allclose(one, other, **TOLERANCE, equal_nan=True)
    return np.array_equal(one, other)
