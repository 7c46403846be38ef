"""What every stage is run by: how to run (device, workers, cluster), and one line instead of a traceback for a user's error.

How to run changes no result, so it is no parameter. It comes from flags of `python -m stages.<word>` or, under DVC, from the
environment: SEEDBED_DEVICE, SEEDBED_DEVICES, SEEDBED_WORKERS, SEEDBED_SCHEDULER, SEEDBED_CHECKPOINT_SECONDS.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FunctionType
from typing import Any, NoReturn, TypeVar

import cv2
import numpy as np

from seedbed.errors import USER_ERROR, ArtifactError, MachineError, SeedbedError, join_names, of_system
from seedbed.images import Images
from seedbed.methods import Method, identity
from seedbed.params import Params, rebuild
from seedbed.run import executor, fingerprint, interruption, memory, reuse
from seedbed.run.executor import Workers
from seedbed.run.fingerprint import Code
from seedbed.run.inputs import Inputs
from seedbed.run.interruption import Interrupted
from seedbed.run.machine import Machine
from seedbed.run.progress import Progress
from seedbed.run.shards import Compute, Shard, Work
from seedbed.run.slots import check_maps, wrong_splits
from seedbed.store import raw
from seedbed.store.artifact import Artifact, MadeBy, open_artifact
from seedbed.store.entries import Computation, put, put_weights, shard_name
from seedbed.store.schemas import FIXED, NONE, SCHEMAS, Columns
from seedbed.store.store import Store

M = TypeVar("M", bound=Method)
T = TypeVar("T")
DEVICES = ("auto", "cpu", "cuda")
Learn = Callable[..., Columns]  # (whatever is read, machine, checkpoint, seconds) -> a log and weights


@dataclass(frozen=True)
class Run:
    """One run of one stage."""

    stage: str
    params: Params
    device_wanted: str = "auto"
    workers: int = 1
    scheduler: str = ""
    checkpoint_seconds: float = 60.0
    devices: int = 0  # processes that share a training; 0: one for each GPU
    kind: str = ""  # of the artifact that it makes; empty where it is the stage's name
    inputs: Inputs = field(init=False)
    summary: list[str] = field(default_factory=list)  # what a run says that has nothing to compute

    def __post_init__(self) -> None:
        if self.device_wanted not in DEVICES:
            where = "--device or SEEDBED_DEVICE"
            raise MachineError(where, found=repr(self.device_wanted), expected=f"one of: {join_names(DEVICES)}", do="correct it")
        object.__setattr__(self, "kind", self.kind or self.stage)
        object.__setattr__(self, "inputs", Inputs(self.stage, self.params, family=self.kind))

    @property
    def opened(self) -> dict[str, Artifact]:
        """Artifacts that are open, by name."""
        return self.inputs.artifacts

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

    @property
    def machine(self) -> Machine:
        """What a training may use."""
        device = self.device
        return Machine(device, devices=self.devices or max(1, _count_gpus(device == "cuda")), readers=self.workers)

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

    def open_slot(self, name: str) -> Artifact | None:
        """The artifact that a slot of params.yaml names; nothing where it says none."""
        return None if name == NONE else self.open(name)

    def open_slots(self, names: Mapping[str, str]) -> dict[str, Artifact]:
        """The artifacts that several slots name, but for those that say none."""
        return {slot: self.open(name) for slot, name in names.items() if name != NONE}

    def images(self, data: Artifact) -> Images:
        """Pixels of a data set's images."""
        return Images(self.params.raw_root(), data)

    def images_watching_raw_data(self, data: Artifact) -> Images:
        """The same for a stage that reads more of the raw data than images whose digest it knows: from now on none may change."""
        self.inputs.watch(self.params.raw_root())
        return self.images(data)

    def read_raw(self, read: Callable[[Path], T]) -> T:
        """What a reader finds below the root of the raw data, of which from now on none may change."""
        root = self.params.raw_root()
        if linked := raw.check(root):
            print(f"{self.stage}: {raw.unseen(linked)}", file=sys.stderr)
        with self.hold_lock():  # it may draw or unpack what it reads
            return self.inputs.read_settled(root, read)

    def maps(self, wanted: Sequence[str], slots: Mapping[str, str]) -> dict[str, Artifact]:
        """The artifacts that a training reads maps from.

        wanted: arrays that the method learns along; slots: where params.yaml says they are.
        """
        check_maps(self.stage, wanted, slots)
        return {name: self.open(slots[name]) for name in wanted}

    def rebuild_trained(self, contract: type[M], artifact: Artifact) -> M:
        """The method that trained an artifact's weights, with the parameters that it had."""
        made_by = artifact.made_by
        return rebuild(contract, made_by.method, made_by.parameters, where=str(artifact.path))

    # Computing. Whatever is read is an argument that knows its own identity, so that nothing is reused that has changed.

    def per_image(
        self,
        method: Method,
        compute: Compute,
        *reads: Any,
        images: Sequence[str],
        extents: Mapping[str, int] | None = None,
        whole: Mapping[str, Any] | None = None,
        review: Callable[[Mapping[str, np.ndarray[Any, Any]]], None] | None = None,
    ) -> Artifact:
        """Compute this stage's artifact image by image, but for what the store has, and publish it.

        method: what made the artifact.
        compute: called with the reads and some images, in any process; gives the columns of each image.
        reads: methods, plain values, and things with `key(image)`, the identity of what there is to be read for an image.
        extents: lengths of dimensions that the data set does not fix.
        whole: arrays that are not computed image by image.
        review: called before anything is published, with the small arrays that were computed.
        """
        data = self.opened.get("dataset")
        extents = {**FIXED, **(data.extents if data is not None else {}), **(extents or {})}
        code = self._code(compute, reads)
        recipe = self._recipe(method, code, reads)
        store, started = Store(self.stage, kind=self.kind), time.monotonic()
        with self.hold_lock():
            shards = self._shards(recipe, reads, images, extents)
            entries = store.sound(shard.name for shard in shards)
            todo = [shard for shard in shards if shard.name not in entries]
            known = _positions(store) if todo else {}
            if todo:
                self._say_shortage(method, extents, device="cuda" if any(getattr(one, "device", "") == "cuda" for one in reads) else "cpu")
            todo = [shard.prepare(reads, known) for shard in todo]
            work = Work(store, recipe, compute, extents, tuple(self.opened.values()), code)
            removed = len(set(store.last()["images"]) - set(images))
            computed = self._compute(
                work, todo, total=len(images), removed=removed, gpus=_count_gpus(any(getattr(one, "device", "") == "cuda" for one in reads))
            )
            made = [entries.get(shard.name) or store.entry(shard.name) for shard in shards]
            complete = [entry for entry in made if entry is not None]
            assert len(complete) == len(shards), "every shard was computed"
            if review:
                review(store.join(complete))
            whole = {"ids": list(images), **(whole or {})}
            self.inputs.check()
            made_by = MadeBy.of(self.stage, method, *self.opened.values())
            artifact = store.publish(complete, whole, images=len(images), made_by=made_by, extents=extents)
            store.remember(complete, images, self._measure_speed(started, computed))
        self.summary[:] = [f"{self.stage}: {len(images)} images (0 computed, {len(images)} reused, 0 removed)"]
        return artifact

    def training(self, method: Method, learn: Learn, *reads: Any) -> Artifact:
        """Train this stage's network, unless the store has it, and publish it.

        learn: called with the reads, what it may use, and where and how often to keep the state of the training.
        """
        code = self._code(learn, reads)
        recipe = self._recipe(method, code, reads)
        key = recipe.key([_key(one, "") for one in reads])
        store, name, started = Store(self.stage, kind=self.kind), shard_name([key], {}), time.monotonic()
        reused = f"{self.stage}: reused, for nothing has changed that it learns from"
        with self.hold_lock():
            steps = 0
            if not store.sound([name]):
                self._say_shortage(method, {}, device=self.device)
                checkpoint = store.checkpoint(name)
                trained = learn(*reads, machine=self.machine, checkpoint=checkpoint, seconds=self.checkpoint_seconds)
                for artifact in self.opened.values():
                    artifact.check_unchanged()  # what was learned from another is not what the name says
                fingerprint.check_running(code)
                steps = len(trained["log"])
                with store.building(recipe, [key], {}) as group:
                    for array, spec in SCHEMAS[self.kind].arrays.items():
                        put(group, array, spec, trained[array])
                    put_weights(group, trained["weights"])
                store.forget_checkpoint(name)
            else:
                print(reused, file=sys.stderr)
            entry = store.entry(name)
            assert entry is not None
            self.inputs.check()
            made_by = MadeBy.of(self.stage, method, *self.opened.values())
            artifact = store.publish([entry], {}, images=0, made_by=made_by, extents={})
            store.remember([entry], [], self._measure_speed(started, steps))
        self.summary[:] = [reused]
        return artifact

    def say_wrong_splits(self, labelled: Mapping[str, bool]) -> None:
        """Say of settings of later stages, which may be hours away, that they name a split that the data set does not have.

        It stops nothing here: none of them changes what this stage makes, or DVC would run it again for each.
        labelled: of every split, whether some of its images have labels.
        """
        for error in wrong_splits(self.params.splits(), labelled):
            print(f"{self.stage}: warning: {error}", file=sys.stderr)

    def _say_shortage(self, method: Method, extents: Mapping[str, int], *, device: str) -> None:
        """Warn of too little memory before the process runs out of it."""
        opened = {name: length for one in self.opened.values() for name, length in one.lengths.items()}
        data = self.opened.get("dataset")
        extents = {**opened, **(data.extents if data is not None else {}), **extents}
        if not self.scheduler and (said := memory.describe_shortage(self.stage, method, extents, kind=self.kind, device=device)):
            print(said, file=sys.stderr)

    @contextmanager
    def hold_lock(self) -> Iterator[None]:
        """Be the only one at work on this stage, on inputs that nobody has replaced while this run was waiting for that."""
        with Store(self.stage, kind=self.kind).locked():
            self.inputs.check()
            yield

    def _code(self, compute: Callable[..., Any], reads: Sequence[Any]) -> Code:
        """What computes."""
        if not isinstance(compute, FunctionType) or compute.__closure__:
            raise TypeError(f"stage {self.stage}: {compute!r} is no plain function, so what it depends on cannot be known")
        named = compute.__module__.replace("__main__", f"stages.{self.kind}")
        modules = {f"stages.{self.kind}", named, fingerprint.DECODER, *(type(one).__module__ for one in (*reads, *_find_methods(reads)))}
        code = fingerprint.running(tuple(sorted(one for one in modules if one.startswith(("seedbed.", "stages.")))))
        self.inputs.codes.add(code)
        return code

    def _recipe(self, method: Method, code: Code, reads: Sequence[Any]) -> Computation:
        """How this stage computes."""
        parameters = [[type(one).__module__, identity(one)] for one in _find_methods(reads)]
        return Computation(self.kind, method.name, parameters, code.digest, dict(code.packages), code.modules)

    def _shards(self, recipe: Computation, reads: Sequence[Any], images: Sequence[str], extents: Mapping[str, int]) -> list[Shard]:
        """Images in runs, with the names of the entries that they make."""
        data, length = self.opened.get("dataset"), SCHEMAS[self.kind].images_per_shard(extents)
        shards = []
        for start in range(0, len(images), length):
            run = tuple(images[start : start + length])
            keys = tuple(recipe.key([_key(one, image) for one in reads]) for image in run)
            shards.append(Shard(shard_name(keys, extents), run, tuple(data.size(one) for one in run) if data is not None else (), keys))
        return shards

    def _compute(self, work: Work, todo: Sequence[Shard], *, total: int, removed: int, gpus: int) -> int:
        """Make entries of shards, wherever work runs. Returns how many images were computed."""
        place = Workers(workers=self.workers, scheduler=self.scheduler, gpus=gpus)
        computed = 0
        with Progress(self.stage, total=total, unit="images", done=total - sum(len(one.images) for one in todo)) as progress:
            named: Callable[[Shard], str] = f"{self.stage}, {{}}".format
            for _, one in executor.run_tasks(work, todo, place=place, named=named, advance=progress.advance, size=Shard.__len__):
                computed += one
            progress.summary = f"({computed} computed, {total - computed} reused, {removed} removed)"
        return computed

    def _measure_speed(self, started: float, computed: int) -> dict[str, Any]:
        """What to remember of a run that computed something."""
        return {"computed": computed, "seconds": round(time.monotonic() - started, 3), "workers": self.workers} if computed else {}


def _find_methods(reads: Sequence[Any]) -> list[Method]:
    """Methods among what is read, and those that trained what is read."""
    return [one for read in reads for one in (read, getattr(read, "method", None)) if isinstance(one, Method)]


def _key(read: Any, image: str) -> str:
    """Identity of what is read for an image."""
    if isinstance(read, Method):
        return ""  # part of the recipe
    if isinstance(read, str | int | float | bool | tuple):
        return json.dumps(read)
    return str(read.key(image))


def _positions(store: Store) -> dict[str, tuple[str, int]]:
    """Where the store has results of an image: its key -> the entry and the position within it."""
    return {key: (entry.path.name, position) for entry in store.entries() for position, key in enumerate(entry.keys)}


def _count_gpus(wanted: bool) -> int:
    """GPUs that can share the work, if it is work for one."""
    if not wanted:
        return 0
    import torch

    return torch.cuda.device_count()


def _count_processors() -> int:
    """Processors that this process may use, which in a container are fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_stage(main: Callable[[Run], None], stage: str) -> None:
    """Run a stage as a program."""
    environment = os.environ
    parser = argparse.ArgumentParser(prog=f"python -m stages.{stage}", description=(sys.modules[main.__module__].__doc__ or "").strip())
    parser.add_argument("--device", choices=DEVICES, default=environment.get("SEEDBED_DEVICE", "auto"), help="where networks run")
    parser.add_argument(
        "--workers",
        default=environment.get("SEEDBED_WORKERS", str(_count_processors())),
        help="processes for work on images; with several GPUs it is one for each",
    )
    parser.add_argument(
        "--devices", default=environment.get("SEEDBED_DEVICES", "0"), help="processes that share a training; 0: one for each GPU"
    )
    parser.add_argument("--scheduler", default=environment.get("SEEDBED_SCHEDULER", ""), help="address of a dask scheduler")
    parser.add_argument(
        "--checkpoint-seconds",
        type=float,
        default=environment.get("SEEDBED_CHECKPOINT_SECONDS", "60"),
        help="least time between two checkpoints of a training",
    )
    options = parser.parse_args()
    try:
        for name, least in (("workers", 1), ("devices", 0)):
            given = getattr(options, name)
            if not given.isdecimal() or int(given) < least:
                where = f"--{name} or SEEDBED_{name.upper()}"
                raise MachineError(where, found=repr(given), expected=f"{least} or more", do="correct it")
        run = Run(
            stage,
            Params.read(),
            device_wanted=options.device,
            workers=int(options.workers),
            devices=int(options.devices),
            scheduler=options.scheduler,
            checkpoint_seconds=options.checkpoint_seconds,
        )
        with interruption.heed_signals():
            main(run)
            run.inputs.check()  # again, for what it wrote beside its artifact
            reuse.keep(run.inputs, said="".join(run.summary))
    except SeedbedError as error:
        _give_up(error)
    except OSError as error:
        if (known := of_system(error)) is None:
            raise
        _give_up(known)
    except (MemoryError, RuntimeError, cv2.error) as error:
        if not memory.is_out_of_memory(error):
            raise
        _give_up(memory.out_of_memory_error(error, stage))
    except Interrupted as interrupted:
        print(interruption.GOES_ON, file=sys.stderr)
        sys.exit(interrupted.status)


def _give_up(error: SeedbedError) -> NoReturn:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(USER_ERROR)
