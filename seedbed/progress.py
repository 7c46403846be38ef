"""Progress of long loops: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

SECONDS_BETWEEN_LINES = 15.0


class Progress:
    """Counts what is done and says how fast it goes. Use it in a `with` block."""

    def __init__(self, name: str, *, total: int, unit: str) -> None:
        self._name, self._total, self._unit = name, total, unit
        self._done = 0
        self._started = self._said = time.monotonic()
        console = Console(stderr=True)
        self._bar: RichProgress | None = None
        if console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[note]}"))
            self._bar = RichProgress(*columns, TimeRemainingColumn(), console=console)
            self._task = self._bar.add_task(name, total=total, note="")

    def __enter__(self) -> Progress:
        if self._bar:
            self._bar.start()
        return self

    def advance(self, *, note: str = "") -> None:
        """One more is done."""
        self._done += 1
        rate = self._done / max(1e-9, time.monotonic() - self._started)
        if self._bar:
            self._bar.update(self._task, advance=1, note=f"{rate:.1f} {self._unit}/s {note}")
        elif time.monotonic() - self._said > SECONDS_BETWEEN_LINES:
            self._said = time.monotonic()
            self._say(f"{self._done}/{self._total} {self._unit}, {rate:.1f}/s {note}")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar:
            self._bar.stop()
        elif error is None:
            seconds = time.monotonic() - self._started
            self._say(f"{self._done} {self._unit} in {seconds:.1f} s")

    def _say(self, text: str) -> None:
        print(f"{self._name}: {text.strip()}", file=sys.stderr, flush=True)
