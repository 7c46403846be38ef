"""A GPU where there is none: what is asked of it is noted, and answered on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from seedbed.algorithms import mean_field, random_walk


def answer_on_cpu(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """From now on, what runs as tensors does so on the CPU. Returns the devices that it was asked to run on, as they are asked."""
    asked = list[str]()

    def answering(run: Callable[..., Any]) -> Callable[..., Any]:
        def answer(*given: Any, device: str, **constants: Any) -> Any:
            asked.append(device)
            return run(*given, **constants, device="cpu")

        return answer

    monkeypatch.setattr(mean_field, "infer", answering(mean_field.infer))
    monkeypatch.setattr(random_walk, "walk_together", answering(random_walk.walk_together))
    return asked
