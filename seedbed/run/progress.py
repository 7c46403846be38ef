"""Progress of long loops: a bar on a terminal, or else a line now and then."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

SECONDS_BETWEEN_LINES = 15.0
MEASURED = 5.0  # seconds after which the remaining time can be estimated


class Progress:
    """Counts what is done and shows how fast it goes. Use it in a `with` block."""

    def __init__(self, name: str, *, total: int, unit: str, done: int = 0, quiet: bool = False) -> None:
        """done: how much was done beforehand; it does not count towards the speed.

        quiet: show nothing, because another process does.
        """
        self._name, self._total, self._unit = name, total, unit
        self._done = self._first = done
        self.summary = ""  # ends the last line
        self._started = self._said = time.monotonic()
        self._quiet = quiet
        console = Console(stderr=True)
        self._bar: RichProgress | None = None
        if console.is_terminal and not quiet:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[note]}"))
            self._bar = RichProgress(*columns, TimeRemainingColumn(), console=console)
            self._task = self._bar.add_task(name, total=total, completed=done, note="")

    def __enter__(self) -> Progress:
        if self._bar:
            self._bar.start()
        return self

    def advance(self, count: int = 1, *, loss: float | None = None) -> None:
        """Count some more as done.

        loss: of the last steps of a training.
        """
        self._done += count
        note = "" if loss is None else f"loss {loss:.3f}"
        rate = (self._done - self._first) / max(1e-9, time.monotonic() - self._started)
        if self._bar:
            reused = f"{self._first} reused " if self._first else ""
            self._bar.update(self._task, advance=count, note=f"{rate:.1f} {self._unit}/s {reused}{note}")
        elif time.monotonic() - self._said > SECONDS_BETWEEN_LINES:
            self._said = time.monotonic()
            left = f", {(self._total - self._done) / rate:.0f} s left" if rate else ""
            self._say(f"{self._done}/{self._total} {self._unit}, {rate:.1f}/s{left} {note}")

    def left(self) -> float | None:
        """Seconds until all is done at the present speed; None while that cannot be estimated."""
        seconds, done = time.monotonic() - self._started, self._done - self._first
        return (self._total - self._done) * seconds / done if done > 1 and seconds >= MEASURED else None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar:
            self._bar.stop()
        if error is None:
            seconds = time.monotonic() - self._started
            self._say(f"{self._done} {self._unit} in {seconds:.1f} s {self.summary}")

    def _say(self, text: str) -> None:
        if not self._quiet:
            print(f"{self._name}: {text.strip()}", file=sys.stderr, flush=True)
