"""The training loop of all stages that train.

It is given samples and a learner, and knows neither classes nor losses. Every random choice is drawn from the seed and the position
in the training alone. So it does not matter which thread or process draws it, and an interrupted training goes on from its checkpoint
to the same weights.

A batch may be computed in micro-batches, one after another, and by several processes, each with its GPU. All of them weigh the same.
Where the loss is a mean over images, neither changes more than last digits, unless the network has batch norm in training mode, which
sees one micro-batch at a time, or random layers, which draw for each anew.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Generic, TypeVar

import lightning_fabric
import numpy as np
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import Tensor, nn
from torch.multiprocessing.spawn import ProcessException

from seedbed.errors import MachineError, TrainingError
from seedbed.learning.checkpoints import Checkpoints
from seedbed.learning.contract import SolvedMethod, TrainableMethod
from seedbed.learning.learner import TOTAL, Learner, N, Trained, collect_columns
from seedbed.learning.optimisers import clip_gradients, learned_parameters
from seedbed.learning.running_mean import follow, start_mean
from seedbed.learning.state import TrainingState
from seedbed.learning.training import B, S, Sampling, Training, V
from seedbed.networks.start import Given
from seedbed.run import fingerprint, interruption
from seedbed.run.launch import Launch
from seedbed.run.machine import Machine
from seedbed.run.progress import Progress
from seedbed.store.schemas import Columns

WARN_IF_LOST = 60.0  # seconds of work that an interruption may cost before a warning is due
AHEAD = 4  # batches that are read in advance
# Some weights may get no gradient, such as those of timm's unused heads; without this, processes would wait for it and fail.
PATIENT: dict[str, Any] = {"find_unused_parameters": True}

L = TypeVar("L", bound=nn.Module)


@dataclass(frozen=True)
class _Job(Generic[N, B, S, V]):
    """One training, from its first step to its last."""

    build: Callable[[], Learner[N, B]]
    samples: Sequence[S]
    sampling: Sampling[S, V, B]
    readers: int
    name: str
    checkpoints: Checkpoints

    @property
    def training(self) -> Training:
        return self.sampling.training

    @property
    def steps(self) -> int:
        return max(1, round(self.training.epochs * len(self.samples) / self.training.batch_size))


def learn(
    method: SolvedMethod[Any] | TrainableMethod[Any],
    stage: str,
    num_classes: int,
    samples: Sequence[Any],
    given: Given,
    *,
    machine: Machine,
    checkpoint: Path,
    seconds: float,
) -> Columns:
    """Train a network, or solve at once. Returns a log and weights, as an artifact has them.

    stage: for what it says; num_classes: without background; 0 where samples say nothing of classes.
    """
    if isinstance(method, SolvedMethod):
        return collect_columns(method.solve(num_classes, samples))
    build, checkpoints = partial(method.learner, num_classes, given=given.load()), Checkpoints(checkpoint, seconds=seconds)
    return collect_columns(fit(build, samples, method.sampling, machine=machine, name=stage, checkpoints=checkpoints))


def fit(
    build: Callable[[], Learner[N, B]],
    samples: Sequence[S],
    sampling: Sampling[S, V, B],
    *,
    machine: Machine,
    name: str,
    checkpoints: Checkpoints,
) -> Trained[N]:
    """Train, from the beginning or from where this training was interrupted.

    build: makes the learner, after the random state is set.
    samples: read one at a time, as often as needed.
    checkpoints: of this training and no other; to be removed once its result is safe.
    """
    job = _Job(build, samples, sampling, machine.readers, name, checkpoints)
    if machine.launch is not None:
        return _train_launched(machine.launch, machine.device, job)
    devices = count_devices(sampling.training, available=machine.devices)
    strategy: Any = DDPStrategy(start_method="spawn", **PATIENT) if devices > 1 else "auto"
    fabric = lightning_fabric.Fabric(
        accelerator=machine.device,
        devices=devices,
        strategy=strategy,
        precision=sampling.training.precision,
        plugins=[LightningEnvironment()],
    )
    if devices == 1:
        return _train(fabric, job)
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # no warning from each process where all weights get one
    logging.getLogger("torch.multiprocessing.spawn").setLevel(logging.ERROR)  # it names the processes that it ends
    try:
        interruption.supervise(partial(fabric.launch, partial(_train_share, job=job, sources=fingerprint.startup_digest())))
    except ProcessException as error:
        *_, last = str(error).strip().splitlines()
        raise TrainingError(
            name, found=f"a process that failed: {last}", expected="all to finish", do="see above, or use one device"
        ) from error
    # The processes are gone; their last checkpoint is the end of the training.
    return _train(lightning_fabric.Fabric(accelerator="cpu", devices=1, plugins=[LightningEnvironment()]), job)


def _train_launched(launch: Launch, device: str, job: _Job[N, B, S, V]) -> Trained[N]:
    """Train as one of several processes that were started from outside."""
    training = job.training
    if (share := count_devices(training, available=launch.size)) < launch.size:
        raise MachineError(
            job.name,
            found=f"{launch.size} processes",
            expected=f"a number that divides its {training.batch_size // training.micro_batches} images per micro-batch",
            do=f"start {share}, or change its batch_size or micro_batches in params.yaml",
        )
    launch.agree(training=job.checkpoints.name, device=device)
    fabric = lightning_fabric.Fabric(
        accelerator=device,
        devices=launch.local_size,
        num_nodes=launch.nodes,
        strategy=DDPStrategy(**PATIENT),
        precision=training.precision,
        plugins=[launch.environment],
    )
    fabric.launch()
    trained = _train(fabric, job)
    torch.distributed.destroy_process_group()  # while all are there
    return trained


def _train_share(fabric: lightning_fabric.Fabric, *, job: _Job[N, B, S, V], sources: str) -> None:
    """One of several processes that train together.

    sources: digest of our sources as the process that started this one found them.
    """
    interruption.follow_parent()
    fingerprint.check_sources(sources)
    _train(fabric, job)


def _train(fabric: lightning_fabric.Fabric, job: _Job[N, B, S, V]) -> Trained[N]:
    """Train, or do this process's share of it."""
    training, steps = job.training, job.steps
    _seed(training.seed, fabric.device)
    learner = arrange_memory(job.build(), fabric.device)
    learner.train()
    scheduled = learner.optimizers()
    unwrapped = [schedule.optimizer for schedule in scheduled]
    module, *optimizers = fabric.setup(learner, *unwrapped)
    initial = [[dict(group) for group in optimizer.param_groups] for optimizer in unwrapped]
    state = TrainingState(learner, start_mean(learner.network) if training.averaging else None, unwrapped)
    identity = {**dataclasses.asdict(training), "steps": steps, "images": len(job.samples), "optimizers": len(optimizers)}
    log = state.resume(job.checkpoints, identity=identity, name=job.name)
    start, first, alone = len(log), fabric.global_rank == 0, fabric.world_size == 1
    if not alone and start != (agreed := fabric.broadcast(start)):  # a network file system shows a new file late
        raise TrainingError(
            job.name,
            found=f"a checkpoint of {start} steps on this machine, and of {agreed} on that of process 0",
            expected="the same on all",
            do="run it again once they see the same files",
        )
    interval_checked = not first  # whether it is known that checkpoints are frequent enough
    with Progress(job.name, total=steps, unit="steps", done=start, quiet=not first) as progress:
        for step, batches in enumerate(_read_batches(job, range(start, steps), rank=fabric.global_rank, ranks=fabric.world_size), start):
            for schedule, options in zip(scheduled, initial, strict=True):
                schedule.set_rates(step / steps, options)
                schedule.optimizer.zero_grad(set_to_none=True)
            figures = []
            try:
                for number, batch in enumerate(batches):
                    last = number + 1 == len(batches)
                    _seed(_derive_seed(training.seed, step, fabric.global_rank * len(batches) + number), fabric.device)
                    with fabric.no_backward_sync(module, enabled=not last and not alone):
                        terms: dict[str, Tensor] = module(batch.to(fabric.device), step / steps)
                        total = torch.stack(list(terms.values())).sum()
                        fabric.backward(total / len(batches))
                    figures.append({TOTAL: total, **terms, **learner.measure_batch()})
                if training.clip:
                    clip_gradients(learned_parameters(learner), training)
                for optimizer in optimizers:
                    optimizer.step()
            except torch.OutOfMemoryError as error:
                # A smaller batch would fit, but is another training, which is for params.yaml to decide.
                raise TrainingError(
                    f"{job.name}, step {step}",
                    found="a GPU without enough memory for a batch",
                    expected=f"room for {training.batch_size} images of a view's size",
                    do="raise its micro_batches or lower its batch_size or crop in params.yaml, or use a larger GPU",
                ) from error
            learner.after_step(step / steps)
            if state.averaged is not None:
                follow(state.averaged, learner.network, keep=training.averaging if step else 0.0)
            log.buffer(figures, rate=scheduled[0].optimizer.param_groups[0]["lr"], fabric=fabric)
            due = first and job.checkpoints.due() and step + 1 < steps
            if due or log.full or step + 1 == steps:
                log.flush_buffer()
            progress.advance(loss=log.recent_loss())
            if not interval_checked and (left := progress.left()) is not None:
                interval_checked = True
                _warn_of_rare_checkpoints(job, left)
            if due or (step + 1 == steps and first and not alone):
                state.save(job.checkpoints, identity=identity, log=log)
    network: Any = learner.network if state.averaged is None else state.averaged
    return Trained(network=network.eval().cpu(), log=log.figures)


def _warn_of_rare_checkpoints(job: _Job[N, B, S, V], left: float) -> None:
    """Warn where the rest of a training takes long, yet will be over before the next checkpoint.

    left: seconds that the rest will take.
    """
    if left > WARN_IF_LOST and not job.checkpoints.due_within(left):
        print(
            f"{job.name}: some {left:.0f} s are left, and a checkpoint is kept every {job.checkpoints.seconds:.0f} s, so an interruption "
            f"would cost whatever it has done by then: set SEEDBED_CHECKPOINT_SECONDS, or --checkpoint-seconds, to {WARN_IF_LOST:.0f}",
            file=sys.stderr,
            flush=True,
        )


def count_devices(training: Training, *, available: int) -> int:
    """How many devices share each micro-batch, all with the same number of images."""
    return max(count for count in range(1, available + 1) if training.batch_size // training.micro_batches % count == 0)


def arrange_memory(learner: L, device: torch.device) -> L:
    """Give a learner's convolutions the layout in memory that is fastest on its device: on a GPU, channels last.

    In place. It changes no more than last digits, so it is no parameter.
    """
    if device.type == "cuda":
        module: Any = learner  # torch declares no type for this call
        module.to(memory_format=torch.channels_last)
    return learner


def _read_batches(job: _Job[N, B, S, V], steps: range, *, rank: int, ranks: int) -> Iterator[list[B]]:
    """This process's share of each batch, in micro-batches.

    steps: whose batches are wanted; nothing is read for earlier ones.
    """
    count = job.training.micro_batches
    size = job.training.batch_size // (count * ranks)
    threads = ThreadPoolExecutor(job.readers)

    def read(step: int) -> list[B]:
        begins = [step * job.training.batch_size + (rank * count + number) * size for number in range(count)]
        return [job.sampling.gather([_read_view(job, position) for position in range(begin, begin + size)]) for begin in begins]

    try:
        waiting: deque[Future[list[B]]] = deque()
        for step in steps:
            while len(waiting) < AHEAD and step + len(waiting) < steps.stop:
                waiting.append(threads.submit(read, step + len(waiting)))
            yield waiting.popleft().result()
    finally:
        threads.shutdown(cancel_futures=True)


def _read_view(job: _Job[N, B, S, V], position: int) -> V:
    """The view at a position in an endless sequence of shuffled passes, in which all batches have the same size."""
    turn = position % len(job.samples)
    order = _shuffle(job.training.seed, position - turn, len(job.samples))
    return job.sampling.view(job.samples[order[-1 - turn]], np.random.default_rng([job.training.seed, position, 1]))


@lru_cache(maxsize=4)
def _shuffle(seed: int, begin: int, count: int) -> list[int]:
    """Order of the images in a pass that begins at a position."""
    order: list[int] = np.random.default_rng([seed, begin, 0]).permutation(count).tolist()
    return order


def _seed(seed: int, device: torch.device) -> None:
    """Let torch draw from this seed. `torch.manual_seed` would spend milliseconds on every kind of device that is not in use."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed_all(seed)


def _derive_seed(seed: int, step: int, share: int) -> int:
    """Seed of what torch draws for a micro-batch. It follows from the position alone, so resuming needs no state of a generator."""
    return int(np.random.default_rng([seed, step, 2, share]).integers(2**63))
