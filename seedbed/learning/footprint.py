"""Estimates of the memory that a training needs, made without computing anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from seedbed.learning.training import Training

FLOAT = 4  # bytes
SAVES_MEMORY = "raise the micro_batches of its training, or lower its batch_size or the size of its views"


def estimate_memory(network: nn.Module, training: Training, edges: Sequence[int], *, moments: int = 1) -> int:
    """Bytes that a training holds at once, roughly: weights and optimiser, and what backpropagation keeps of a micro-batch.

    network: on the device `meta`, which computes nothing; edges: of the square views of an image.
    moments: numbers that the optimiser keeps for each weight.
    """
    weights = sum(parameter.numel() for parameter in network.parameters())
    images, size = training.batch_size // training.micro_batches, 2 if training.precision == "bf16-mixed" else FLOAT
    kept = sum(count * _measure_kept(network, edge) for edge, count in Counter(edges).items())
    return (2 + moments) * FLOAT * weights + kept * images * size // FLOAT  # 2: weight and gradient


def _measure_kept(network: nn.Module, edge: int) -> int:
    """Bytes that backpropagation keeps of one view."""
    own = {tensor.untyped_storage()._cdata for tensor in (*network.parameters(), *network.buffers())}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        answer = network.train()(torch.empty(2, 3, edge, edge, device="meta"))  # two, because batch norm cannot learn from one
    del answer  # kept until here, because freed storage can be reused at the same address and would be counted once
    return sum(kept.values()) // 2
