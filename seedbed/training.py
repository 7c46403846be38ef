"""The one training loop.

A stage gives it samples and something that learns; it knows neither classes nor losses. Every random choice is drawn from the
seed and the position in the training, so that it does not matter who computes it or when, and a training that was interrupted
goes on from its checkpoint to the same weights.

A batch may be computed in parts, one after another, and by several processes, each with its GPU. What a part contributes is weighed
alike, so for losses that are means over images neither changes more than the last digits - unless the network has batch norm that
learns along, which sees a part at a time, or draws by chance, which each part does for itself.
"""

from __future__ import annotations

import dataclasses
import logging
import math
import os
import sys
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Annotated, Any, Generic, Literal, Protocol, Self, TypeVar

import lightning_fabric
import numpy as np
import torch
from lightning_fabric.strategies.ddp import DDPStrategy
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.multiprocessing.spawn import ProcessException
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from seedbed import fingerprint, interruption
from seedbed.augmentation import Sample
from seedbed.errors import TrainingError
from seedbed.machine import Machine
from seedbed.methods import parameters
from seedbed.progress import Progress
from seedbed.weights import Checkpoints, state_of

FLOAT = 4  # bytes
SAVES_MEMORY = "raise the parts of its training, or lower its batch_size or the size of its views"
FIRST_FACTOR = 1e-3  # a learning rate that rises does not begin at nothing
TOTAL = "loss"  # what the sum of all terms is called in a log
RATE = "learning_rate"
FORGIVEN = 60.0  # seconds of work that an interruption may cost without a warning
HELD = 20  # steps whose figures stay on the device: to ask for each at once would let a GPU wait
AHEAD = 4  # batches that are read before they are needed
LEARNER, AVERAGED, LOG = "learner.", "averaged.", "log."  # what entries of a checkpoint belong to


@parameters
class Training:
    """How long a training lasts, its chance, and how its steps are computed."""

    seed: Annotated[int, Field(ge=0, lt=2**32)]  # of initial weights, order and views
    epochs: Annotated[float, Field(gt=0, le=100_000)]  # passes over the images
    batch_size: Annotated[int, Field(ge=1, le=100_000)]  # images per step, all processes together
    parts: Annotated[int, Field(ge=1, le=100_000)]  # a batch is computed in so many parts, one after another, which saves memory
    precision: Literal["32-true", "bf16-mixed"]  # of sums within the network; weights and losses always have 32 bits
    clip: Annotated[float, Field(ge=0, le=1e6)]  # longest gradient; longer ones are shortened; 0: none is
    clip_each: bool  # whether each parameter's gradient is measured and shortened by itself, not all of them together
    averaging: Annotated[float, Field(ge=0, lt=1)]  # what is kept is a running mean of weights, this share of it old; 0: the last weights

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.batch_size % self.parts:
            raise ValueError(f"a number of parts that divides batch_size, which is {self.batch_size}")
        return self


def _whole(progress: float) -> float:  # noqa: ARG001 (it is a schedule)
    return 1.0


@dataclass(frozen=True)
class Scheduled:
    """An optimiser, and factors of its numbers by the share of the training that is done."""

    optimizer: torch.optim.Optimizer
    rate: Callable[[float], float]  # factor of its learning rates
    decay: Callable[[float], float] = _whole  # factor of its weight decay

    def set(self, progress: float, highest: Sequence[Mapping[str, float]]) -> None:
        """Make ready for a step.

        highest: what the optimiser began with, by group.
        """
        for group, most in zip(self.optimizer.param_groups, highest, strict=True):
            group["lr"] = most["lr"] * self.rate(progress)
            if "weight_decay" in most:
                group["weight_decay"] = most["weight_decay"] * self.decay(progress)


@parameters
class Descent:
    """Stochastic gradient descent with a polynomial schedule."""

    learning_rate: Annotated[float, Field(gt=0, le=1000)]  # of the backbone, at its highest
    new_layer_factor: Annotated[float, Field(gt=0, le=1000)]  # learning rate of layers without initial weights, relative to the backbone's
    momentum: Annotated[float, Field(ge=0, lt=1)]  # share of the last step that is kept
    weight_decay: Annotated[float, Field(ge=0, le=1000)]  # pull of all weights towards zero
    warmup: Annotated[float, Field(ge=0, lt=1)]  # share of the training in which the learning rate rises
    power: Annotated[float, Field(ge=0, le=100)]  # of the polynomial by which the learning rate falls
    falls: Literal["throughout", "after_warmup"]  # whether it falls from the beginning, so also while it rises, or once it has risen

    def scheduled(self, backbone: nn.Module, *new: nn.Module) -> Scheduled:
        """The optimiser of a backbone and of the layers that are new."""
        groups = [
            {"params": _learning(backbone), "lr": self.learning_rate},
            {"params": [one for module in new for one in _learning(module)], "lr": self.learning_rate * self.new_layer_factor},
        ]
        optimizer = torch.optim.SGD(groups, lr=self.learning_rate, momentum=self.momentum, weight_decay=self.weight_decay)
        return Scheduled(optimizer, self.factor)

    def factor(self, progress: float) -> float:
        """Factor of the learning rate, by the share of the training that is done."""
        risen = max(FIRST_FACTOR, progress / self.warmup) if progress < self.warmup else 1.0
        begin = self.warmup if self.falls == "after_warmup" else 0.0
        fallen = max(0.0, progress - begin) / (1 - begin)
        return float(risen * (1 - fallen) ** self.power)


def footprint(network: nn.Module, training: Training, edges: Sequence[int]) -> int:
    """Bytes that a training holds at once, about: the weights, and what a network keeps of a part of a batch for its gradient.

    network: on the device `meta`, which computes nothing; edges: of the square views that are learned from an image.
    """
    weights = sum(one.numel() for one in network.parameters())
    images, size = training.batch_size // training.parts, 2 if training.precision == "bf16-mixed" else FLOAT
    return 3 * FLOAT * weights + sum(_kept(network, edge) for edge in edges) * images * size // FLOAT  # 3: gradient and momentum


def _kept(network: nn.Module, edge: int) -> int:
    """Bytes that a network keeps of one view for its gradient."""
    own = {one.untyped_storage()._cdata for one in (*network.parameters(), *network.buffers())}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        answer = network.train()(torch.empty(2, 3, edge, edge, device="meta"))  # two, for batch norm has no use for one
    del answer  # until here, for what is freed makes room that another tensor would be counted for
    return sum(kept.values()) // 2


class Movable(Protocol):
    """Views side by side, that can be brought to a device."""

    def to(self, device: torch.device) -> Self:
        """The same on a device, ready for a network."""


@dataclass  # not frozen, because Fabric makes another of it where precision is mixed
class Batch:
    """Views of some images, side by side."""

    images_BCYX: Tensor  # RGB in [0, 1]
    labels_BK: Tensor  # 0 or 1; background at index 0
    maps_BYX: Mapping[str, Tensor]  # int64, by name

    @classmethod
    def of(cls, views: Sequence[Sample]) -> Batch:
        """Views as tensors, in the types that they come in: the fewer bytes, the faster they are on a GPU.

        Channels of a pixel stay side by side, as they are in an image and as a GPU wants them.
        """
        return cls(
            images_BCYX=torch.from_numpy(np.stack([view.image for view in views])).permute(0, 3, 1, 2),
            labels_BK=torch.from_numpy(np.stack([view.labels for view in views])),
            maps_BYX={name: torch.from_numpy(np.stack([view.maps[name] for view in views])) for name in views[0].maps},
        )

    def to(self, device: torch.device) -> Batch:
        """The same on a device, in the types that networks and losses take."""
        return Batch(
            images_BCYX=self.images_BCYX.to(device).float() / 255,
            labels_BK=self.labels_BK.to(device).float(),
            maps_BYX={name: one.to(device).long() for name, one in self.maps_BYX.items()},
        )


N = TypeVar("N", bound=nn.Module)
L = TypeVar("L", bound=nn.Module)
S = TypeVar("S")
V = TypeVar("V")
B = TypeVar("B", bound=Movable)


class Learner(nn.Module, ABC, Generic[N, B]):
    """A network with all that it learns by: losses, and whatever else they need - heads, a teacher, a memory.

    What steps change and later steps need is a parameter or a persistent buffer that keeps its shape, or the `state` of an
    optimiser: nothing else survives an interruption. Only `network` is kept in the end.
    """

    network: N

    @abstractmethod
    def forward(self, batch: B, progress: float) -> dict[str, Tensor]:
        """Terms of the loss, which are added up. Called once for every part of a batch.

        progress: share of the training that is done.
        """

    @abstractmethod
    def optimizers(self) -> list[Scheduled]:
        """One or more optimisers, each with its schedule."""

    def stepped(self, progress: float) -> None:
        """Called after every step.

        progress: share of the training that was done before it.
        """

    def watched(self) -> dict[str, Tensor]:
        """Numbers about the last part of a batch that are worth a line in the log, always the same."""
        return {}


@dataclass(frozen=True)
class Trained(Generic[N]):
    """What a training leaves."""

    network: N
    log: Mapping[str, Sequence[float]]  # figures of every step by name; `loss` is the first

    @property
    def losses(self) -> Sequence[float]:
        """Of every step."""
        return self.log[TOTAL]


def columns(trained: Trained[N] | None) -> dict[str, Any]:
    """What of a training goes into an artifact; of none, that there was none."""
    if trained is None:
        return {"log": np.zeros((0, 0)), "figures": [], "weights": ()}
    return {"log": np.stack(list(trained.log.values()), axis=1), "figures": list(trained.log), "weights": state_of(trained.network)}


@dataclass(frozen=True)
class Way(Generic[S, V, B]):
    """How samples become batches, and how long that goes on."""

    training: Training
    view: Callable[[S, np.random.Generator], V]  # what is learned from a sample this time
    gather: Callable[[Sequence[V]], B]  # puts views side by side


@dataclass(frozen=True)
class _Job(Generic[N, B, S, V]):
    """A whole training."""

    build: Callable[[], Learner[N, B]]
    samples: Sequence[S]
    way: Way[S, V, B]
    readers: int
    name: str
    checkpoints: Checkpoints

    @property
    def training(self) -> Training:
        return self.way.training

    @property
    def steps(self) -> int:
        return max(1, round(self.training.epochs * len(self.samples) / self.training.batch_size))


def fit(
    build: Callable[[], Learner[N, B]],
    samples: Sequence[S],
    way: Way[S, V, B],
    *,
    machine: Machine,
    name: str,
    checkpoints: Checkpoints,
) -> Trained[N]:
    """Train, from the beginning or from where this training was interrupted.

    build: makes the learner, once the random state is set.
    samples: read one at a time, as often as needed.
    checkpoints: of this training and no other; to be removed once its result is safe.
    """
    job = _Job(build, samples, way, machine.readers, name, checkpoints)
    shares = way.training.batch_size // way.training.parts
    devices = max(count for count in range(1, machine.devices + 1) if shares % count == 0)  # of which each has as much to do
    # Weights may get no gradient, such as those of timm's heads that are left out; without this, processes would wait for it and fail.
    strategy: Any = DDPStrategy(start_method="spawn", find_unused_parameters=True) if devices > 1 else "auto"
    fabric = lightning_fabric.Fabric(accelerator=machine.device, devices=devices, strategy=strategy, precision=way.training.precision)
    if devices == 1:
        return _trained(fabric, job)
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # else every process warns of that where all weights get one
    logging.getLogger("torch.multiprocessing.spawn").setLevel(logging.ERROR)  # it says which processes it ends
    try:
        interruption.supervised(partial(fabric.launch, partial(_share, job=job, sources=fingerprint.at_first())))
    except ProcessException as error:
        *_, last = str(error).strip().splitlines()
        raise TrainingError(
            name, found=f"a process that failed: {last}", expected="all to finish", do="see above, or use one device"
        ) from error
    # The processes are gone with what they had; the last checkpoint is the end of the training.
    return _trained(lightning_fabric.Fabric(accelerator="cpu", devices=1), job)


def _share(fabric: lightning_fabric.Fabric, *, job: _Job[N, B, S, V], sources: str) -> None:
    """One of several processes that train together.

    sources: of ours that the process which started it found.
    """
    interruption.follow_parent()
    fingerprint.check_sources(sources)
    _trained(fabric, job)


def _trained(fabric: lightning_fabric.Fabric, job: _Job[N, B, S, V]) -> Trained[N]:
    """Train, or do this process's share of it."""
    training, steps = job.training, job.steps
    torch.manual_seed(training.seed)
    learner = arranged(job.build(), fabric.device)
    learner.train()
    scheduled = learner.optimizers()
    module, *optimizers = fabric.setup(learner, *(one.optimizer for one in scheduled))
    highest = [[dict(group) for group in one.optimizer.param_groups] for one in scheduled]
    state = _State(learner, _averaged(learner.network, training.averaging), [one.optimizer for one in scheduled])
    # The training that a checkpoint must be a part of.
    whole = {**dataclasses.asdict(training), "steps": steps, "images": len(job.samples), "optimizers": len(optimizers)}
    log = state.resumed(job.checkpoints, whole=whole, name=job.name)
    start, first, alone = len(log), fabric.global_rank == 0, fabric.world_size == 1
    told = not first  # whether checkpoints are rare
    with Progress(job.name, total=steps, unit="steps", done=start, quiet=not first) as progress:
        for step, parts in enumerate(_batches(job, range(start, steps), rank=fabric.global_rank, ranks=fabric.world_size), start):
            for one, most in zip(scheduled, highest, strict=True):
                one.set(step / steps, most)
                one.optimizer.zero_grad(set_to_none=True)
            figures = []
            try:
                for part, batch in enumerate(parts):
                    last = part + 1 == len(parts)
                    torch.manual_seed(_drawn(training.seed, step, fabric.global_rank * len(parts) + part))
                    with fabric.no_backward_sync(module, enabled=not last and not alone):
                        terms: dict[str, Tensor] = module(batch.to(fabric.device), step / steps)
                        total = torch.stack(list(terms.values())).sum()
                        fabric.backward(total / len(parts))
                    figures.append({TOTAL: total, **terms, **learner.watched()})
                if training.clip:
                    _shorten(_learning(learner), training)
                for optimizer in optimizers:
                    optimizer.step()
            except torch.OutOfMemoryError as error:
                # A smaller batch would fit, but is another training: that is for params.yaml to say.
                raise TrainingError(
                    f"{job.name}, step {step}",
                    found="a GPU without enough memory for a batch",
                    expected=f"room for {training.batch_size} images of a view's size",
                    do="raise its parts or lower its batch_size or crop in params.yaml, or use a larger GPU",
                ) from error
            learner.stepped(step / steps)
            if state.averaged is not None:
                state.averaged.update_parameters(learner.network)
            log.hold(figures, rate=scheduled[0].optimizer.param_groups[0]["lr"], fabric=fabric)
            due = first and job.checkpoints.due() and step + 1 < steps
            if due or log.full or step + 1 == steps:
                log.settle(job.name)
            progress.advance(note=log.recent())
            if not told and (left := progress.left()) is not None:
                told = True
                _warn_of_rare_checkpoints(job, left)
            if due or (step + 1 == steps and first and not alone):
                state.save(job.checkpoints, whole=whole, log=log)
    network: Any = learner.network if state.averaged is None else state.averaged.module
    return Trained(network=network.eval().cpu(), log=log.figures)


def _warn_of_rare_checkpoints(job: _Job[N, B, S, V], left: float) -> None:
    """Say so where the rest of a training will be over before the next checkpoint, though it takes long.

    left: seconds that it will take.
    """
    if left > FORGIVEN and not job.checkpoints.due_within(left):
        print(
            f"{job.name}: some {left:.0f} s are left, and a checkpoint is kept every {job.checkpoints.seconds:.0f} s, so an interruption "
            f"would cost whatever it has done by then: set SEEDBED_CHECKPOINT_SECONDS, or --checkpoint-seconds, to {FORGIVEN:.0f}",
            file=sys.stderr,
            flush=True,
        )


def arranged(learner: L, device: torch.device) -> L:
    """A learner whose convolutions lie in memory as its device wants them: on a GPU by channels last, as images do.

    In place. Changes no more than last digits, so it is no parameter.
    """
    if device.type == "cuda":
        module: Any = learner  # torch declares no module that is brought into another format
        module.to(memory_format=torch.channels_last)
    return learner


def _averaged(network: nn.Module, share: float) -> AveragedModel | None:
    """A running mean of a network's weights and buffers, if one is wanted."""
    return AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(share), use_buffers=True) if share else None


def _learning(module: nn.Module) -> list[nn.Parameter]:
    return [one for one in module.parameters() if one.requires_grad]


def _shorten(learned: Sequence[nn.Parameter], training: Training) -> None:
    """Make gradients no longer than `clip`. In place."""
    for together in [[one] for one in learned] if training.clip_each else [learned]:
        nn.utils.clip_grad_norm_(together, training.clip)


class _Log:
    """Figures of every step. The last ones stay where they were computed until they are settled."""

    def __init__(self, figures: Mapping[str, list[float]]) -> None:
        self.figures = dict(figures)
        self._held: list[Tensor] = []
        self._rates: list[float] = []

    def __len__(self) -> int:
        """Steps that are settled."""
        return len(self.figures.get(TOTAL, ()))

    @property
    def full(self) -> bool:
        """Whether it is time to settle."""
        return len(self._held) >= HELD

    def hold(self, figures: Sequence[Mapping[str, Tensor]], *, rate: float, fabric: lightning_fabric.Fabric) -> None:
        """Keep the figures of a step's parts, as means over all parts and processes."""
        for name in (*figures[0], RATE):
            self.figures.setdefault(name, [])
        parts = torch.stack([torch.stack([value.detach().float() for value in one.values()]) for one in figures])
        mean: Any = fabric.all_reduce(parts.mean(dim=0), reduce_op="mean")
        self._held.append(mean)
        self._rates.append(rate)

    def settle(self, name: str) -> None:
        """Have the figures as numbers, and refuse to go on where the loss is none."""
        steps = torch.stack(self._held).tolist()
        for values, rate in zip(steps, self._rates, strict=True):
            for series, value in zip(self.figures.values(), (*values, rate), strict=True):
                series.append(value)
            if not math.isfinite(values[0]):
                raise TrainingError(
                    f"{name}, step {len(self) - 1}",
                    found=f"a loss of {values[0]}",
                    expected="a finite number",
                    do="lower its learning_rate in params.yaml",
                )
        self._held, self._rates = [], []

    def recent(self) -> str:
        """What is known of the last steps, for people."""
        return f"loss {np.mean(self.figures[TOTAL][-HELD:]):.3f}" if self.figures.get(TOTAL) else ""


def _batches(job: _Job[N, B, S, V], steps: range, *, rank: int, ranks: int) -> Iterator[list[B]]:
    """The parts of every batch that are this process's.

    steps: those whose batches are wanted; nothing is read for the ones before.
    """
    parts = job.training.parts
    size = job.training.batch_size // (parts * ranks)
    threads = ThreadPoolExecutor(job.readers)

    def read(step: int) -> list[B]:
        begins = [step * job.training.batch_size + (rank * parts + part) * size for part in range(parts)]
        return [job.way.gather([_view(job, position) for position in range(begin, begin + size)]) for begin in begins]

    try:
        waiting: deque[Future[list[B]]] = deque()
        for step in steps:
            while len(waiting) < AHEAD and step + len(waiting) < steps.stop:
                waiting.append(threads.submit(read, step + len(waiting)))
            yield waiting.popleft().result()
    finally:
        threads.shutdown(cancel_futures=True)


def _view(job: _Job[N, B, S, V], position: int) -> V:
    """The view at a position of an endless sequence of shuffled passes, cut into batches so that none is ever smaller."""
    turn = position % len(job.samples)
    order = _order(job.training.seed, position - turn, len(job.samples))
    return job.way.view(job.samples[order[-1 - turn]], np.random.default_rng([job.training.seed, position, 1]))


@lru_cache(maxsize=4)
def _order(seed: int, begin: int, count: int) -> list[int]:
    """Images in the order of a pass."""
    order: list[int] = np.random.default_rng([seed, begin, 0]).permutation(count).tolist()
    return order


def _drawn(seed: int, step: int, share: int) -> int:
    """Seed of whatever torch draws for a part of a batch: known from its place alone, so that resuming needs no generator's state."""
    return int(np.random.default_rng([seed, step, 2, share]).integers(2**63))


@dataclass(frozen=True)
class _State:
    """Everything that later steps need. Learning rates are not among it: every step sets its own."""

    learner: nn.Module
    averaged: AveragedModel | None
    optimizers: Sequence[torch.optim.Optimizer]

    def save(self, checkpoints: Checkpoints, *, whole: Mapping[str, Any], log: _Log) -> None:
        """Keep it."""
        values: dict[str, Any] = {f"{LEARNER}{name}": value for name, value in self.learner.state_dict().items()}
        if self.averaged is not None:
            values |= {f"{AVERAGED}{name}": value for name, value in self.averaged.state_dict().items()}
        for number, optimizer in enumerate(self.optimizers):
            for parameter, state in optimizer.state_dict()["state"].items():
                values |= {f"optimizer.{number}.{parameter}.{name}": value for name, value in state.items()}
        tensors = {name: value for name, value in values.items() if isinstance(value, Tensor)}
        tensors |= {f"{LOG}{name}": torch.tensor(series, dtype=torch.float64) for name, series in log.figures.items()}
        others = {name: value for name, value in values.items() if name not in tensors}
        checkpoints.save(tensors, {"whole": whole, "others": others, "log": list(log.figures)})

    def resumed(self, checkpoints: Checkpoints, *, whole: Mapping[str, Any], name: str) -> _Log:
        """Figures of the steps that need not be done again, after which everything is as it was."""
        found = checkpoints.load()
        if found is None:
            return _Log({})
        tensors, rest = found
        learner, averaged = _below(tensors, LEARNER), _below(tensors, AVERAGED)
        now = {} if self.averaged is None else self.averaged.state_dict()
        if rest["whole"] != whole or _shapes(learner) != _shapes(self.learner.state_dict()) or _shapes(averaged) != _shapes(now):
            print(f"{name}: the checkpoint is of another training, starting anew", file=sys.stderr, flush=True)
            return _Log({})
        self.learner.load_state_dict(learner)
        if self.averaged is not None:
            self.averaged.load_state_dict(averaged)
        states: list[dict[int, dict[str, Any]]] = [{} for _ in self.optimizers]
        for key, value in (tensors | rest["others"]).items():
            if key.startswith("optimizer."):
                _, number, parameter, entry = key.split(".", 3)
                states[int(number)].setdefault(int(parameter), {})[entry] = value
        for optimizer, state in zip(self.optimizers, states, strict=True):
            optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
        return _Log({one: tensors[f"{LOG}{one}"].tolist() for one in rest["log"]})


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _shapes(state: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in state.items()}
