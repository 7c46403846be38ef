"""A GPU where there is none: what is asked of it is noted, and answered on the CPU."""

from __future__ import annotations

from typing import Any

import pytest

from seedbed.algorithms import mean_field


def answer_on_cpu(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """From now on, inference as tensors runs on the CPU. Returns the devices that it was asked to run on, as they are asked."""
    asked, infer = list[str](), mean_field.infer

    def answer(*given: Any, device: str, **constants: Any) -> Any:
        asked.append(device)
        return infer(*given, **constants, device="cpu")

    monkeypatch.setattr(mean_field, "infer", answer)
    return asked
