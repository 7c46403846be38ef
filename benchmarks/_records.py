"""What came of runs of whole systems, as text files in git with a line for each run."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from benchmarks._costs import Cost
from benchmarks._places import CHECKOUT, Place, list_read
from seedbed.store.artifact import open_artifact
from seedbed.store.store import Store
from seedbed.tools.editing import replace as write

RECORDS = CHECKOUT / "benchmarks" / "records"
MADE_BY = ("seedbed", "stages", "recipes", "benchmarks/systems.py", "benchmarks/_places.py")  # what a record follows from
BOOK, RUNNING = "costs.json", "running.json"


@dataclass(frozen=True)
class Record:
    """One run of a system."""

    system: str
    seed: int
    commit: str
    parameters: str  # digest of the recipe's, with the seed
    weights: Mapping[str, str]  # files that networks began with instead of the hub's
    machine: str
    figures: Mapping[str, Any]  # as evaluation.json has them
    costs: Mapping[str, Cost | None]  # by stage that does something; nothing where it was interrupted
    worst: Sequence[tuple[str, float]]  # predicted images with the lowest mIoU

    @property
    def place(self) -> tuple[str, int]:
        """Where it belongs among the others."""
        return self.system, self.seed


def read_records(data: str, *, folder: Path = RECORDS) -> dict[tuple[str, int], Record]:
    """Runs on a data set, by system and seed."""
    file = folder / f"{data}.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    found = [Record(**json.loads(line)) for line in lines]
    return {one.place: one for one in map(_read_types, found)}


def _read_types(record: Record) -> Record:
    costs = {stage: _read_cost(cost) for stage, cost in record.costs.items()}
    return replace(record, costs=costs, worst=[(image, miou) for image, miou in record.worst])


def _read_cost(content: Any) -> Cost | None:
    return None if content is None else Cost(**content)


def keep_record(data: str, record: Record, *, folder: Path = RECORDS) -> None:
    """Add a record, in place of an earlier one of that system and seed."""
    folder.mkdir(parents=True, exist_ok=True)
    with hold(folder / ".lock"):  # others may run on other processors
        records = {**read_records(data, folder=folder), record.place: record}
        write(folder / f"{data}.jsonl", "".join(f"{json.dumps(asdict(records[place]), sort_keys=True)}\n" for place in sorted(records)))


@contextmanager
def hold(lock: Path, *, wait: bool = True) -> Iterator[None]:
    """Keep other processes out."""
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            raise SystemExit(f"{lock.parent}: another run is at work there; give this one a --folder of its own") from error
        yield


@contextmanager
def hold_folder(folder: Path) -> Iterator[None]:
    """Make a folder, and keep other processes out, which would give it other parameters."""
    folder.mkdir(parents=True, exist_ok=True)
    with hold(folder / ".lock", wait=False):
        yield


def digest(params: Mapping[str, Any]) -> str:
    """Identity of parameters."""
    return hashlib.sha256(json.dumps(params, sort_keys=True).encode()).hexdigest()[:16]


def find_commit() -> str:
    """The commit that is run; refuses one that has been edited since."""
    changed = _ask("git", "status", "--porcelain", "--", *MADE_BY)
    if changed:
        raise SystemExit(f"records name a commit, and these are not in one:\n{changed}\ncommit them first")
    return _ask("git", "rev-parse", "--short=12", "HEAD")


def _ask(*command: str) -> str:
    return subprocess.run(command, cwd=CHECKOUT, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603 (our own)


def describe_machine() -> str:
    """What kind of machine this is."""
    processors = Path("/proc/cpuinfo")
    lines = processors.read_text(encoding="utf-8").splitlines() if processors.is_file() else []
    named = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
    return f"{_name_gpu()}{len(os.sched_getaffinity(0))} cores of {named}, torch {version('torch').partition('+')[0]}"


def _name_gpu() -> str:
    if not any(Path("/dev").glob("nvidia*")):
        return ""
    asked = "import torch; print(torch.cuda.get_device_name() if torch.cuda.is_available() else '')"
    name = _ask(sys.executable, "-c", asked)  # not in this process, whose memory counts as that of each stage that it starts
    return f"{name}, " if name else ""


@dataclass(frozen=True)
class Book:
    """What it took to make the artifacts of a folder, so that runs that share one know it too."""

    place: Place

    def measure(self, stage: str) -> Cost | None:
        """Run a stage. Returns what it took to make its artifact, now or earlier; nothing where nobody knows."""
        store, running = Store(stage, folder=self._data), self.place.folder / RUNNING
        begun, this = self._read(running), f"{stage} {digest(self._read_sections(stage))}"
        interrupted = this in begun  # whatever it had done by then was not measured
        speeds = len(store.speeds())
        write(running, json.dumps({**begun, this: True}))
        cost = self.place.measure(stage)
        write(running, json.dumps({name: True for name in begun if name != this}))
        made, known = open_artifact(stage, folder=self._data).digest, self._read(self.place.folder / BOOK)
        if len(store.speeds()) > speeds:  # it computed something
            known[made] = None if interrupted else asdict(Cost(round(cost.seconds, 1), round(cost.processors, 1), cost.peak))
            write(self.place.folder / BOOK, json.dumps(known))
        return _read_cost(known.get(made))

    def _read_sections(self, stage: str) -> dict[str, Any]:
        """The sections of a stage, and of all whose artifacts it follows from: with another seed, what it does is another thing."""
        params: dict[str, Any] = YAML(typ="safe").load(self.place.folder / "params.yaml")
        read, wanted = list_read(params), [stage]
        for one in wanted:  # which grows
            wanted += [name for name in read[one] if name not in wanted]
        return {name: params[name] for name in wanted}

    @property
    def _data(self) -> Path:
        return self.place.folder / "data"

    def _read(self, file: Path) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        return content
