"""Pretraining: a vision transformer that learns from the user's own images, without any label, what belongs together."""

from __future__ import annotations

from seedbed import methods
from seedbed.methods import parameters


@parameters
class Settings:
    """What holds for every pretraining."""

    split: str  # images to learn from; empty takes all, whether anything is known of them or not


class Method(methods.Method):
    """How a network of timm learns from images alone: a `TrainableMethod[Image]`, or a method that trains nothing."""
