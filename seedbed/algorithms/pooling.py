"""How scores of places become the score of the whole.

Shapes: B images, K classes or channels, y x places.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor

Temperature = Annotated[float, Field(gt=0, le=1e6)] | Literal["infinite"]
Bound = Annotated[float, Field(ge=0, lt=1)] | Literal["none"]


def spread(scores_BKyx: Tensor, *, temperature: float) -> Tensor:
    """How much each place counts (B, K, y, x): a softmax over places. The lower the temperature, the more the highest scores count."""
    return (scores_BKyx / temperature).flatten(2).softmax(dim=2).view_as(scores_BKyx)


def pool(scores_BKyx: Tensor, *, temperature: Temperature) -> Tensor:
    """Mean scores (B, K) by `spread`: the plain mean where the temperature is infinite, towards the highest score where it is low."""
    if temperature == "infinite":
        return scores_BKyx.mean(dim=(2, 3))
    return (spread(scores_BKyx, temperature=temperature) * scores_BKyx).sum(dim=(2, 3))


def pool_above(values_BKyx: Tensor, *, share: float) -> Tensor:
    """Mean (B, K) of the values above a share of the highest of their map, and of 0; 0 where none is."""
    counts_BKyx = values_BKyx > (share * values_BKyx.detach().amax(dim=(2, 3), keepdim=True)).clamp(min=0)
    return (values_BKyx * counts_BKyx).sum(dim=(2, 3)) / counts_BKyx.sum(dim=(2, 3)).clamp(min=1)
