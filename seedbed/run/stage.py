"""Runs a stage: opens its inputs, computes what the store lacks, publishes the artifact, and turns a user's errors into one line.

How to run changes no result, so it is not a parameter. It comes from flags of `python -m stages.<word>` or, under DVC, from the
environment: SEEDBED_DEVICE, SEEDBED_DEVICES, SEEDBED_WORKERS, SEEDBED_SCHEDULER, SEEDBED_CHECKPOINT_SECONDS.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import FunctionType
from typing import Any, NoReturn, TypeVar

import cv2
import numpy as np

from seedbed.errors import USER_ERROR, MachineError, SeedbedError, join_names, of_system
from seedbed.images import Images
from seedbed.methods import Method, identity
from seedbed.params import Params, rebuild
from seedbed.run import executor, fingerprint, interruption, launch, memory, reuse
from seedbed.run.executor import Workers
from seedbed.run.fingerprint import Code
from seedbed.run.inputs import Inputs
from seedbed.run.interruption import Interrupted
from seedbed.run.launch import Launch
from seedbed.run.machine import Machine, Place
from seedbed.run.progress import Progress
from seedbed.run.shards import Compute, Shard, Work
from seedbed.run.slots import NO_PATH, check_data_set, check_file, check_folder, check_maps, check_versions, find_wrong_splits
from seedbed.store import raw
from seedbed.store.artifact import Artifact, MadeBy, open_artifact
from seedbed.store.entries import Computation, put, put_weights, shard_name
from seedbed.store.schemas import FIXED, NONE, ONLY, SCHEMAS, Columns, find_kind
from seedbed.store.store import Store

M = TypeVar("M", bound=Method)
T = TypeVar("T")
DEVICES = ("auto", "cpu", "cuda")
Learn = Callable[..., Columns]  # (inputs, machine, checkpoint, seconds) -> a log and weights
NOT_TRAINED: Columns = {"log": np.zeros((0, 0)), "figures": [], "weights": ()}


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
    launch: Launch | None = None  # those that were started with this one, to train together
    inputs: Inputs = field(init=False)
    summary: list[str] = field(default_factory=list)  # what the next run says if it has nothing to compute

    def __post_init__(self) -> None:
        if self.device_wanted not in DEVICES:
            where = "--device or SEEDBED_DEVICE"
            raise MachineError(where, found=repr(self.device_wanted), expected=f"one of: {join_names(DEVICES)}", do="correct it")
        object.__setattr__(self, "params", self.params.of_stage(self.stage))
        object.__setattr__(self, "inputs", Inputs(self.stage, self.params))

    @property
    def kind(self) -> str:
        """The kind of its artifact."""
        return find_kind(self.stage)

    @property
    def opened(self) -> dict[str, Artifact]:
        """Artifacts that are open, by name, or by the setting that says the path."""
        return self.inputs.artifacts

    @property
    def device(self) -> str:
        """Where networks run: `cpu` or `cuda`."""
        if self.device_wanted == "cpu" or (self.device_wanted == "auto" and not _has_driver()):
            return "cpu"
        import torch  # slow, so only where there may be a GPU

        available = torch.cuda.is_available()
        if self.device_wanted == "cuda" and not available:
            raise MachineError(
                "--device", found="cuda", expected="a GPU that torch can use", do="run `seedbed doctor`, or use --device cpu"
            )
        return "cuda" if available else "cpu"

    def place(self, method: Method) -> Place:
        """Where a method works on images: on a GPU if there is one and it uses one."""
        return Place(self.device if method.uses_gpu else "cpu")

    @property
    def machine(self) -> Machine:
        """What a training may use."""
        device = self.device
        gpus = _count_gpus(device == "cuda")
        if self.launch is not None and device == "cuda":
            self.launch.check_gpus(gpus)
        elif device == "cuda" and self.devices > gpus:
            found, do = f"{self.devices} with {gpus} visible GPUs", "correct it, or use --device cpu"
            raise MachineError("--devices or SEEDBED_DEVICES", found=found, expected="at most one for each", do=do)
        return Machine(device, devices=self.devices or max(1, gpus), readers=self.workers, launch=self.launch)

    def open(self, name: str) -> Artifact:
        """Open an earlier stage's artifact; refused if it or one that is open was made from another version of the other."""
        opened = open_artifact(name)
        self.opened[name] = opened
        check_versions({own: one for own, one in self.opened.items() if own == one.name})
        return opened

    def open_slot(self, name: str) -> Artifact | None:
        """The artifact that a slot of params.yaml names; nothing where it says none."""
        return None if name == NONE else self.open(name)

    def open_slots(self, names: Mapping[str, str]) -> dict[str, Artifact]:
        """The artifacts that several slots name, but for those that say none."""
        return {slot: self.open(name) for slot, name in names.items() if name != NONE}

    def open_path(self, path: str, *, setting: str) -> Artifact | None:
        """Open an artifact that a setting names by its path, of this data set, which is open; nothing where it names none.

        It is known by the setting, since this pipeline may have another artifact of its name.
        """
        if path == NO_PATH:
            return None
        opened = open_artifact(Path(path).stem, folder=Path(path).parent)
        check_data_set(opened, self.opened["dataset"])
        self.opened[setting] = opened
        return opened

    def images(self, data: Artifact) -> Images:
        """Open the images of a data set."""
        return Images(self.params.raw_root(), data)

    def images_watching_raw_data(self, data: Artifact) -> Images:
        """Open the images for a stage that also reads other raw data: from now on no raw file may change."""
        self.inputs.watch(self.params.raw_root())
        return self.images(data)

    def open_folder(self, folder: str) -> Path:
        """Open a folder of other files that params.yaml names: from now on none of them may change."""
        path = check_folder(self.stage, folder)
        self.inputs.watch(path)
        return path

    def open_file(self, file: str, *, setting: str) -> Path | None:
        """Open another file that a setting names: from now on it may not change. Nothing where it names none."""
        if file == NO_PATH:
            return None
        path = check_file(self.stage, setting, file)
        self.inputs.watch(path)
        return path

    def read_raw(self, read: Callable[[Path], T]) -> T:
        """Call a reader of the raw data. From now on no raw file may change."""
        root = self.params.raw_root()
        if linked := raw.check(root):
            print(f"{self.stage}: {raw.describe_links(linked)}", file=sys.stderr)
        with self.hold_lock():  # because the reader may draw or unpack files
            return self.inputs.read_settled(root, read)

    def maps(self, wanted: Sequence[str], slots: Mapping[str, str]) -> dict[str, Artifact]:
        """Open the artifacts that a training reads maps from.

        wanted: arrays that the method learns from, beside images; slots: the artifacts that params.yaml names for them.
        """
        check_maps(self.stage, wanted, slots)
        return {name: self.open(slots[name]) for name in wanted}

    def rebuild_trained(self, contract: type[M], artifact: Artifact) -> M:
        """The method that trained an artifact's weights, with the parameters of that training."""
        made_by = artifact.made_by
        return rebuild(contract, made_by.method, made_by.parameters, where=str(artifact.path))

    # Computing. Every input is an argument with an identity of its own, so that no result of another input is reused.

    def per_image(
        self,
        method: Method,
        compute: Compute,
        *reads: Any,
        image_ids: Sequence[str],
        extents: Mapping[str, int] | None = None,
        whole: Mapping[str, Any] | None = None,
        check: Callable[[Sequence[str]], None] | None = None,
        review: Callable[[Mapping[str, np.ndarray[Any, Any]]], None] | None = None,
    ) -> Artifact:
        """Compute this stage's artifact image by image, reusing results of the store, and publish it.

        method: recorded as the one that made the artifact.
        compute: called with the reads and the ids of some images, in any process; yields the columns of each image.
        reads: inputs: methods, plain values, and objects with `key(image_id)`, the identity of what they hold of an image.
        extents: lengths of dimensions that the data set does not fix.
        whole: arrays that are not computed image by image.
        check: called with the ids of images whose result the store lacks, before any is computed; raises an error to prevent that.
        review: called with the small arrays before the artifact is published; raises an error to prevent that.
        """
        data = self.opened.get("dataset")
        extents = {**FIXED, **(data.extents if data is not None else {}), **(extents or {})}
        code = self._code(compute, reads)
        recipe = self._recipe(method, code, reads)
        store, started = Store(self.stage), time.monotonic()
        with self.hold_lock():
            shards = self._make_shards(recipe, reads, image_ids, extents)
            entries = store.sound(shard.name for shard in shards)
            todo = [shard for shard in shards if shard.name not in entries]
            known = _locate_results(store) if todo else {}
            on_gpu = any(getattr(one, "device", "") == "cuda" for one in reads)
            if todo:
                self._warn_of_shortage(method, extents, device="cuda" if on_gpu else "cpu")
            todo = [shard.prepare(reads, known) for shard in todo]
            if check:
                check([image_id for shard in todo for image_id in shard.list_missing()])
            work = Work(store, recipe, compute, extents, tuple(self.opened.values()), code)
            removed = len(set(store.last()["images"]) - set(image_ids))
            computed = self._compute(work, todo, total=len(image_ids), removed=removed, gpus=_count_gpus(on_gpu))
            made = [entries.get(shard.name) or store.entry(shard.name) for shard in shards]
            complete = [entry for entry in made if entry is not None]
            assert len(complete) == len(shards), "every shard was computed"
            if review:
                review(store.join(complete))
            whole = {"ids": list(image_ids), **(whole or {})}
            self.inputs.check()
            made_by = MadeBy.of(self.stage, method, self.opened)
            artifact = store.publish(complete, whole, images=len(image_ids), made_by=made_by, extents=extents)
            store.remember(complete, image_ids, self._measure_speed(started, computed))
        self.summary[:] = [f"{self.stage}: {len(image_ids)} images (0 computed, {len(image_ids)} reused, 0 removed)"]
        return artifact

    def training(self, method: Method, learn: Learn | None, *reads: Any) -> Artifact:
        """Train this stage's network, unless the store has it, and publish it.

        Of several processes that were started together, those but the first end here, once they have helped.

        learn: called with the reads, the machine to use, and where and how often to write checkpoints; returns a log and weights.
            None where the method learns nothing: there is no log then, and there are no weights.
        """
        code = self._code(learn, reads)
        recipe = self._recipe(method, code, reads)
        key = recipe.key([_find_key(one, "") for one in reads])
        store, name, started = Store(self.stage), shard_name([key], {}), time.monotonic()
        reused = f"{self.stage}: reused, because nothing that it learns from has changed"
        if self.launch is not None and not self.launch.leads:
            if learn is not None:
                learn(*reads, machine=self.machine, checkpoint=store.checkpoint(name), seconds=math.inf)
            self.launch.leave()
        with self.hold_lock():
            steps, resumed = 0, False
            if not store.sound([name]):
                trained = NOT_TRAINED
                if learn is not None:
                    self._warn_of_shortage(method, {}, device=self.device)
                    checkpoint = store.checkpoint(name)
                    resumed = checkpoint.exists()
                    trained = learn(*reads, machine=self.machine, checkpoint=checkpoint, seconds=self.checkpoint_seconds)
                for artifact in self.opened.values():
                    artifact.check_unchanged()  # the entry's name stands for these inputs, and no others
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
            made_by = MadeBy.of(self.stage, method, self.opened)
            artifact = store.publish([entry], {}, images=0, made_by=made_by, extents={})
            store.remember([entry], [], {} if resumed else self._measure_speed(started, steps))  # only its last steps were timed
        self.summary[:] = [reused]
        return artifact

    def say_wrong_splits(self, labelled: Mapping[str, bool]) -> None:
        """Warn of settings of later stages, which may be hours away, that name splits which the data set does not have.

        These are warnings, because such settings are no input of this stage: if they were, DVC would rerun it for each change.
        labelled: for each split, whether some of its images have labels.
        """
        for error in find_wrong_splits(self.params.splits(), labelled):
            print(f"{self.stage}: warning: {error}", file=sys.stderr)

    def _warn_of_shortage(self, method: Method, extents: Mapping[str, int], *, device: str) -> None:
        """Warn before the process runs out of memory."""
        opened = {name: length for one in self.opened.values() for name, length in one.lengths.items()}
        data = self.opened.get("dataset")
        extents = {**opened, **(data.extents if data is not None else {}), **extents}
        if not self.scheduler and (warning := memory.describe_shortage(self.stage, method, extents, device=device)):
            print(warning, file=sys.stderr)

    @contextmanager
    def hold_lock(self) -> Iterator[None]:
        """Hold the stage's lock, and check that no input changed while this run was waiting for it."""
        with Store(self.stage).locked():
            self.inputs.check()
            yield

    def _code(self, compute: Callable[..., Any] | None, reads: Sequence[Any]) -> Code:
        """The code that computes, if any does, and its packages."""
        modules = {f"stages.{self.kind}", fingerprint.DECODER, *(type(one).__module__ for one in (*reads, *_find_methods(reads)))}
        if compute is not None:
            if not isinstance(compute, FunctionType) or compute.__closure__:
                raise TypeError(f"stage {self.stage}: {compute!r} is not a plain function, so the code that it depends on cannot be found")
            modules.add(compute.__module__.replace("__main__", f"stages.{self.kind}"))
        code = fingerprint.running(tuple(sorted(one for one in modules if one.startswith(("seedbed.", "stages.")))))
        self.inputs.codes.add(code)
        return code

    def _recipe(self, method: Method, code: Code, reads: Sequence[Any]) -> Computation:
        """The identity of this stage's computation."""
        parameters = [[type(one).__module__, identity(one)] for one in _find_methods(reads)]
        return Computation(self.kind, method.name, parameters, code.digest, dict(code.packages), code.modules)

    def _make_shards(self, recipe: Computation, reads: Sequence[Any], image_ids: Sequence[str], extents: Mapping[str, int]) -> list[Shard]:
        """Divide images into shards, each with the name of its entry."""
        data, length = self.opened.get("dataset"), SCHEMAS[self.kind].images_per_shard(extents)
        shards = []
        for start in range(0, len(image_ids), length):
            run = tuple(image_ids[start : start + length])
            keys = tuple(recipe.key([_find_key(one, image_id) for one in reads]) for image_id in run)
            sizes = tuple(data.size(image_id) for image_id in run) if data is not None else ()
            shards.append(Shard(shard_name(keys, extents), run, sizes, keys))
        return shards

    def _compute(self, work: Work, todo: Sequence[Shard], *, total: int, removed: int, gpus: int) -> int:
        """Make the entries of shards. Returns how many images were computed."""
        place = Workers(workers=self.workers, scheduler=self.scheduler, gpus=gpus)
        computed = 0
        with Progress(self.stage, total=total, unit="images", done=total - sum(map(len, todo))) as progress:
            name: Callable[[Shard], str] = f"{self.stage}, {{}}".format
            for _, one in executor.run_tasks(work, todo, place=place, name=name, advance=progress.advance, size=Shard.__len__):
                computed += one
            progress.summary = f"({computed} computed, {total - computed} reused, {removed} removed)"
        return computed

    def _measure_speed(self, started: float, computed: int) -> dict[str, Any]:
        """What to remember about the speed of a run; empty if it computed nothing."""
        return {"computed": computed, "seconds": round(time.monotonic() - started, 3), "workers": self.workers} if computed else {}


def _find_methods(reads: Sequence[Any]) -> list[Method]:
    """Methods among the inputs, and those that trained them."""
    return [one for read in reads for one in (read, getattr(read, "method", None)) if isinstance(one, Method)]


def _find_key(read: Any, image_id: str) -> str:
    """Identity of what an input holds of an image."""
    if isinstance(read, Method):
        return ""  # part of the recipe
    if isinstance(read, str | int | float | bool | tuple):
        return json.dumps(read)
    return str(read.key(image_id))


def _locate_results(store: Store) -> dict[str, tuple[str, int]]:
    """Where the store has the result of an image: its key -> the entry, and the position in it."""
    return {key: (entry.path.name, position) for entry in store.entries() for position, key in enumerate(entry.keys)}


def _has_driver() -> bool:
    """Whether the machine may have a GPU: without its driver torch need not be asked."""
    return any(Path("/dev").glob("nvidia*")) or any(Path("/dev", name).exists() for name in ("dxg", "kfd"))


def _count_gpus(wanted: bool) -> int:
    """GPUs that can share the work; 0 if it runs no network on one."""
    if not wanted:
        return 0
    import torch

    return torch.cuda.device_count()


def _count_processors() -> int:
    """Processors that this process may use; in a container the machine may have more."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_stage(main: Callable[[Run], None], kind: str) -> None:
    """Run a stage as a program.

    kind: of the artifact that it makes, which is called so unless it is given another name of that kind.
    """
    launched = launch.find()
    if launched is not None and not SCHEMAS[kind].weights:  # only a training is shared
        if not launched.leads:
            sys.exit(0)
        launched = None
    with launched.reporting() if launched else nullcontext():
        _run_heeded(main, kind, launched)


def _run_heeded(main: Callable[[Run], None], kind: str, launched: Launch | None) -> None:
    """Run a stage, and say in a line what it failed of, where that can be said."""
    stage = kind
    try:
        with interruption.heed_signals(), launched.joined() if launched else nullcontext():
            options = _read_options(main, kind)
            stage = options.stage
            _check_name(stage, kind)
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
                launch=launched,
            )
            main(run)
            run.inputs.check()  # again, because it may have written more after its artifact
            reuse.keep(run.inputs, said="".join(run.summary))
    except SeedbedError as error:
        _give_up(error, launched)
    except OSError as error:
        if (known := of_system(error)) is None:
            raise
        _give_up(known, launched)
    except (MemoryError, RuntimeError, cv2.error) as error:
        if launched is not None and (known := launched.explain(error, stage)) is not None:
            _give_up(known, launched)
        if not memory.is_out_of_memory(error):
            raise
        _give_up(memory.out_of_memory_error(error, stage), launched)
    except Interrupted as interrupted:
        _end(interruption.GOES_ON, interrupted.status, launched)


def _read_options(main: Callable[[Run], None], kind: str) -> argparse.Namespace:
    """Flags of the command, or what the environment says instead."""
    environment = os.environ
    parser = argparse.ArgumentParser(prog=f"python -m stages.{kind}", description=(sys.modules[main.__module__].__doc__ or "").strip())
    parser.add_argument(
        "--as",
        dest="stage",
        metavar="NAME",
        default=kind,
        help=f"make {kind}_WORD, a second artifact of the kind, with the section of params.yaml that is called so",
    )
    parser.add_argument("--device", choices=DEVICES, default=environment.get("SEEDBED_DEVICE", "auto"), help="where networks run")
    parser.add_argument(
        "--workers",
        default=environment.get("SEEDBED_WORKERS", str(_count_processors())),
        help="processes for work on images; several GPUs get one each",
    )
    parser.add_argument(
        "--devices", default=environment.get("SEEDBED_DEVICES", "0"), help="processes that share a training; 0: one for each GPU"
    )
    parser.add_argument("--scheduler", default=environment.get("SEEDBED_SCHEDULER", ""), help="address of a dask scheduler")
    parser.add_argument(
        "--checkpoint-seconds",
        type=float,
        default=environment.get("SEEDBED_CHECKPOINT_SECONDS", "60"),
        help="minimum time between two checkpoints of a training",
    )
    return parser.parse_args()


def _check_name(stage: str, kind: str) -> None:
    """Refuse to make an artifact of a name that is not of its kind."""
    if kind in ONLY and stage != kind:
        raise MachineError("--as", found=repr(stage), expected=f"{kind!r} alone, of which a pipeline has one", do="leave --as out")
    if find_kind(stage) != kind:
        expected = f"{kind!r}, or {kind}_ and a word of small letters and digits"
        raise MachineError("--as", found=repr(stage), expected=expected, do="correct it")


def _give_up(error: SeedbedError, launched: Launch | None) -> NoReturn:
    _end(f"error: {error}", USER_ERROR, launched)


def _end(line: str, status: int, launched: Launch | None) -> NoReturn:
    """Say a line and end; of several processes that were started together, one says it."""
    if launched is not None:
        launched.end(line, status)
    print(line, file=sys.stderr)
    sys.exit(status)
