"""A bank of vectors that a training has met, the last of them, which is the same for all processes that train together."""

from __future__ import annotations

import torch
from torch import Tensor, distributed, nn


class Bank(nn.Module):
    """The last vectors that were added. Checkpoints have it."""

    held: Tensor
    added: Tensor

    def __init__(self, capacity: int, width: int) -> None:
        super().__init__()
        self.register_buffer("held", torch.zeros(capacity, width))
        self.register_buffer("added", torch.zeros((), dtype=torch.long))

    def __len__(self) -> int:
        return min(int(self.added), len(self.held))

    @torch.no_grad()
    def add(self, vectors_ND: Tensor, most: int) -> None:
        """Add the vectors of all processes, by rank; the oldest make room. Every process has to call it.

        most: vectors that a process adds at most.
        """
        vectors_ND = _gather(vectors_ND.float(), most)[-len(self.held) :]
        places_N = (self.added + torch.arange(len(vectors_ND), device=self.held.device)) % len(self.held)
        self.held[places_N] = vectors_ND
        self.added += len(vectors_ND)

    def draw(self, *shape: int) -> Tensor:
        """Vectors (*shape, D), each any of those that are held."""
        return self.held[torch.randint(len(self), shape, device=self.held.device)]


def _gather(vectors_ND: Tensor, most: int) -> Tensor:
    """The vectors of all processes."""
    if not distributed.is_initialized():
        return vectors_ND
    padded = vectors_ND.new_zeros(most, vectors_ND.shape[1] + 1)  # the last channel says what is padding
    padded[: len(vectors_ND), :-1] = vectors_ND
    padded[: len(vectors_ND), -1] = 1
    gathered = [torch.empty_like(padded) for _ in range(distributed.get_world_size())]
    distributed.all_gather(gathered, padded)
    together = torch.cat(gathered)
    return together[together[:, -1] > 0, :-1]
