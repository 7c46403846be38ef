"""How long somebody waits for an answer to a click on an image of 375 x 500 pixels, by what answers: regions of a tree, or a network.

Networks have random weights, which take as long as others. The ratio is to the tree.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from seedbed.algorithms import ward
from seedbed.algorithms.clicks import Answer, Click, ClickTree
from seedbed.clicks import Seen
from seedbed.clicks.learned import Learned
from seedbed.clicks.tree import Tree
from seedbed.networks.click_network import ClickNetwork
from seedbed.networks.transformer import Tokens
from seedbed.networks.zooming import Zoom
from seedbed.types import Alignment

SIZE, PATCH = (375, 500), 8
CLICKS = 5
NETWORKS = {  # architecture, edge of a patch, of what it is shown, and whether the mirror image is asked too
    "test_vit, as in pipelines/mis": ("test_vit", 4, 96, True),
    "vit_small_patch14_dinov2, 224": ("vit_small_patch14_dinov2", 14, 224, False),
    "vit_tiny_patch16_224, 448": ("vit_tiny_patch16_224", 16, 448, False),
    "the same, mirrored too": ("vit_tiny_patch16_224", 16, 448, True),
    "vit_base_patch16_224, 448, mirrored too": ("vit_base_patch16_224", 16, 448, True),
}


def make_network(architecture: str, patch_size: int) -> ClickNetwork:
    """A network with the heads of the work, or smaller ones where it is small itself."""
    tokens = Tokens(architecture, patch_size=patch_size)
    widths, width = ((128, 256, 512, 1024), 256) if tokens.width > 400 else ((32, 32, 64, 128), 32)
    return ClickNetwork(tokens, radius=5, window=0, whole_every=6, widths=widths, width=width, dropout=0.1).eval()


def measure(begin: Callable[[], Answer], rounds: int) -> tuple[float, float]:
    """Milliseconds of the first answer and of the later ones, medians."""
    random, first, later = np.random.default_rng(0), list[float](), list[float]()
    for _ in range(rounds):
        answer = begin()
        clicks = [Click(int(random.integers(SIZE[0])), int(random.integers(SIZE[1])), number % 2 == 0) for number in range(CLICKS)]
        for count in range(1, CLICKS + 1):
            started = time.perf_counter()
            answer(clicks[:count])
            (first if count == 1 else later).append(1000 * (time.perf_counter() - started))
    return statistics.median(first), statistics.median(later)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    grid = (-(-SIZE[0] // PATCH), -(-SIZE[1] // PATCH))
    vectors = random.standard_normal((grid[0] * grid[1], 384)).astype(np.float32)
    regions = ClickTree.on_pixels(ward.merge(vectors, ward.link_grid(grid)), grid, PATCH, Alignment.RESIZED, SIZE)
    tree, nothing = Tree(cost=0.03, joined=True), np.zeros(SIZE, np.bool_)
    ways: dict[str, Callable[[], Answer]] = {f"regions of {len(vectors)} patches": partial(tree.begin, Seen(image, regions), nothing)}
    for name, (architecture, patch_size, side, mirrored) in NETWORKS.items():
        method = Learned(zoom=Zoom(side=side, widened=1.4, smallest=200, kept=0.5, threshold=0.5, mirrored=mirrored))
        seen = Seen(image, regions, make_network(architecture, patch_size))
        ways[name] = partial(method.begin, seen, nothing)
    found = {name: measure(begin, options.rounds) for name, begin in ways.items()}
    base = next(iter(found.values()))[1]
    print("|  | first answer, ms | later ones, ms | ratio |\n|---|---|---|---|")
    for name, (first, later) in found.items():
        print(f"| {name} | {first:.1f} | {later:.1f} | {later / base:.1f} |")


if __name__ == "__main__":
    main()
