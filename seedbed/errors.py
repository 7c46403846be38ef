"""What a user can get wrong, said in one line.

Every message has the same four parts: where, what was found, what was expected, and what to do next.
"""

from __future__ import annotations

import difflib
import errno
import os
from collections.abc import Iterable, Sequence

USER_ERROR = 2  # exit status
SHOWN = 20  # problems in a message
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # whatever says that a disk, or one's part of it, is full
IN_THE_WAY = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EISDIR, errno.ENOTDIR, errno.EEXIST)  # a path that cannot be used as it is
LONGEST = 300  # letters of one of them


class SeedbedError(Exception):
    """Something that the user can put right; printed as one line, exit status 2, no traceback."""

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
        # Exceptions with keyword-only arguments cannot cross a process border by themselves.
        return (_rebuild, (type(self), self.where, self.found, self.expected, self.do))


class ParamsError(SeedbedError):
    """params.yaml does not say what it must."""


class MethodError(SeedbedError):
    """A method does not exist, or cannot be used on this machine."""


class ArtifactError(SeedbedError):
    """An artifact is missing, incomplete, or of another schema."""


class DataError(SeedbedError):
    """The raw data set is not what its reader needs."""


class WeightsError(SeedbedError):
    """Initial weights do not fit the network."""


class TrainingError(SeedbedError):
    """A training went wrong."""


class MachineError(SeedbedError):
    """The machine lacks what was asked of it."""


class ChangedError(SeedbedError):
    """Something that a stage reads was changed while it ran."""


def of_system(error: OSError) -> SeedbedError | None:
    """What the system refuses and the user can put right; None for what is no fault of his."""
    if error.errno in FULL:
        do = "make some (see `seedbed gc`) and run it again: it goes on where it was"
        return MachineError(str(error.filename or "data/"), found=f"no room to write: {os.strerror(error.errno)}", expected="room", do=do)
    if error.errno in IN_THE_WAY and error.filename is not None:
        found = os.strerror(error.errno).lower()
        return MachineError(str(error.filename), found=found, expected="to be able to use it", do="see what it is and who owns it")
    return None


def nearest(name: str, known: Iterable[str]) -> str:
    """', nearest: x' where a known name resembles this one, else nothing."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" (nearest: {close[0]})" if close else ""


def list_problems(problems: Sequence[str]) -> str:
    """The first of many for a message."""
    return "; ".join(map(shorten, problems[:SHOWN])) + (f"; and {len(problems) - SHOWN} more" if len(problems) > SHOWN else "")


def shorten(text: str) -> str:
    """A text for a message, which may quote whatever a file says."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}... ({len(text):,} letters)"


def join_names(names: Iterable[str]) -> str:
    """Names for a message, in order, or 'nothing'."""
    return ", ".join(names) or "nothing"


def _writable(text: str) -> str:
    """The same without what cannot be printed or kept: bytes of file names that are not UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()


def _rebuild(kind: type[SeedbedError], where: str, found: str, expected: str, do: str) -> SeedbedError:
    return kind(where, found=found, expected=expected, do=do)
