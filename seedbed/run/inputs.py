"""Whether all that a run began with is still so.

DVC reads parameters, code and data again when a stage ends, and takes what it finds then for what the stage was made with. Where one of
them has changed meanwhile, that is a stale result that everything calls fresh. So a stage looks again before it publishes anything,
and before it ends: at its own settings, at the code and the packages that it runs, at the artifacts that it reads, and at the raw data,
where it reads more of them than images whose digest it knows.
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
TRIES = 3  # a reader may draw what it reads, and then reads again
AGAIN = "run `dvc repro` again: what was computed stays in the store"


@dataclass
class Inputs:
    """What a run has read so far."""

    stage: str
    params: Params
    family: str  # whose section of the parameters it reads
    artifacts: dict[str, Artifact] = field(default_factory=dict)  # by name
    codes: set[Code] = field(default_factory=set)
    raw: dict[Path, Listing] = field(default_factory=dict)  # what lies below the root of the raw data, where all of it counts
    _known: bytes | None = None  # the content of params.yaml when it last was as the run began

    def check(self) -> None:
        """Refuse to go on where something is not what the run began with."""
        for artifact in self.artifacts.values():
            artifact.check_unchanged()
        changes = [*self._settings(), *self._code(), *self._raw_files()]
        if changes:
            first, *others = changes
            more = [*map(str, others[:SHOWN]), *([f"{len(others) - SHOWN} more"] if len(others) > SHOWN else [])]
            found = f"{first.found} (and {join_names(more)})" if more else first.found
            raise ChangedError(first.where, found=found, expected=first.expected, do=AGAIN)

    def _settings(self) -> Iterator[Change]:
        """What of a stage's own settings has another value by now; of other stages' and of methods that are not selected, nothing."""
        file = self.params.file
        if file is None:
            return
        content = None
        with suppress(OSError):
            content = file.read_bytes()
            if content == self._known:
                return
        now = Params.read(file, checked=False)
        before, after = self.select(self.params), self.select(now)
        if before == after:
            self._known = content
        for address in dict.fromkeys([*before, *after]):
            if before.get(address, NOTHING) != after.get(address, NOTHING):
                was, found = (repr(one.get(address, NOTHING)) for one in (before, after))
                yield Change(f"{file}: {address}", found, f"{was}, with which this stage began")

    def select(self, params: Params) -> dict[str, Any]:
        """What of some parameters counts for this run, by address."""
        root = {"dataset.root": str(params.raw_root())} if self.raw else {}
        return {**params.select(self.family), **root}

    def _code(self) -> Iterator[Change]:
        """Files whose code, and packages whose version, is another by now. A comment may be."""
        modules = {module for code in self.codes for module in code.modules}
        for file in fingerprint.find_changed(sorted(modules)):
            name = file.relative_to(fingerprint.ROOT).as_posix()
            yield Change(name, "other code" if file.exists() else "no such file", "the code with which this stage began")
        for code in sorted(self.codes):
            before, now = dict(code.packages), fingerprint.packages(code.modules)
            for name in sorted(before):
                if now.get(name) != before[name]:
                    yield Change(name, f"version {now.get(name)}", f"{before[name]}, with which this stage began")

    # Raw data.

    def watch(self, root: Path) -> None:
        """Let nothing below a folder change from now on."""
        self.raw.setdefault(root, Listing.of(root))

    def read_settled(self, root: Path, read: Callable[[Path], T]) -> T:
        """What a reader finds below a folder, of which nothing may change from now on.

        It may draw or unpack what it reads, and then reads again, so that what it found is what lies there.
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


NOTHING = _Nothing()  # where a setting is missing, which is another thing than None
