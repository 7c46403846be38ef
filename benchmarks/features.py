"""Features of a transformer: what describing images costs beyond the network itself."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks._rounds import medians, report
from seedbed.features.vit import Vit
from seedbed.networks.patch_vectors import Reduction
from seedbed.networks.transformer import Transformer
from seedbed.networks.weights import InitialWeights

IMAGES, HEIGHT, WIDTH = 4, 224, 336


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--architecture", default="vit_small_patch16_224.dino")
    parser.add_argument("--patch-size", type=int, default=16)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--images", type=int, default=IMAGES)
    options = parser.parse_args()
    method = Vit(
        architecture=options.architecture,
        patch_size=options.patch_size,
        initial_weights=InitialWeights(source="none", file="", sha256=""),
        what="keys",
        block=1,
        centred=True,
        components=Reduction(count=0, fit="image", file="", sha256=""),
    )
    built = method.network()
    assert isinstance(built, Transformer)
    network = built.to(options.device).eval()
    random = np.random.default_rng(0)
    images = [random.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8) for _ in range(options.images)]
    batch: torch.Tensor = torch.from_numpy(np.stack(images)).to(options.device).permute(0, 3, 1, 2).float() / 255
    parts = [batch] if options.device != "cpu" else list(batch.split(1))

    def bare() -> None:
        """The network of timm, on images that are on the device already."""
        with torch.inference_mode():
            for part in parts:
                network.trunk.forward_features((part - network.mean) / network.deviation)
        if options.device != "cpu":
            torch.cuda.synchronize()

    ways = {"the network of timm alone": bare, "describing images": lambda: method.describe(images, network, device=options.device)}
    title = f"{options.images} images of {HEIGHT} x {WIDTH}, {options.architecture}, on {options.device}, {torch.get_num_threads()} threads"
    report(title, medians(ways), base="the network of timm alone")
