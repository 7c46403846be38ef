"""A network learns to answer clicks from regions of merge trees, which stand for what somebody may want to select, at every size.

In every pass one region of each image is drawn from the whole downwards. It is clicked on at random; up to a few times the network
answers, and one more click is made where its answer is most wrong. Then it learns to answer all clicks with the region, and to change
nothing between pixels that are near each other and of like colours, because regions of patches have steps for borders.

Paper: Li et al., "Multi-granularity Interaction Simulation for Unsupervised Interactive Segmentation" (MIS), ICCV 2023. The network,
and how it is clicked on: Liu et al., "SimpleClick: Interactive Image Segmentation with Simple Vision Transformers", ICCV 2023.

Differs from the paper: regions lie on pixels as their patches do. Smoothness is that of the paper, not of its code (see
`learning/smoothness.py`). Brightness and contrast of a view change in every view, and by as much to either side; the code leaves a
quarter of the views as they are, and adds more contrast than it takes away. How deep a pixel lies in what is wrong is exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Self

import cv2
import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn import functional

from seedbed import clicker
from seedbed.algorithms.clicks import Mask
from seedbed.algorithms.proposals import draw_large
from seedbed.learning.augmentation import Augmentation, Colours, Sample, Share
from seedbed.learning.footprint import estimate_memory
from seedbed.learning.learner import Learner
from seedbed.learning.optimisers import SQUARES_KEPT, Scheduled, learned_parameters
from seedbed.learning.simulated_clicks import Places, Simulation
from seedbed.learning.smoothness import Smoothness
from seedbed.learning.training import Sampling, Training
from seedbed.learning.tree_samples import TreeSample
from seedbed.methods import method, parameters
from seedbed.networks.backbones import check_source
from seedbed.networks.click_network import ClickNetwork
from seedbed.networks.contracts import Inherited
from seedbed.networks.transformer import Tokens
from seedbed.networks.weights import InitialWeights
from seedbed.types import Image

WANTED = "wanted"  # the map of a view that shows what is wanted
BLUR = (1.0, 2.0)  # standard deviation of the Gaussian blur, in pixels
BLURRED = (3, 3)  # its extent
Width = Annotated[int, Field(ge=1, le=100_000)]


@parameters
class Proposals:
    """Which regions stand for what somebody wants to select."""

    decay: Share  # paper: 0.9; by what the probability of going further down is multiplied with every step
    least: Share  # paper: 0.05; share of the patches of which a region has more
    tries: Annotated[int, Field(ge=1, le=100_000)]  # code: 100; regions that are drawn until one is so large; else the last is taken
    smallest: Annotated[int, Field(ge=0, le=1_000_000)]  # code: 80; pixels; of a view that shows less of its region, nothing is wanted
    empty: Share  # code: 0.01; probability that a view without any of its region is learned from, instead of another one


@parameters
class Distortion:
    """What is done to an image before a view of it is taken."""

    turned: Share  # code: 0.5; probability that it is turned by any number of quarters
    tilted: Share  # code: 0.75; probability that it is tilted and moved
    tilt: Annotated[float, Field(ge=0, le=180)]  # code: 3; how far at most, in degrees
    shift: Share  # code: 0.03; how far at most, as a share of each side
    tinted: Share  # code: 0.75; probability that red, green and blue are changed
    tint: Annotated[int, Field(ge=0, le=255)]  # code: 10; how far at most, each by itself

    def distort(self, image: Image, mask: Mask, random: np.random.Generator) -> tuple[Image, Mask]:
        """An image and a mask, turned and moved alike; what lies beyond the border is black."""
        if random.random() < self.turned:
            quarters = int(random.integers(4))
            image, mask = np.rot90(image, quarters), np.rot90(mask, quarters)
        if random.random() < self.tilted:
            image, mask = self._tilt(np.ascontiguousarray(image), np.ascontiguousarray(mask), random)
        if random.random() < self.tinted:
            change = random.integers(-self.tint, self.tint + 1, 3)
            image = np.clip(image.astype(np.int32) + change, 0, 255).astype(np.uint8)
        return np.ascontiguousarray(image), np.ascontiguousarray(mask)

    def _tilt(self, image: Image, mask: Mask, random: np.random.Generator) -> tuple[Image, Mask]:
        height, width = mask.shape
        about = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), random.uniform(-self.tilt, self.tilt), 1)
        about[:, 2] += random.uniform(-self.shift, self.shift, 2) * np.array([width, height])
        tilted = cv2.warpAffine(image, about, (width, height), flags=cv2.INTER_LINEAR)
        moved = cv2.warpAffine(mask.astype(np.uint8), about, (width, height), flags=cv2.INTER_NEAREST)
        return np.asarray(tilted, np.uint8), moved.astype(np.bool_)


@dataclass(frozen=True)
class View:
    """A view of an image, and clicks on what is wanted of it."""

    image: Image
    seen: Image  # the same in other colours
    wanted: Mask
    clicks: Places


@dataclass  # not frozen, because Fabric sets the fields of a copy where precision is mixed
class Views:
    """Views of some images. Nothing is a float, so that no lower precision rounds it."""

    images_BCYX: Tensor
    seen_BCYX: Tensor
    wanted_B1YX: Tensor
    clicks: Sequence[Places]

    @classmethod
    def of(cls, views: Sequence[View]) -> Views:
        """A batch of views."""
        images_BCYX, seen_BCYX = (
            torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2)
            for pixels in ([view.image for view in views], [view.seen for view in views])
        )
        wanted_B1YX = torch.from_numpy(np.stack([view.wanted for view in views]))[:, None]
        return cls(images_BCYX, seen_BCYX, wanted_B1YX, [view.clicks for view in views])

    def to(self, device: torch.device) -> Views:
        """The same batch on a device; clicks stay where they are."""
        return Views(self.images_BCYX.to(device), self.seen_BCYX.to(device), self.wanted_B1YX.to(device), self.clicks)


@method
class Mis(clicker.Method):
    architecture: str  # paper: ViT-B/16 of MAE; a plain transformer of timm
    patch_size: Annotated[int, Field(ge=1, le=256)]  # edge of a patch, in pixels; the architecture's own, or another
    initial_weights: InitialWeights
    window: Annotated[int, Field(ge=0, le=20_000)]  # code: 224; edge of the windows that most blocks see, in pixels; 0: they see all
    whole_every: Annotated[int, Field(ge=1, le=1000)]  # code: 6; every so manieth block sees all
    widths: tuple[Width, Width, Width, Width]  # code: 128, 256, 512, 1024; channels of four maps, the finest first
    width: Width  # code: 256; channels in which they are joined
    dropout: Annotated[float, Field(ge=0, lt=1)]  # code: 0.1; share of these that are left out at random
    radius: Annotated[int, Field(ge=0, le=1000)]  # code: 5; of a click, in pixels
    proposals: Proposals
    simulation: Simulation
    distortion: Distortion
    augmentation: Augmentation
    colours: Colours  # of what is learned from, beside those of the view
    colours_share: Share  # code: 0.3; probability that these are jittered
    grey: Share  # code: 0.2; probability that the view turns grey
    blur: Share  # code: 0.2; probability of a blur
    smoothness: Smoothness
    training: Training
    learning_rate: Annotated[float, Field(gt=0, le=1000)]  # code: 5e-5; of the transformer
    new_layer_factor: Annotated[float, Field(gt=0, le=1000)]  # code: 1; learning rate of all else, relative to the transformer's
    drops: tuple[Share, ...]  # code: 50/55; shares of the training after which the learning rate falls
    drop: Annotated[float, Field(ge=0, le=1)]  # code: 0.1; to what share of what it was

    def check(self) -> None:
        with torch.device("meta"):
            check_source(Tokens(self.architecture, patch_size=self.patch_size).trunk, self.initial_weights)

    @model_validator(mode="after")
    def _check_patches(self) -> Self:
        if self.augmentation.crop % self.patch_size or self.augmentation.crop < 2 * self.patch_size:
            raise ValueError(f"an augmentation.crop of two or more whole patches, of which patch_size is {self.patch_size}")
        if self.window % self.patch_size:
            raise ValueError(f"a window of whole patches, of which patch_size is {self.patch_size}, or 0")
        return self

    def memory(self, extents: Mapping[str, int]) -> int:
        with torch.device("meta"):
            network = self.network()
        return estimate_memory(network, self.training, [self.augmentation.crop], moments=2)

    def network(self) -> ClickNetwork:
        return self._build(Tokens(self.architecture, patch_size=self.patch_size))

    def _build(self, tokens: Tokens) -> ClickNetwork:
        return ClickNetwork(
            tokens,
            radius=self.radius,
            window=self.window,
            whole_every=self.whole_every,
            widths=self.widths,
            width=self.width,
            dropout=self.dropout,
        )

    @property
    def sampling(self) -> Sampling[TreeSample, View, Views]:
        return Sampling(self.training, self.view, Views.of)

    def view(self, sample: TreeSample, random: np.random.Generator) -> View:
        """A view of an image, of which a region is wanted."""
        proposals, tree = self.proposals, sample.regions
        region = draw_large(tree.tree, random, decay=proposals.decay, least=proposals.least, tries=proposals.tries)
        return self.show(sample.image, tree.mask([region]), random)

    def show(self, image: Image, mask: Mask, random: np.random.Generator) -> View:
        """A view of an image, of which is wanted what a mask has."""
        while True:
            distorted, moved = self.distortion.distort(image, mask, random)
            maps = {WANTED: moved.astype(np.uint8)}
            view = self.augmentation.view(Sample(distorted, np.zeros(0, np.bool_), maps, {WANTED: 0}), random)
            wanted = view.maps[WANTED] > 0
            if wanted.any() or random.random() < self.proposals.empty:
                break
        wanted &= wanted.sum() >= self.proposals.smallest
        return View(view.image, self._recolour(view.image, random), wanted, self.simulation.begin(wanted, random))

    def _recolour(self, image: Image, random: np.random.Generator) -> Image:
        if random.random() < self.colours_share:
            image = self.colours.jitter(image, random)
        if random.random() < self.grey:
            image = np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
        if random.random() < self.blur:
            image = np.asarray(cv2.GaussianBlur(image, BLURRED, sigmaX=random.uniform(*BLUR)), np.uint8)
        return image

    def learner(self, num_classes: int, *, given: Inherited) -> Learner[ClickNetwork, Views]:
        tokens = Tokens(self.architecture, patch_size=self.patch_size).initialise(self.initial_weights)
        return MisLearner(self._build(tokens), self)


class MisLearner(Learner[ClickNetwork, Views]):
    """Clicks where answers are wrong, and the loss of the last answer."""

    def __init__(self, network: ClickNetwork, method: Mis) -> None:
        super().__init__()
        self.network = network
        self.method = method
        self._figures: dict[str, Tensor] = {}

    def forward(self, batch: Views, progress: float) -> dict[str, Tensor]:
        images_BCYX, seen_BCYX = (one.float() / 255 for one in (batch.images_BCYX, batch.seen_BCYX))
        answers_B1YX, clicks = self._ask(images_BCYX, batch)
        logits_B1YX = self.network(seen_BCYX, answers_B1YX, self._place(clicks)).float()
        selected_B1YX = logits_B1YX > 0
        shared, either = ((selected_B1YX & batch.wanted_B1YX).sum(), (selected_B1YX | batch.wanted_B1YX).sum())
        self._figures = {"iou": shared / either.clamp(min=1)}
        terms = {"regions": functional.binary_cross_entropy_with_logits(logits_B1YX, batch.wanted_B1YX.float())}
        if self.method.smoothness.weight:
            terms["smoothness"] = self.method.smoothness.weight * self.method.smoothness.measure(logits_B1YX, images_BCYX)
        return terms

    @torch.no_grad()
    def _ask(self, images_BCYX: Tensor, batch: Views) -> tuple[Tensor, Sequence[Places]]:
        """Let the network answer a few times, and click once more after each answer. Returns the last one, and all clicks."""
        random = np.random.default_rng(int(torch.randint(2**31, ())))
        answers_B1YX, clicks = torch.zeros_like(images_BCYX[:, :1]), batch.clicks
        wanted = batch.wanted_B1YX[:, 0].cpu().numpy()
        self.network.eval()
        for number in range(int(random.integers(self.method.simulation.rounds + 1))):
            answers_B1YX = self.network(images_BCYX, answers_B1YX, self._place(clicks)).float().sigmoid()
            clicks = [
                self.method.simulation.go_on(places, mask, answer, number, random)
                for places, mask, answer in zip(clicks, wanted, answers_B1YX[:, 0].cpu().numpy(), strict=True)
            ]
        self.network.train(self.training)
        return answers_B1YX, clicks

    def _place(self, clicks: Sequence[Places]) -> Tensor:
        device = next(self.network.parameters()).device
        return torch.from_numpy(np.stack(clicks)).to(device)

    def measure_batch(self) -> dict[str, Tensor]:
        return self._figures

    def optimizers(self) -> list[Scheduled]:
        network, rate = self.network, self.method.learning_rate
        new = [weight for layers in (network.hints, network.pyramid, network.head) for weight in learned_parameters(layers)]
        groups = [{"params": learned_parameters(network.tokens), "lr": rate}, {"params": new, "lr": rate * self.method.new_layer_factor}]
        return [Scheduled(torch.optim.Adam(groups, betas=(0.9, SQUARES_KEPT)), self._rate)]

    def _rate(self, progress: float) -> float:
        """Factor of the learning rate, by the share of the training that is done."""
        return self.method.drop ** sum(progress >= each for each in self.method.drops)
