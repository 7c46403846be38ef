"""Self-distillation without labels: a student says of small parts of an image what its teacher says of large ones.

The teacher is the running mean of the student. Its answers are centred and sharpened, or both would soon give one answer to everything.
Patches of what belongs together come to look alike to such a network, though nobody told it what there is. What is kept is the teacher.

Paper: Caron et al., "Emerging Properties in Self-Supervised Vision Transformers", ICCV 2021.

Differs from the paper: sizes of crops, of the network and of its head are parameters, because images here may be small and few; crops are
blurred and solarised with the paper's probabilities, and turned grey. While prototypes are fixed, their gradients enter the optimiser's
running means; the paper's code drops them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Self, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from seedbed import pretraining
from seedbed.learning.augmentation import Colours, Share
from seedbed.learning.contract import TrainableMethod
from seedbed.learning.footprint import FLOAT, estimate_memory
from seedbed.learning.learner import Learner
from seedbed.learning.optimisers import Scheduled
from seedbed.learning.running_mean import follow, start_mean
from seedbed.learning.training import Sampling, Training
from seedbed.methods import method, parameters
from seedbed.networks.backbones import check_source
from seedbed.networks.contracts import Inherited
from seedbed.networks.transformer import Tokens
from seedbed.networks.weights import InitialWeights
from seedbed.types import Image

Positive = Annotated[float, Field(gt=0, le=1000)]
Decay = Annotated[float, Field(ge=0, le=1000)]
View: TypeAlias = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]  # large and small crops of one image: (crop, y, x, rgb)
SHAPES = (3 / 4, 4 / 3)  # least and largest ratio of width to height
BLUR = (0.1, 2.0)  # standard deviation of the Gaussian blur, in pixels
SOLARISED = 128  # values from here on are inverted


@parameters
class Crops:
    """Rectangles of random size and place that are cut from an image and resized to squares."""

    count: Annotated[int, Field(ge=0, le=100)]  # per image
    edge: Annotated[int, Field(ge=8, le=20_000)]  # in pixels, after resizing
    smallest: Annotated[float, Field(gt=0, le=1)]  # share of the image's area
    largest: Annotated[float, Field(gt=0, le=1)]  # see smallest

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.smallest > self.largest:
            raise ValueError(f"no more than largest, which is {self.largest}")
        return self

    def cut(self, image: Image, random: np.random.Generator) -> Image:
        """One random crop of an image."""
        height, width = image.shape[:2]
        area = random.uniform(self.smallest, self.largest) * height * width
        shape = math.exp(random.uniform(*np.log(SHAPES)))
        rows = min(height, max(1, round(math.sqrt(area / shape))))
        columns = min(width, max(1, round(math.sqrt(area * shape))))
        top, left = int(random.integers(height - rows + 1)), int(random.integers(width - columns + 1))
        cut = image[top : top + rows, left : left + columns]
        return np.asarray(cv2.resize(cut, (self.edge, self.edge), interpolation=cv2.INTER_CUBIC), np.uint8)


@dataclass  # not frozen, because Fabric sets the fields of a copy where precision is mixed
class Views:
    """Crops of some images; `V` numbers the crops of an image."""

    large_VBCYX: Tensor
    small_VBCYX: Tensor

    @classmethod
    def of(cls, views: Sequence[View]) -> Views:
        """A batch of views."""
        large, small = (torch.from_numpy(np.stack(crops, axis=1)).permute(0, 1, 4, 2, 3) for crops in zip(*views, strict=True))
        return cls(large, small)

    def to(self, device: torch.device) -> Views:
        """The same batch on a device, with colours in [0, 1]."""
        return Views(self.large_VBCYX.to(device).float() / 255, self.small_VBCYX.to(device).float() / 255)


@method
class Dino(pretraining.Method, TrainableMethod[Image]):
    architecture: str  # a transformer of timm
    patch_size: Annotated[int, Field(ge=1, le=256)]  # edge of a patch, in pixels; the architecture's own, or another
    initial_weights: InitialWeights
    large: Crops  # seen by teacher and student
    small: Crops  # seen by the student
    flip: Share  # probability of a left-right flip
    colours: Colours
    colours_share: Share  # probability that the colours are jittered
    grey: Share  # probability that a crop is turned grey
    blur: tuple[Share, Share, Share]  # probability of a blur: the first large crop, other large crops, small crops
    solarised: Share  # probability that bright values of a large crop are inverted, except in the first
    drop_path: Annotated[float, Field(ge=0, lt=1)]  # probability that a crop skips a branch of the student's last block; less before it
    prototypes: Annotated[int, Field(ge=2, le=10_000_000)]  # length of an answer
    hidden: Annotated[int, Field(ge=1, le=100_000)]  # width of the layers before it
    bottleneck: Annotated[int, Field(ge=1, le=100_000)]  # width of the last of them
    student_temperature: Positive  # lower makes answers sharper
    teacher_temperature: Positive  # the same of the teacher, after its warm-up
    first_teacher_temperature: Positive  # the same at the beginning
    teacher_warmup: Share  # share of the training in which the teacher's temperature rises
    teacher_momentum: Annotated[float, Field(ge=0, lt=1)]  # share of the teacher that a step keeps, at first; rises to 1 by a cosine
    centre_momentum: Annotated[float, Field(ge=0, lt=1)]  # share of the centre of answers that a step keeps
    fixed_prototypes: Share  # share of the training in which the last layer stays as it was initialised
    training: Training
    learning_rate: Positive  # at the peak
    last_learning_rate: Annotated[float, Field(ge=0, le=1000)]  # at the end; the decay is a cosine
    warmup: Share  # share of the training in which it rises
    weight_decay: Decay  # at first
    last_weight_decay: Decay  # at the end; the decay is a cosine

    def check(self) -> None:
        with torch.device("meta"):
            tokens = Tokens(self.architecture, patch_size=self.patch_size)
        check_source(tokens.trunk, self.initial_weights, "pretraining")

    def memory(self, extents: Mapping[str, int]) -> int:
        with torch.device("meta"):
            tokens = Tokens(self.architecture, patch_size=self.patch_size)
        views = [self.large.edge] * self.large.count + [self.small.edge] * self.small.count
        last = self.prototypes * self.bottleneck + self.bottleneck * self.hidden + self.hidden**2
        return 5 * FLOAT * last + estimate_memory(tokens, self.training, views)  # 5: two moments, and a teacher

    @property
    def sampling(self) -> Sampling[Image, View, Views]:
        return Sampling(self.training, self.view, Views.of)

    def learner(self, num_classes: int, *, given: Inherited) -> Learner[nn.Module, Views]:
        return DinoLearner(self)

    def view(self, image: Image, random: np.random.Generator) -> View:
        """Large and small crops of an image."""
        blurs = [self.blur[0], *[self.blur[1]] * (self.large.count - 1)]
        large = [self._distort(self.large.cut(image, random), random, blur, number > 0) for number, blur in enumerate(blurs)]
        small = [self._distort(self.small.cut(image, random), random, self.blur[2], False) for _ in range(self.small.count)]
        return np.stack(large), np.stack(small) if small else np.zeros((0, self.small.edge, self.small.edge, 3), np.uint8)

    def _distort(self, crop: Image, random: np.random.Generator, blur: float, may_be_solarised: bool) -> Image:
        if random.random() < self.flip:
            crop = crop[:, ::-1]
        if random.random() < self.colours_share:
            crop = self.colours.jitter(crop, random)
        if random.random() < self.grey:
            crop = np.repeat(cv2.cvtColor(np.ascontiguousarray(crop), cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
        if random.random() < blur:
            crop = np.asarray(cv2.GaussianBlur(crop, (0, 0), sigmaX=random.uniform(*BLUR)), np.uint8)
        if may_be_solarised and random.random() < self.solarised:
            crop = np.where(crop < SOLARISED, crop, 255 - crop)
        return np.ascontiguousarray(crop)


class Branch(nn.Module):
    """A transformer and its head. Student and teacher are a branch each."""

    def __init__(self, method: Dino) -> None:
        super().__init__()
        tokens = Tokens(method.architecture, patch_size=method.patch_size, drop_path=method.drop_path)
        self.tokens = tokens.initialise(method.initial_weights)
        width = self.tokens.width
        self.head = nn.Sequential(
            *(nn.Linear(width, method.hidden), nn.GELU(), nn.Linear(method.hidden, method.hidden), nn.GELU()),
            nn.Linear(method.hidden, method.bottleneck),
        )
        for layer in self.head:
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)
        self.prototypes = nn.Linear(method.bottleneck, method.prototypes, bias=False)
        nn.init.trunc_normal_(self.prototypes.weight, std=0.02)

    def forward(self, crops_VBCYX: Tensor) -> Tensor:
        """Answers (V, B, prototype): cosines with the prototypes."""
        features_ND = self.tokens.summarise(crops_VBCYX.flatten(0, 1))
        answers = functional.linear(
            functional.normalize(self.head(features_ND), dim=-1), functional.normalize(self.prototypes.weight, dim=-1)
        )
        unflattened: Tensor = answers.unflatten(0, crops_VBCYX.shape[:2])
        return unflattened


class DinoLearner(Learner[nn.Module, Views]):
    """Student and teacher. The teacher's transformer is kept."""

    centre: Tensor
    answers: Tensor

    def __init__(self, method: Dino) -> None:
        super().__init__()
        self.method = method
        self.student = Branch(method)
        self.teacher = start_mean(self.student)
        self.register_buffer("centre", torch.zeros(method.prototypes))
        self.register_buffer("answers", torch.zeros(method.prototypes), persistent=False)  # of the teacher, mean over a step

    @property
    def network(self) -> nn.Module:  # type: ignore[override]
        trunk: nn.Module = self.teacher.tokens.trunk
        return trunk

    def train(self, mode: bool = True) -> Self:
        """Switch to training, except the teacher, which drops no branches."""
        super().train(mode)
        self.teacher.eval()
        return self

    def forward(self, batch: Views, progress: float) -> dict[str, Tensor]:
        method = self.method
        with torch.no_grad():
            answers = self.teacher(batch.large_VBCYX).float()
            targets = ((answers - self.centre) / self._teacher_temperature(progress)).softmax(dim=-1)
            self.answers += answers.mean(dim=(0, 1))
        answers_of_student = [self.student(batch.large_VBCYX)]
        if method.small.count:
            answers_of_student.append(self.student(batch.small_VBCYX))
        logs = torch.cat([(each.float() / method.student_temperature).log_softmax(dim=-1) for each in answers_of_student])
        pairs = [
            -(target * log).sum(dim=-1).mean()
            for number, target in enumerate(targets)
            for other, log in enumerate(logs)
            if number != other  # a crop does not learn from itself
        ]
        return {"distillation": torch.stack(pairs).mean()}

    def after_step(self, progress: float) -> None:
        """Move the teacher towards the student, and the centre towards the teacher's answers."""
        method = self.method
        keep = 1 - (1 - method.teacher_momentum) * _cosine(progress)
        follow(self.teacher, self.student, keep=keep)
        with torch.no_grad():
            if torch.distributed.is_initialized():
                torch.distributed.all_reduce(self.answers)
                self.answers /= torch.distributed.get_world_size()
            self.centre.lerp_(self.answers / method.training.micro_batches, 1 - method.centre_momentum)
            self.answers.zero_()

    def optimizers(self) -> list[Scheduled]:
        method = self.method
        inner = [weight for module in (self.student.tokens, self.student.head) for weight in module.parameters()]
        groups: list[dict[str, Any]] = [
            {"params": [weight for weight in inner if weight.ndim > 1]},
            {"params": [weight for weight in inner if weight.ndim <= 1], "weight_decay": 0.0},  # biases and norms
        ]
        last = [{"params": list(self.student.prototypes.parameters())}]
        return [
            Scheduled(torch.optim.AdamW(groups, lr=method.learning_rate, weight_decay=method.weight_decay), self._rate, self._decay),
            Scheduled(torch.optim.AdamW(last, lr=method.learning_rate, weight_decay=method.weight_decay), self._last_rate, self._decay),
        ]

    def _teacher_temperature(self, progress: float) -> float:
        first, then = self.method.first_teacher_temperature, self.method.teacher_temperature
        return first + (then - first) * min(1.0, progress / self.method.teacher_warmup if self.method.teacher_warmup else 1.0)

    def _rate(self, progress: float) -> float:
        method = self.method
        if progress < method.warmup:
            return progress / method.warmup
        end = method.last_learning_rate / method.learning_rate
        return end + (1 - end) * _cosine((progress - method.warmup) / (1 - method.warmup))

    def _last_rate(self, progress: float) -> float:
        return 0.0 if progress < self.method.fixed_prototypes else self._rate(progress)

    def _decay(self, progress: float) -> float:
        if not self.method.weight_decay:
            return 1.0
        end = self.method.last_weight_decay / self.method.weight_decay
        return end + (1 - end) * _cosine(progress)


def _cosine(progress: float) -> float:
    """From 1 to 0 along half a cosine."""
    return 0.5 * (1 + math.cos(math.pi * progress))
