"""What every stage is run by: how to run (device, workers, cluster), and one line instead of a traceback for a user's error.

How to run changes no result, so it is no parameter. It comes from flags of `python -m stages.<word>` or, under DVC, from the
environment: SEEDBED_DEVICE, SEEDBED_WORKERS, SEEDBED_SCHEDULER.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from seedbed import executor
from seedbed.artifacts import SCHEMAS, Artifact, MadeBy, Writer, open_artifact
from seedbed.errors import USER_ERROR, ArtifactError, MachineError, ParamsError, SeedbedError, listed
from seedbed.images import Images
from seedbed.methods import Method
from seedbed.params import Params, rebuilt
from seedbed.progress import Progress

T = TypeVar("T")
M = TypeVar("M", bound=Method)
DEVICES = ("auto", "cpu", "cuda")
UNUSED = "dataset"  # what a slot names that the selected method does not read: every training reads it anyway


@dataclass(frozen=True)
class Run:
    """One run of one stage."""

    stage: str
    params: Params
    device_wanted: str = "auto"
    workers: int = 1
    scheduler: str = ""
    opened: dict[str, Artifact] = field(default_factory=dict)

    @property
    def device(self) -> str:
        """Where networks run: `cpu` or `cuda`."""
        import torch  # only stages with a network pay for it

        there = torch.cuda.is_available()
        if self.device_wanted == "cuda" and not there:
            raise MachineError(
                "--device", found="cuda", expected="a GPU that torch can use", do="run `seedbed doctor`, or use --device cpu"
            )
        return "cuda" if there and self.device_wanted != "cpu" else "cpu"

    def open(self, name: str) -> Artifact:
        """What an earlier stage published, refused where it was made from another version of what is open already."""
        opened = open_artifact(name)
        for source, digest in opened.made_by.inputs.items():
            if source in self.opened and self.opened[source].digest != digest:
                raise ArtifactError(
                    str(opened.path),
                    found=f"an artifact made from another data/{source}.zarr",
                    expected="the present one",
                    do="run `dvc repro`",
                )
        self.opened[name] = opened
        return opened

    def images(self, data: Artifact) -> Images:
        """Pixels of a data set's images."""
        return Images(self.params.raw_root(), [str(one) for one in data.whole("file")], [str(one) for one in data.whole("digest")])

    def maps(self, wanted: Sequence[str], slots: Mapping[str, str]) -> dict[str, Artifact]:
        """The artifacts that a training reads maps from.

        wanted: arrays that the method learns along; slots: where params.yaml says they are.
        """
        for name in slots:
            if not _holders(name):
                raise ParamsError(
                    f"params.yaml: {self.stage}.maps.{name}", found="a map that no stage makes", expected=listed(wanted), do="correct it"
                )
            if name not in wanted and slots[name] != UNUSED:
                raise ParamsError(
                    f"params.yaml: {self.stage}.maps.{name}",
                    found=repr(slots[name]),
                    expected=f"{UNUSED!r}, because the selected method reads {listed(wanted)}",
                    do="correct it",
                )
        opened = {}
        for name in wanted:
            holders = _holders(name)
            if slots.get(name) not in holders:
                where = f"params.yaml: {self.stage}.maps.{name}"
                raise ParamsError(
                    where,
                    found=repr(slots[name]) if name in slots else "nothing",
                    expected=f"an artifact with `{name}`: {listed(holders)}",
                    do="correct it",
                )
            opened[name] = self.open(slots[name])
        return opened

    def trained(self, contract: type[M], artifact: Artifact) -> M:
        """The method that trained an artifact's weights, with the parameters that it had."""
        made_by = artifact.made_by
        return rebuilt(contract, made_by.method, made_by.parameters, where=str(artifact.path))

    @contextmanager
    def create(self, method: Method, *inputs: Artifact, extents: Mapping[str, int] | None = None) -> Iterator[Writer]:
        """This stage's artifact, published when the block ends without an error."""
        with Writer(self.stage, MadeBy.of(self.stage, method, *inputs), extents=extents) as writer:
            yield writer

    def each(self, compute: Callable[[Sequence[int]], Iterable[T]], rows: Sequence[int], *, here: bool = False) -> Iterator[T]:
        """What compute makes of every row, in order, wherever work runs.

        compute: called with a run of rows, gives one result for each.
        here: keep it in this process, because a network does it.
        """
        workers, scheduler = (1, "") if here else (self.workers, self.scheduler)
        with Progress(self.stage, total=len(rows), unit="images") as progress:
            for result in executor.mapped(compute, rows, workers=workers, scheduler=scheduler, single_thread=not here):
                progress.advance()
                yield result


def _holders(name: str) -> list[str]:
    """Artifacts with a map of that name at the size of the image."""
    return [stage for stage, schema in SCHEMAS.items() if name in schema.arrays and "y" in schema.arrays[name].dimensions]


def _processors() -> int:
    """Processors that this process may use, which in a container are fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_stage(main: Callable[[Run], None], stage: str) -> None:
    """Run a stage as a program."""
    environment = os.environ
    parser = argparse.ArgumentParser(prog=f"python -m stages.{stage}", description=(sys.modules[main.__module__].__doc__ or "").strip())
    parser.add_argument("--device", choices=DEVICES, default=environment.get("SEEDBED_DEVICE", "auto"), help="where networks run")
    parser.add_argument(
        "--workers",
        default=environment.get("SEEDBED_WORKERS", str(_processors())),
        help="processes for work without a network",
    )
    parser.add_argument("--scheduler", default=environment.get("SEEDBED_SCHEDULER", ""), help="address of a dask scheduler")
    options = parser.parse_args()
    try:
        if options.device not in DEVICES:  # argparse does not check a default
            raise MachineError("SEEDBED_DEVICE", found=repr(options.device), expected=f"one of: {listed(DEVICES)}", do="correct it")
        if not options.workers.isdecimal() or int(options.workers) < 1:
            where = "--workers or SEEDBED_WORKERS"
            raise MachineError(where, found=repr(options.workers), expected="1 or more", do="correct it")
        main(Run(stage, Params.read(), device_wanted=options.device, workers=int(options.workers), scheduler=options.scheduler))
    except SeedbedError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(USER_ERROR)
