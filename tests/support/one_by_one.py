"""Many faults of one module on tests that are collected once: every fault in a process of its own, where code is exchanged in place.

What cannot be tried so, such as a constant of a class, is left to be tried alone, and so is what the tests let pass.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FunctionType

import pytest
from hypothesis import Phase, settings

from tests.support.faults import Fault

PASSED, FAILED, NOT_EXCHANGED = 0, 1, 2
PATIENCE, LEAST = 10, 20  # a test may take so many times what it takes without a fault, and so many seconds


@dataclass
class OneByOne:
    """A plugin of pytest that tries faults of a module in place of running its tests once."""

    root: Path  # a copy of the project
    chosen: Sequence[Fault]
    spent: dict[str, float] = field(default_factory=dict)  # seconds of every test
    killed: Counter[str] = field(default_factory=Counter)  # faults that a test noticed

    @property
    def left(self) -> Path:
        """Where the numbers of those are written that are left."""
        return self.root / ".left"

    @property
    def told(self) -> Path:
        """Where a process tells what came of its tests."""
        return self.root / ".told"

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        settings.register_profile("faults", settings.get_profile("seedbed"), phases=(Phase.explicit, Phase.generate), database=None)
        settings.load_profile("faults")
        file = self.root / self.chosen[0].module
        clean = file.read_bytes()
        functions = [one for one in gc.get_objects() if isinstance(one, FunctionType) and one.__code__.co_filename == str(file)]
        gc.freeze()
        left = []
        for number, fault in enumerate([None, *self.chosen, None]):
            outcome = self._try(session, fault, file, clean, functions)
            if fault is None and outcome != PASSED:
                session.testsfailed += 1
                return True
            if outcome != FAILED and fault is not None:
                left.append(number - 1)
        self.left.write_text(json.dumps(left), encoding="utf-8")
        return True

    def _try(self, session: pytest.Session, fault: Fault | None, file: Path, clean: bytes, functions: Sequence[FunctionType]) -> int:
        """What comes of the tests with a fault; without one, they are put in the order of what they take."""
        self.told.write_text("{}", encoding="utf-8")
        process = os.fork()
        if not process:
            outcome = FAILED
            try:
                outcome = self._tell(session, fault, file, clean, functions)
            finally:
                os._exit(outcome)
        outcome = _wait(process, 5 * LEAST + PATIENCE * sum(self.spent.values()) if self.spent else None)
        if fault:
            file.write_bytes(clean)
        told: dict[str, float] = json.loads(self.told.read_text(encoding="utf-8"))
        if outcome == PASSED:
            self.spent = told
            for item in session.items:
                item.add_marker(pytest.mark.timeout(max(LEAST, PATIENCE * told[item.nodeid])), append=False)
        elif outcome == FAILED and told:
            self.killed[[*told][-1]] += 1
        session.items.sort(key=lambda item: self.spent.get(item.nodeid, 0) / (1 + self.killed[item.nodeid]))
        return outcome

    def _tell(self, session: pytest.Session, fault: Fault | None, file: Path, clean: bytes, functions: Sequence[FunctionType]) -> int:
        if fault:
            limit_spinning(600)
            text = fault.put_into(clean)
            file.write_bytes(text)  # for programs that tests start
            if not exchange(functions, text, file):
                return NOT_EXCHANGED
        spent: dict[str, float] = {}
        for item, following in zip(session.items, [*session.items[1:], None], strict=True):
            started = time.monotonic()
            session.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            spent[item.nodeid] = time.monotonic() - started
            if session.testsfailed:
                break
        self.told.write_text(json.dumps(spent), encoding="utf-8")
        return FAILED if session.testsfailed else PASSED


def exchange(functions: Sequence[FunctionType], text: bytes, file: Path) -> bool:
    """Give functions of a module the code that they have in another text of it; whether any differs there."""
    found = {(one.co_qualname, one.co_firstlineno): one for one in _codes(compile(text, str(file), "exec", dont_inherit=True))}
    changed = [(one, new) for one in functions if (new := found.get((one.__code__.co_qualname, one.__code__.co_firstlineno)))]
    changed = [(one, new) for one, new in changed if new != one.__code__]
    try:
        for one, new in changed:
            one.__code__ = new
    except ValueError:  # it now needs other variables from around it
        return False
    return bool(changed)


def limit_spinning(seconds: int) -> None:
    """End this process when it has computed so long, where not even Python gets to say that it takes too long."""
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))


def _codes(code: CodeType) -> Iterator[CodeType]:
    for one in code.co_consts:
        if isinstance(one, CodeType):
            yield one
            yield from _codes(one)


def _wait(process: int, seconds: float | None) -> int:
    """How a process ends, which is given so much time."""
    started = time.monotonic()
    while not (ended := os.waitpid(process, os.WNOHANG))[0]:
        if seconds and time.monotonic() - started > seconds:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            return FAILED
        time.sleep(0.005)
    code = os.waitstatus_to_exitcode(ended[1])
    return code if code in (PASSED, NOT_EXCHANGED) else FAILED
