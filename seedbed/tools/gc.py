"""`seedbed gc`: shows what the store keeps, and deletes what is no longer needed.

Entries of a stage that were computed in the same way are a *generation*. The published artifact consists of the current one. All others
are kept in case a parameter is switched back; if they are deleted, they are recomputed when needed.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from rich import filesize
from rich.markup import escape
from rich.table import Table

from seedbed.errors import ArtifactError, MachineError, ParamsError, join_names, nearest
from seedbed.report.wording import format_count
from seedbed.run import reuse
from seedbed.run.fingerprint import other_versions
from seedbed.store.entries import Entry
from seedbed.store.records import FOLDER, WORK, digest
from seedbed.store.schemas import NONE, SCHEMAS
from seedbed.store.store import LAST, NEW, Store

State = Literal["current", "old", "unfinished", "unreadable"]
COLOURS: dict[State, str] = {"current": "green", "old": "yellow", "unfinished": "cyan", "unreadable": "red"}
CHECKPOINTS = "checkpoint-*"
SHOWN = 3  # parameters in a description
UNITS = {"days": 86_400, "h": 3600, "min": 60}


@dataclass(frozen=True)
class Choice:
    """What to delete."""

    stages: tuple[str, ...] = ()  # empty: all
    keep: int = 0  # how many old generations of each stage stay, the most recently used ones; more than 0 keeps unfinished trainings, too
    everything: bool = False  # delete current generations, too

    def __post_init__(self) -> None:
        if self.everything and self.keep:
            raise ParamsError("seedbed gc --all", found=f"--keep {self.keep} with --all", expected="one of the two", do="omit the other")

    def stores(self, folder: Path) -> list[Store]:
        """The stores that it concerns."""
        kept = sorted(path.name for path in (folder / WORK).glob("*/") if path.name != reuse.KEPT)
        known = [*(kind for kind in SCHEMAS if kind != NONE), *(stage for stage in kept if stage not in SCHEMAS)]
        for stage in self.stages:
            if stage not in known:
                expected = f"one of: {join_names(known)}{nearest(stage, known)}"
                raise ParamsError("seedbed gc --stage", found=repr(stage), expected=expected, do="correct the name")
        return [Store(stage, folder=folder) for stage in known if stage in (self.stages or kept) and stage in kept]

    @property
    def command(self) -> str:
        """The command that deletes it."""
        stages = [f"--stage {stage}" for stage in self.stages]
        return " ".join(["seedbed gc --delete", *["--all"] * self.everything, *[f"--keep {self.keep}"] * bool(self.keep), *stages])


@dataclass(frozen=True)
class Generation:
    """Entries of a stage that were computed in the same way, or other files beside them."""

    stage: str
    what: str  # for people: how they differ from the current generation
    state: State
    paths: tuple[Path, ...]
    recipe: str = ""  # digest of how they were computed; empty if they are not entries
    images: int | None = None  # None if they are not results of images
    goes: bool = False  # whether it is to be deleted

    @property
    def last_used(self) -> float:
        """The time of its last use, in seconds since the epoch."""
        return max(map(_time, self.paths), default=0.0)


def survey(choice: Choice, *, folder: Path = FOLDER) -> list[Generation]:
    """What the store keeps; of each stage, the current generation first, then the most recently used ones."""
    return [one for store in choice.stores(folder) for one in _choose(choice, _generations(store))]


def collect(choice: Choice, *, folder: Path = FOLDER) -> Iterator[tuple[str, list[Generation], int]]:
    """Delete what is chosen. Yields each stage with the generations that were deleted and the bytes that were freed.

    Raises one error in the end for all stages that are running, which are left alone.
    """
    busy = []
    for store in choice.stores(folder):
        try:
            with store.locked(wait=False):
                going = [one for one in _choose(choice, _generations(store)) if one.goes]  # under the lock, so that it is up to date
                room = measure_freed(going)
                _delete(store, [path for one in going for path in one.paths])
        except ArtifactError as error:
            busy.append(f"{store.stage}: {error.found}")
        else:
            if going:
                yield store.stage, going, room
    if busy:
        raise MachineError(
            "seedbed gc",
            found=f"running stages: {join_names(busy)}",
            expected="none",
            do="run it again when they are done",
        )


def _delete(store: Store, paths: Iterable[Path]) -> None:
    for path in paths:
        try:
            if path.is_dir():
                store.discard(path)
            else:
                path.unlink()
        except OSError as error:
            raise MachineError(
                str(path), found=f"that it cannot be deleted: {error.strerror}", expected="permission to delete it", do="check who owns it"
            ) from error


# Which generations there are.


def _generations(store: Store) -> list[Generation]:
    entries, published = list(store.entries()), store.last()["entries"]
    own = next((entry.recipe for entry in entries if entry.path.name in published), None)
    groups: dict[tuple[bool, str], list[Entry]] = {}
    for entry in entries:
        groups.setdefault((entry.path.name in published, digest(entry.recipe)), []).append(entry)
    found = [_generation(store, members, own, recipe=recipe, current=current) for (current, recipe), members in groups.items()]

    known = {entry.path for entry in entries}
    unreadable = [one for one in store.folder.iterdir() if one.is_dir() and one not in known and not one.name.startswith(NEW)]
    if unreadable:
        found.append(Generation(store.stage, "entries with a damaged record", "unreadable", tuple(sorted(unreadable))))
    checkpoints = sorted(store.folder.glob(CHECKPOINTS))
    if checkpoints:
        found.append(Generation(store.stage, "unfinished training", "unfinished", tuple(checkpoints)))
    return sorted(found, key=lambda one: (one.state != "current", -one.last_used))


def _generation(store: Store, members: Sequence[Entry], own: Mapping[str, Any] | None, *, recipe: str, current: bool) -> Generation:
    what, paths = _describe(members[0].recipe, own, current=current), tuple(entry.path for entry in members)
    images = None if any(map(_trained, members)) else sum(len(entry.keys) for entry in members)
    kept = reuse.place_of(store.stage, store.data)
    if current and kept.is_dir():  # it shares files with the entries
        paths = (*paths, kept)
    made = Generation(store.stage, what, "current" if current else "old", paths, recipe, images)
    if not current and made.last_used > _time(store.folder / LAST):  # nothing was published since it was computed
        return replace(made, state="unfinished")
    return made


def _trained(entry: Entry) -> bool:
    """Whether it is the result of a training."""
    return any(file.startswith("weights/") for file in entry.files)


def _choose(choice: Choice, generations: Sequence[Generation]) -> list[Generation]:
    """Mark those generations of a stage that are to be deleted."""
    left, marked = choice.keep, []
    for one in generations:
        if one.state == "current":
            stays = True
        elif one.state == "unreadable":
            stays = False
        elif not one.recipe:
            stays = choice.keep > 0
        else:
            stays, left = left > 0, left - 1
        marked.append(replace(one, goes=choice.everything or not stays))
    return marked


# What a generation is.


def _describe(recipe: Mapping[str, Any], own: Mapping[str, Any] | None, *, current: bool) -> str:
    """How entries were computed, in words.

    own: how the current entries were computed, if there are any.
    """
    method = str(recipe["method"])
    if current or own is None or method != own["method"]:
        return method
    differences, packages = list(_differences(recipe["parameters"], own["parameters"])), other_versions(own["packages"], recipe["packages"])
    beside = [*([] if recipe["code"] == own["code"] else ["other code"]), *packages]
    if not differences and recipe["schema"] != own["schema"]:
        return f"{method}: same parameters, schema {recipe['schema']} instead of {own['schema']}"
    if not differences:
        return f"{method}: {join_names(['same parameters', *beside]) if beside else 'other images or inputs'}"
    more = [f"{len(differences) - SHOWN} more"] if len(differences) > SHOWN else []
    return f"{method}: {join_names([*differences[:SHOWN], *more, *beside])}"


def _differences(these: Any, own: Any) -> Iterator[str]:
    """Parameters that differ, in words."""
    there, here = dict(_flat(these)), dict(_flat(own))
    for name in dict.fromkeys([*there, *here]):
        if there.get(name, _differences) != here.get(name, _differences):
            yield f"{name} {there.get(name, 'missing')} instead of {here.get(name, 'missing')}"


def _flat(parameters: Any) -> Iterator[tuple[str, Any]]:
    """Parameters of all methods involved, by name; those of the stage's own method come first, without a prefix."""
    for place, (module, block) in enumerate(parameters):
        yield from _fields(block, f"{module.removeprefix('seedbed.')}." if place else "")


def _fields(block: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in block.items():
        if isinstance(value, Mapping):
            yield from _fields(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


# How much room they take.


@dataclass(frozen=True)
class File:
    """A file, which may have several hard links."""

    size: int
    names: int  # hard links to it anywhere, such as in an artifact and in DVC's cache
    found: int  # how many of them were found here


def measure_taken(generations: Iterable[Generation]) -> int:
    """Bytes on disk."""
    return sum(file.size for file in _files(generations))


def measure_freed(generations: Iterable[Generation]) -> int:
    """Bytes that deleting really frees: those of files without further hard links."""
    return sum(file.size for file in _files(generations) if file.found == file.names)


def _files(generations: Iterable[Generation]) -> list[File]:
    """Every file once, however many names it has."""
    found: Counter[tuple[int, int]] = Counter()
    files: dict[tuple[int, int], File] = {}
    for path in (path for one in generations for path in one.paths):
        for name in [path, *path.rglob("*")] if path.is_dir() else [path]:
            try:
                about = name.lstat()
            except FileNotFoundError:  # the stage is running
                continue
            if not name.is_dir():
                key = about.st_dev, about.st_ino
                found[key] += 1
                files[key] = File(about.st_size, about.st_nlink, found[key])
    return list(files.values())


def _time(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


# Words.


def table(generations: Sequence[Generation]) -> Table:
    """Generations for people."""
    made = Table(box=None, header_style="bold", pad_edge=False, collapse_padding=True)
    made.add_column("stage", no_wrap=True)
    made.add_column("generation")
    for column in ("images", "on disk", "frees"):
        made.add_column(column, justify="right", no_wrap=True)
    made.add_column("last used", no_wrap=True)
    made.add_column("is", no_wrap=True)
    for one in generations:
        made.add_row(
            one.stage,
            escape(one.what),
            "" if one.images is None else str(one.images),
            filesize.decimal(measure_taken([one])),
            filesize.decimal(measure_freed([one])),
            ago(time.time() - one.last_used),
            f"[{COLOURS[one.state]}]{one.state}[/]{_exception(one)}",
        )
    return made


def _exception(one: Generation) -> str:
    """A note if its state does not tell whether it goes."""
    expected = one.state != "current"
    return "" if one.goes == expected else ", goes" if one.goes else ", stays"


def give_advice(choice: Choice, generations: Sequence[Generation]) -> str:
    """What deleting would free, and the command for it."""
    going = [one for one in generations if one.goes]
    if not going:
        return "Nothing is to be deleted."
    count, freed = format_count(len(going), "generation"), filesize.decimal(measure_freed(going))
    return f"{count} can go, which frees {freed}. Nothing has been deleted; run `{choice.command}`."


def describe_done(stage: str, going: Sequence[Generation], room: int) -> str:
    """What was deleted."""
    return f"{stage}: {format_count(len(going), 'generation')} deleted, {filesize.decimal(room)} freed"


def ago(seconds: float) -> str:
    """A length of time in the past, in words."""
    for unit, length in UNITS.items():
        if seconds >= length:
            count = int(seconds // length)
            return f"{count} {unit.removesuffix('s') if count == 1 else unit} ago"
    return "just now"
