"""A plain vision transformer that is shown an image, clicks on it and its last answer, and answers what they select.

Paper: Liu et al., "SimpleClick: Interactive Image Segmentation with Simple Vision Transformers", ICCV 2023.

Shapes: B images, C channels, H hints, N clicks of a kind, D features, Y X pixels, y x patches.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from seedbed.networks.transformer import Tokens

HINTS = 3  # the last answer, wanted clicks, unwanted clicks


class ClickNetwork(nn.Module):
    """Hints join the patches of the image before the first block. Of the blocks, most may see windows of the image alone."""

    def __init__(
        self, tokens: Tokens, *, radius: int, window: int, whole_every: int, widths: Sequence[int], width: int, dropout: float
    ) -> None:
        """radius: of clicks, in pixels; window: edge, in pixels, 0 if every block sees the whole image; whole_every: which blocks do.

        widths: channels of maps of four, two, one and half a cell per edge of a patch; width: of their sum.
        """
        super().__init__()
        self.tokens = tokens
        self.radius, self.whole_every = radius, whole_every
        self.patch_size = int(tokens.trunk.patch_embed.patch_size[0])
        self.window = window // self.patch_size
        self.hints = nn.Conv2d(HINTS, tokens.width, self.patch_size, self.patch_size)
        self.pyramid = Pyramid(tokens.width, widths)
        self.head = Head(widths, width, dropout)

    def forward(self, images_BCYX: Tensor, answers_B1YX: Tensor | None = None, clicks_B2N2: Tensor | None = None) -> Tensor:
        """Logits (B, 1, Y, X).

        images_BCYX: RGB in [0, 1], sides are multiples of the patch size; answers_B1YX: last probabilities, if there is an answer.
        clicks_B2N2: rows and columns of wanted clicks, then of unwanted ones; negative where there is none.
        """
        count, _, *size = images_BCYX.shape
        answers_B1YX = images_BCYX.new_zeros(count, 1, *size) if answers_B1YX is None else answers_B1YX
        clicks_B2N2 = images_BCYX.new_full((count, 2, 0, 2), -1) if clicks_B2N2 is None else clicks_B2N2
        hints_BHYX = torch.cat([answers_B1YX, draw_disks(clicks_B2N2, (size[0], size[1]), self.radius)], dim=1)
        features_BDyx = self.encode(images_BCYX, hints_BHYX)
        logits_B1yx = self.head(self.pyramid(features_BDyx))
        logits_B1YX: Tensor = functional.interpolate(logits_B1yx, size=size, mode="bilinear", align_corners=True)
        return logits_B1YX

    def encode(self, images_BCYX: Tensor, hints_BHYX: Tensor) -> Tensor:
        """Features (B, D, y, x) of patches, without class token and last norm."""
        trunk = self.tokens.trunk
        patches_ByxD = trunk.patch_embed((images_BCYX - self.tokens.mean) / self.tokens.deviation)
        patches_ByxD = patches_ByxD + self.hints(hints_BHYX).permute(0, 2, 3, 1)
        grid = patches_ByxD.shape[1:3]
        tokens_BND = trunk.norm_pre(trunk._pos_embed(patches_ByxD))[:, trunk.num_prefix_tokens :]
        for number, block in enumerate(trunk.blocks, start=1):
            if self.window and number % self.whole_every:
                tokens_BND = join_windows(block(cut_windows(tokens_BND, grid, self.window)), grid, self.window)
            else:
                tokens_BND = block(tokens_BND)
        features_BDyx: Tensor = tokens_BND.transpose(1, 2).unflatten(2, grid)
        return features_BDyx


def cut_windows(tokens_BND: Tensor, grid: Sequence[int], edge: int) -> Tensor:
    """Tokens of a grid, those of each window by themselves: (B * windows, tokens of a window, D).

    edge: of windows, in tokens; a grid of which it is no divisor has as many whole windows as fit, all of one size.
    """
    down, across = _count_windows(grid, edge)
    tokens: Tensor = tokens_BND.unflatten(1, (down, grid[0] // down, across, grid[1] // across))
    return tokens.permute(0, 1, 3, 2, 4, 5).flatten(3, 4).flatten(0, 2)


def join_windows(windows: Tensor, grid: Sequence[int], edge: int) -> Tensor:
    """The opposite."""
    down, across = _count_windows(grid, edge)
    tokens: Tensor = windows.unflatten(0, (-1, down, across)).unflatten(3, (grid[0] // down, grid[1] // across))
    return tokens.permute(0, 1, 3, 2, 4, 5).flatten(1, 4)


def _count_windows(grid: Sequence[int], edge: int) -> tuple[int, int]:
    """How many windows there are down and across: as many as fit, of which each has as many tokens."""
    down, across = (max(count for count in range(1, max(1, length // edge) + 1) if length % count == 0) for length in grid)
    return down, across


def draw_disks(clicks_B2N2: Tensor, size: tuple[int, int], radius: int) -> Tensor:
    """Maps (B, 2, Y, X) of wanted and unwanted clicks: 1 within a radius of any, else 0."""
    rows, columns = (torch.arange(length, device=clicks_B2N2.device) for length in size)
    disks_B2YX = torch.zeros(*clicks_B2N2.shape[:2], *size, dtype=torch.bool, device=clicks_B2N2.device)
    for click_B22 in clicks_B2N2.unbind(dim=2):
        if bool((click_B22 >= 0).any()):
            squared = (rows[:, None] - click_B22[..., 0, None, None]) ** 2 + (columns - click_B22[..., 1, None, None]) ** 2
            disks_B2YX |= (squared <= radius**2) & (click_B22.amax(dim=-1) >= 0)[..., None, None]
    return disks_B2YX.float()


class Pyramid(nn.Module):
    """Maps of four resolutions from one of patches."""

    def __init__(self, width: int, widths: Sequence[int]) -> None:
        """width: channels of patches; widths: of the maps, of the finest first."""
        super().__init__()
        finest, finer, same, coarser = widths
        first, second, last = max(2 * finest, width // 2), max(finer, width // 2), max(coarser, 2 * width)
        self.maps = nn.ModuleList(
            [
                nn.Sequential(
                    *(_double(width, first), _norm(first), nn.GELU(), _double(first, first // 2), _norm(first // 2)),
                    *_project(first // 2, finest),
                ),
                nn.Sequential(_double(width, second), _norm(second), *_project(second, finer)),
                nn.Sequential(*_project(width, same)),
                nn.Sequential(nn.Conv2d(width, last, 2, 2), _norm(last), *_project(last, coarser)),
            ]
        )

    def forward(self, features_BDyx: Tensor) -> list[Tensor]:
        """The maps, the finest first."""
        return [each(features_BDyx) for each in self.maps]


class Head(nn.Module):
    """One logit for every cell of the finest map, from all of them."""

    def __init__(self, widths: Sequence[int], width: int, dropout: float) -> None:
        super().__init__()
        self.each = nn.ModuleList(nn.Sequential(nn.Conv2d(one, width, 1), nn.ReLU()) for one in widths)
        self.all = nn.Sequential(nn.Conv2d(width * len(widths), width, 1), nn.ReLU(), nn.Dropout2d(dropout), nn.Conv2d(width, 1, 1))

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Logits (B, 1, y, x)."""
        size = maps[0].shape[-2:]
        brought = [
            functional.interpolate(layers(one), size=size, mode="bilinear", align_corners=False)
            for layers, one in zip(self.each, maps, strict=True)
        ]
        logits: Tensor = self.all(torch.cat(brought, dim=1))
        return logits


def _double(width: int, following: int) -> nn.Module:
    return nn.ConvTranspose2d(width, following, 2, 2)


def _norm(width: int) -> nn.Module:
    return nn.GroupNorm(1, width)


def _project(width: int, following: int) -> list[nn.Module]:
    return [nn.Conv2d(width, following, 1), _norm(following), nn.GELU()]
