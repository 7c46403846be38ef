"""How scores of places become the score of the whole.

Shapes: B images, K classes, y x places.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor

Temperature = Annotated[float, Field(gt=0, le=1e6)] | Literal["infinite"]


def spread(scores_BKyx: Tensor, *, temperature: float) -> Tensor:
    """How much each place counts (B, K, y, x): a softmax over places. The lower the temperature, the more the highest scores count."""
    return (scores_BKyx / temperature).flatten(2).softmax(dim=2).view_as(scores_BKyx)


def pool(scores_BKyx: Tensor, *, temperature: Temperature) -> Tensor:
    """Mean scores (B, K) by `spread`: the plain mean where the temperature is infinite, towards the highest score where it is low."""
    if temperature == "infinite":
        return scores_BKyx.mean(dim=(2, 3))
    return (spread(scores_BKyx, temperature=temperature) * scores_BKyx).sum(dim=(2, 3))
