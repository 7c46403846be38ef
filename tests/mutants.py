"""Which faults the tests would not notice: `make mutants` puts single ones into modules that compute, and runs the tests of each.

Of tools that do the like, mutmut leaves decorated functions and constants of modules alone, which here are most verbs and all presets, and
cosmic-ray edits the checkout; neither exchanges parameters, which is the fault of this field.

    python -m tests.mutants                              # a sample of all modules
    python -m tests.mutants seedbed/algorithms/crf.py --number 20   # of some
    python -m tests.mutants --seed 1 --jobs 4            # another sample, several at a time

A fault is dead when a test fails or does not end. Those that change nothing that could be noticed are in EQUIVALENT, with the reason.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path

import pytest

from seedbed.methods import list_families
from tests.support.equivalent import EQUIVALENT
from tests.support.faults import PROJECT, Fault, faults
from tests.support.one_by_one import OneByOne, limit_spinning

ROOMS, WORDS = ("algorithms", "learning", "networks", "scoring"), ("reads", "types")  # beside methods
OF_STAGES = "tests/stages/test_stages.py"  # for what only stages use
APART = ("laws", "pipeline", "stages")  # tests of the whole, which belong to no module
SLOW = ("torch", "timm", "lightning_fabric", "zarr", "skimage.segmentation", "scipy.ndimage", "hypothesis.extra.numpy", "matplotlib.pyplot")
WITH_GPU = ("superpixels", "refinement", "instances", "evaluation")  # families of which the tests of devices are
LONG = "killed"  # a test that starts programs again and again; others notice the same


# Tests.


def modules() -> list[str]:
    """Methods but readers of data sets, and what they compute with."""
    folders = [*(one for one in list_families() if one != "dataset"), *ROOMS]
    files = [file for folder in folders for file in sorted((PROJECT / "seedbed" / folder).glob("*.py")) if file.stem[0] != "_"]
    return [str(file.relative_to(PROJECT)) for file in (*files, *(PROJECT / "seedbed" / f"{word}.py" for word in WORDS))]


@cache
def imported(file: Path) -> frozenset[str]:
    """Modules of ours that a file imports."""
    found = set[str]()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("seedbed"):
            found |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(found)


def belonging(module: str) -> list[str]:
    """Tests that belong to a module: its own, those that import it, and those of methods that use it."""
    file, dotted = Path(module), module.removesuffix(".py").replace("/", ".")
    families = list_families()
    methods = [one for one in sorted((PROJECT / "seedbed").glob("*/*.py")) if one.parent.name in families and one.stem[0] != "_"]
    methods = [PROJECT / file] if file.parent.name in families else [one for one in methods if dotted in imported(one)]
    tests = [one for one in sorted((PROJECT / "tests").rglob("test_*.py")) if one.relative_to(PROJECT).parts[1] not in APART]
    own = [one for one in tests if one.stem == f"test_{file.stem}" and one.parent.name in (file.parent.name, "tests")]
    using = [one for one in tests if dotted in imported(one) and one.name != "test_alive.py"]
    of_methods = [PROJECT / "tests" / one.parent.name / f"test_{one.stem}.py" for one in methods]
    contracts = [PROJECT / "tests" / "contracts" / f"test_{one.parent.name}.py" for one in methods]
    contracts += [PROJECT / "tests" / "contracts" / "test_devices.py" for one in methods if one.parent.name in WITH_GPU]
    alive = [f"tests/contracts/test_alive.py::test_every_parameter_changes_the_result[{one.parent.name}-{one.stem}]" for one in methods]
    files = [str(one.relative_to(PROJECT)) for one in (*own, *of_methods, *contracts, *using) if one.is_file()]
    if not files and not alive:  # a part of something else, by way of which it is tested
        whole = [one for one in modules() if dotted in imported(PROJECT / one)]
        return [*dict.fromkeys(test for one in whole for test in belonging(one))] or [OF_STAGES]
    return [*dict.fromkeys(files), *alive]


# Runs.


def load() -> None:
    """Import what is slow to import, so that processes have it that are forked from this one."""
    importlib.import_module("seedbed.networks.repaired")
    for name in SLOW:
        importlib.import_module(name)


@dataclass(frozen=True)
class Copy:
    """A copy of the checkout, to put faults into."""

    root: Path

    @classmethod
    def made(cls, root: Path) -> Copy:
        listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=PROJECT, capture_output=True, check=True)
        for name in filter(None, listed.stdout.decode().split("\0")):
            if (PROJECT / name).is_file():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(PROJECT / name, root / name)
        return cls(root)

    def begin(self, tests: Sequence[str], *, seconds: int, fault: Fault | None = None, plugins: Sequence[object] = ()) -> int:
        """Run tests, perhaps with a fault, in a process of their own; its number."""
        process = os.fork()
        if process:
            return process
        status = 1
        try:
            if fault:
                file = self.root / fault.module
                file.write_bytes(fault.put_into(file.read_bytes()))
                limit_spinning(5 * seconds)
            status = self._run(tests, seconds, plugins)
        finally:
            os._exit(status)

    def _run(self, tests: Sequence[str], seconds: int, plugins: Sequence[object]) -> int:
        for name in [one for one in sys.modules if one.partition(".")[0] in ("seedbed", "stages", "tests", "benchmarks")]:
            del sys.modules[name]
        sys.path[:] = [str(self.root), *(one for one in sys.path if one and Path(one).resolve() != PROJECT)]
        sys.dont_write_bytecode = True
        os.environ |= {"PYTHONPATH": str(self.root), "PYTHONDONTWRITEBYTECODE": "1"}
        os.chdir(self.root)
        output = os.open(self.output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        flags = ["-x", "-q", "-p", "no:cacheprovider", "-m", "not slow", "-k", f"not {LONG}", f"--timeout={seconds}"]
        return int(pytest.main([*flags, f"--basetemp={self.root}/.tests", *tests], plugins=plugins))

    @property
    def output(self) -> Path:
        """What tests have said."""
        return self.root / ".output"

    def mend(self, fault: Fault) -> None:
        """Take a fault out again."""
        shutil.copy(PROJECT / fault.module, self.root / fault.module)


@dataclass(frozen=True)
class Together:
    """Faults of one module, one after another."""

    chosen: Sequence[Fault]

    def begin(self, place: Copy, *, seconds: int) -> int:
        tests = belonging(self.chosen[0].module)
        assert tests, f"no tests belong to {self.chosen[0].module}"
        return place.begin(tests, seconds=seconds, plugins=[OneByOne(place.root, self.chosen)])

    def end(self, place: Copy, status: int) -> list[Fault]:
        """Those that are to be tried alone."""
        if status:
            sys.exit(f"tests of {self.chosen[0].module} fail without any fault:\n{place.output.read_text()[-3000:]}")
        return [self.chosen[number] for number in json.loads(OneByOne(place.root, self.chosen).left.read_text())]


def survivors_of(chosen: Sequence[Fault], copies: Sequence[Copy], *, seconds: int) -> Iterator[Fault]:
    """Faults that no test notices, as they are found."""
    by_module = [list(group) for _, group in groupby(chosen, key=lambda fault: fault.module)]
    waiting: deque[Together | Fault] = deque(Together(group) for group in by_module)
    free, running, left = list(copies), dict[int, tuple[Together | Fault, Copy]](), len(chosen)
    while waiting or running:
        while waiting and free:
            one, place = waiting.popleft(), free.pop()
            if isinstance(one, Together):
                process = one.begin(place, seconds=seconds)
            else:
                process = place.begin(belonging(one.module), seconds=seconds, fault=one)
            running[process] = one, place
        process, status = os.wait()
        one, place = running.pop(process)
        free.append(place)
        if isinstance(one, Together):
            alone = one.end(place, status)
            waiting.extendleft(alone)
            left -= len(one.chosen) - len(alone)
        else:
            place.mend(one)
            left -= 1
            if os.waitstatus_to_exitcode(status) == 0:
                yield one
        print(f"{len(chosen) - left} of {len(chosen)}", end="\r", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("modules", nargs="*", help="files, relative to the project; all that compute where none is named")
    parser.add_argument("--number", type=int, default=150, help="faults, drawn by chance; 0: all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="faults at a time")
    parser.add_argument("--seconds", type=int, default=120, help="that a test may take before it counts as failed")
    parser.add_argument("--list", action="store_true", help="name the faults and run nothing")
    options = parser.parse_args()
    every = [one for module in options.modules or modules() for one in faults(module)]
    known = {str(one) for one in every}
    if gone := [name for name in EQUIVALENT if name.partition(":")[0] in {one.module for one in every} and name not in known]:
        sys.exit(f"in EQUIVALENT, but no longer among the faults: {gone}")
    chosen = random.Random(options.seed).sample(every, min(options.number or len(every), len(every)))
    chosen = [one for one in sorted(chosen, key=lambda one: (one.module, one.line)) if str(one) not in EQUIVALENT]
    if options.list:
        print(*(f"{one.line}: {one}" for one in chosen), f"{len(chosen)} of {len(every)}", sep="\n")
        return
    started, found = time.monotonic(), 0
    load()
    with tempfile.TemporaryDirectory() as folder:
        copies = [Copy.made(Path(folder) / str(number)) for number in range(options.jobs)]
        for fault in survivors_of(chosen, copies, seconds=options.seconds):
            found += 1
            print(f"survived, line {fault.line} of {fault}", flush=True)
    share = 1 - found / max(1, len(chosen))
    print(f"{len(chosen)} of {len(every)} faults, {share:.3f} of them dead, in {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
