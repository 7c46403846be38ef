"""Errors that the user can fix, each said in one line.

Every message has the same four parts: where, what was found, what was expected, and what to do next.
"""

from __future__ import annotations

import difflib
import errno
import os
from collections.abc import Iterable, Sequence

USER_ERROR = 2  # exit status
SHOWN = 20  # problems in a message
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # the disk, or the user's quota, is full
UNUSABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EISDIR, errno.ENOTDIR, errno.EEXIST)  # the path cannot be used as it is
LONGEST = 300  # letters of a problem in a message


class SeedbedError(Exception):
    """Something that the user can fix; printed as one line without a traceback, with exit status 2."""

    def __init__(self, where: str, *, found: str, expected: str, do: str) -> None:
        where, found, expected, do = (_writable(part) for part in (where, found, expected, do))
        super().__init__(where, found, expected, do)
        self.where = where
        self.found = found
        self.expected = expected
        self.do = do

    def __str__(self) -> str:
        line = f"{self.where}: found {self.found}; expected {self.expected}; {self.do}"
        return " ".join(line.split())

    def __reduce__(self) -> tuple[object, ...]:
        # By default, exceptions with keyword-only arguments cannot be pickled.
        return (_rebuild, (type(self), self.where, self.found, self.expected, self.do))


class ParamsError(SeedbedError):
    """params.yaml is wrong or incomplete."""


class MethodError(SeedbedError):
    """A method does not exist, or cannot be used on this machine."""


class ArtifactError(SeedbedError):
    """An artifact is missing, incomplete, or of another schema."""


class DataError(SeedbedError):
    """Raw data or pictures are missing, damaged, or not what is needed."""


class WeightsError(SeedbedError):
    """Initial weights do not fit the network."""


class TrainingError(SeedbedError):
    """A training went wrong."""


class MachineError(SeedbedError):
    """The machine lacks something that is needed."""


class ChangedError(SeedbedError):
    """Something that a stage reads was changed while it ran."""


def of_system(error: OSError) -> SeedbedError | None:
    """An error of the operating system as one that the user can fix; None if it is not one."""
    if error.errno in FULL:
        do = "free some (see `seedbed gc`) and run it again to resume where it was"
        return MachineError(str(error.filename or "data/"), found=f"a full disk: {os.strerror(error.errno)}", expected="free space", do=do)
    if error.errno in UNUSABLE and error.filename is not None:
        found = os.strerror(error.errno).lower()
        return MachineError(str(error.filename), found=found, expected="access to it", do="check what it is and who owns it")
    return None


def nearest(name: str, known: Iterable[str]) -> str:
    """' (nearest: x)' if a known name resembles this one; else empty."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" (nearest: {close[0]})" if close else ""


def list_problems(problems: Sequence[str]) -> str:
    """Problems for a message: the first ones, and how many more there are."""
    return "; ".join(map(shorten, problems[:SHOWN])) + (f"; and {len(problems) - SHOWN} more" if len(problems) > SHOWN else "")


def shorten(text: str) -> str:
    """A text for a message, cut short: it may quote the content of a file."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}... ({len(text):,} letters)"


def join_names(names: Iterable[str]) -> str:
    """Names for a message, in order, or 'nothing'."""
    return ", ".join(names) or "nothing"


def _writable(text: str) -> str:
    """A text that can be printed: bytes of file names that are not UTF-8 are escaped."""
    return text.encode("utf-8", "backslashreplace").decode()


def _rebuild(kind: type[SeedbedError], where: str, found: str, expected: str, do: str) -> SeedbedError:
    return kind(where, found=found, expected=expected, do=do)
