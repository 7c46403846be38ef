"""Checks that nothing has changed since a run began.

DVC reads parameters, code and data when a stage ends, and assumes that the stage was made with what it finds then. If one of them changed
during the run, a stale result would pass as fresh. So a stage checks before it publishes anything, and again before it ends: its own
settings, the code and packages that it runs, the artifacts that it reads, and the raw data if it reads more than indexed images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from seedbed.errors import ChangedError, DataError, join_names
from seedbed.params import Params
from seedbed.run import fingerprint
from seedbed.run.fingerprint import Code
from seedbed.run.listing import Change, Listing
from seedbed.store.artifact import Artifact

T = TypeVar("T")
SHOWN = 4  # changes in a message
TRIES = 3  # a reader may draw what it reads, and is then called again
AGAIN = "run `dvc repro` again: what was computed stays in the store"


@dataclass
class Inputs:
    """Everything that a run has read so far."""

    stage: str
    params: Params
    artifacts: dict[str, Artifact] = field(default_factory=dict)  # by name, or by the setting that says the path
    codes: set[Code] = field(default_factory=set)
    raw: dict[Path, Listing] = field(default_factory=dict)  # files below the root of the raw data, if all of them count
    _checked_content: bytes | None = None  # of params.yaml, when its settings were last found unchanged

    def check(self) -> None:
        """Raise an error if anything has changed since the run began."""
        for artifact in self.artifacts.values():
            artifact.check_unchanged()
        changes = [*self._settings(), *self._code(), *self._raw_files()]
        if changes:
            first, *others = changes
            more = [*map(str, others[:SHOWN]), *([f"{len(others) - SHOWN} more"] if len(others) > SHOWN else [])]
            found = f"{first.found} (and {join_names(more)})" if more else first.found
            raise ChangedError(first.where, found=found, expected=first.expected, do=AGAIN)

    def _settings(self) -> Iterator[Change]:
        """Settings of this stage that have changed. Those of other stages and of unselected methods do not count."""
        file = self.params.file
        if file is None:
            return
        content = None
        with suppress(OSError):
            content = file.read_bytes()
            if content in (self.params.content, self._checked_content):
                return
        now = Params.read(file, checked=False)
        before, after = self.select(self.params), self.select(now)
        if before == after:
            self._checked_content = content
        for address in dict.fromkeys([*before, *after]):
            if before.get(address, NOTHING) != after.get(address, NOTHING):
                was, found = (repr(one.get(address, NOTHING)) for one in (before, after))
                yield Change(f"{file}: {address}", found, f"{was}, as when this stage began")

    def select(self, params: Params) -> dict[str, Any]:
        """The parameters that count for this run, by address."""
        root = {"dataset.root": str(params.raw_root())} if self.raw else {}
        return {**params.select(self.stage), **root}

    def _code(self) -> Iterator[Change]:
        """Files whose code, and packages whose version, has changed. Comments do not count."""
        modules = {module for code in self.codes for module in code.modules}
        for file in fingerprint.find_changed(sorted(modules)):
            name = file.relative_to(fingerprint.ROOT).as_posix()
            yield Change(name, "other code" if file.exists() else "no such file", "the same code as when this stage began")
        for code in sorted(self.codes):
            before, now = dict(code.packages), fingerprint.packages(code.modules, at_first=True)
            for name in sorted(before):
                if now.get(name) != before[name]:
                    yield Change(name, f"version {now.get(name)}", f"{before[name]}, as when this stage began")

    # Raw data.

    def watch(self, root: Path) -> None:
        """From now on, count any change of a file, or below a folder, as a change of the inputs."""
        self.raw.setdefault(root, Listing.of(root))

    def read_settled(self, root: Path, read: Callable[[Path], T]) -> T:
        """Call a reader of a folder, and watch the folder from now on.

        The reader may draw or unpack files. It is then called again, until it has found what the folder holds.
        """
        before = Listing.of(root)
        for _ in range(TRIES):
            found, after = read(root), Listing.of(root)
            if after == before:
                self.raw[root] = after
                return found
            changes, before = list(before.changes(after, root)), after
        raise DataError(str(root), found=f"files that are changing: {join_names(map(str, changes[:SHOWN]))}", expected="none", do=AGAIN)

    def _raw_files(self) -> Iterator[Change]:
        for root, listing in self.raw.items():
            yield from listing.changes(Listing.of(root), root)


class _Nothing:
    def __repr__(self) -> str:
        return "nothing"


NOTHING = _Nothing()  # stands for a missing setting, which is not the same as None
