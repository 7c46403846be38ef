"""ResNet38: fewer and wider blocks than other ResNets, each of which normalises its input.

Wu et al., "Wider or Deeper: Revisiting the ResNet Model for Visual Recognition", Pattern Recognition 2019 (model A1). Names of weights,
dropout, and the choice of maps are as in the code of PSA (Ahn and Kwak, CVPR 2018) and SEAM (Wang et al., CVPR 2020), so that its files of
weights fit. The rates of dropout, 0.3 and 0.5, are part of the network, as its widths are.

Shapes: B images, C image channels, D channels, Y X pixels, y x cells of a coarser grid.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from typing import ClassVar, Literal

from torch import Tensor, nn
from torch.nn import functional

STAGES = ("b2", "b3", "b4", "b5", "b6")  # behind the stem, by their first blocks
WIDTHS = (64, 128, 256, 512, 1024, 4096)  # of the maps of the stem and the stages


class ResNet38(nn.Module):
    """The network without its head, with all that `Backbone` asks of a network of timm.

    The map of a stage is its output after the batch norm and ReLU that come next, which begin the next stage. `b6` and `b7` are one stage,
    for there is no stride between them.
    """

    strides: ClassVar[tuple[int, ...]] = (8, 16, 32)
    feature_info: ClassVar[list[dict[str, int]]] = [{"num_chs": width} for width in WIDTHS]
    pretrained_cfg: ClassVar[dict[str, tuple[float, ...]]] = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}  # of ImageNet

    def __init__(self, *, output_stride: int, dilated: bool) -> None:
        """output_stride: one of `strides`; 8 in PSA and SEAM, 32 in the original network, which classifies ImageNet.

        dilated: whether dilation makes up for strides that `output_stride` removes.
        """
        super().__init__()
        fifth, last = (max(1, 16 // output_stride), 32 // output_stride) if dilated else (1, 1)
        self.conv1a = nn.Conv2d(3, 64, kernel_size=3, padding=1, bias=False)
        self._add_blocks("b2", (64, 128, 128), count=3, stride=2)
        self._add_blocks("b3", (128, 256, 256), count=3, stride=2)
        self._add_blocks("b4", (256, 512, 512), count=6, stride=2)
        self._add_blocks("b5", (512, 512, 1024), count=3, stride=2 if output_stride > 8 else 1, dilation=fifth)
        self.b6 = Bottleneck(1024, 2048, stride=2 if output_stride > 16 else 1, dilation=last, dropout=0.3)
        self.b7 = Bottleneck(2048, 4096, stride=1, dilation=last, dropout=0.5)
        self.bn7 = nn.BatchNorm2d(4096)

    def _add_blocks(self, name: str, widths: tuple[int, int, int], *, count: int, stride: int, dilation: int = 1) -> None:
        """Add the blocks of a stage.

        widths: of what enters, within blocks, and of what leaves; stride: of the first, whose first convolution is not dilated.
        """
        _, within, leaving = widths
        self.add_module(name, Plain(widths, stride=stride, dilations=(1, dilation)))
        for number in range(1, count):
            self.add_module(f"{name}_{number}", Plain((leaving, within, leaving), stride=1, dilations=(dilation, dilation)))

    def forward(self, images_BCYX: Tensor) -> Tensor:
        """Features (B, D, y, x) of the last stage."""
        return self.forward_intermediates(images_BCYX, indices=1)[-1]

    def forward_intermediates(
        self,
        images_BCYX: Tensor,
        *,
        indices: int,
        norm: Literal[True] = True,
        output_fmt: Literal["NCHW"] = "NCHW",
        intermediates_only: Literal[True] = True,
    ) -> list[Tensor]:
        """Features (B, D, y, x) of the last stages, in order. The options are timm's, with the only values that are known here.

        indices: how many.
        """
        assert norm and output_fmt == "NCHW" and intermediates_only
        maps: deque[Tensor] = deque(maxlen=indices)  # which lets go of earlier ones
        values = self.conv1a(images_BCYX)
        for name, block in self.named_children():
            if isinstance(block, Block):
                activated = block.activate(values)
                if name in STAGES:
                    maps.append(activated)
                values = block(values, activated)
        maps.append(functional.relu(self.bn7(values)))
        return list(maps)

    def group_matcher(self, *, coarse: Literal[True]) -> dict[str, str]:
        """Which names of weights belong to which stage: regular expressions, in order."""
        assert coarse
        return {"stem": "conv1a", "stages": r"b([2-5])", "last": "b[67n]"}


class Block(nn.Module, ABC):
    """The sum of a branch with several convolutions and one with none, or with a single one where shapes differ."""

    def __init__(self, entering: int, leaving: int, stride: int) -> None:
        super().__init__()
        self.bn_branch2a = nn.BatchNorm2d(entering)
        self.conv_branch1: nn.Conv2d | None = None
        if stride != 1 or entering != leaving:
            self.conv_branch1 = nn.Conv2d(entering, leaving, kernel_size=1, stride=stride, bias=False)

    def activate(self, values_BDyx: Tensor) -> Tensor:
        """What its convolutions get of its input."""
        return functional.relu(self.bn_branch2a(values_BDyx))

    def forward(self, values_BDyx: Tensor, activated_BDyx: Tensor) -> Tensor:
        """activated_BDyx: what `activate` makes of the values."""
        kept = values_BDyx if self.conv_branch1 is None else self.conv_branch1(activated_BDyx)
        return kept + self.convolve(activated_BDyx)

    @abstractmethod
    def convolve(self, activated_BDyx: Tensor) -> Tensor:
        """The branch with several convolutions."""


class Plain(Block):
    """Two convolutions of 3x3."""

    def __init__(self, widths: tuple[int, int, int], *, stride: int, dilations: tuple[int, int]) -> None:
        entering, within, leaving = widths
        super().__init__(entering, leaving, stride)
        first, second = dilations
        self.conv_branch2a = nn.Conv2d(entering, within, kernel_size=3, stride=stride, padding=first, dilation=first, bias=False)
        self.bn_branch2b1 = nn.BatchNorm2d(within)
        self.conv_branch2b1 = nn.Conv2d(within, leaving, kernel_size=3, padding=second, dilation=second, bias=False)

    def convolve(self, activated_BDyx: Tensor) -> Tensor:
        values = self.conv_branch2a(activated_BDyx)
        convolved: Tensor = self.conv_branch2b1(functional.relu(self.bn_branch2b1(values)))
        return convolved


class Bottleneck(Block):
    """A convolution of 3x3 between two of 1x1, with a quarter and a half of the channels that leave."""

    def __init__(self, entering: int, leaving: int, *, stride: int, dilation: int, dropout: float) -> None:
        """dropout: probability with which each channel is left out before the last two convolutions, during training."""
        super().__init__(entering, leaving, stride)
        quarter, half = leaving // 4, leaving // 2
        self.conv_branch2a = nn.Conv2d(entering, quarter, kernel_size=1, stride=stride, bias=False)
        self.bn_branch2b1 = nn.BatchNorm2d(quarter)
        self.conv_branch2b1 = nn.Conv2d(quarter, half, kernel_size=3, padding=dilation, dilation=dilation, bias=False)
        self.bn_branch2b2 = nn.BatchNorm2d(half)
        self.conv_branch2b2 = nn.Conv2d(half, leaving, kernel_size=1, bias=False)
        self.dropout = nn.Dropout2d(dropout)

    def convolve(self, activated_BDyx: Tensor) -> Tensor:
        values = self.conv_branch2a(activated_BDyx)
        values = self.conv_branch2b1(self.dropout(functional.relu(self.bn_branch2b1(values))))
        convolved: Tensor = self.conv_branch2b2(self.dropout(functional.relu(self.bn_branch2b2(values))))
        return convolved
