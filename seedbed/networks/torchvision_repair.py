"""timm imports torchvision, which dies at import when its compiled operators do not fit the installed torch.

That is so for every CPU-only torch beside the ordinary torchvision wheel: "operator torchvision::nms does not exist". Nothing of
ours calls these operators; declaring the two that torchvision looks up while it is imported is enough.
"""

from __future__ import annotations

import importlib
import sys

import torch

SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_declared: list[torch.library.Library] = []  # a library's declarations live as long as it does


def apply() -> bool:
    """Make torchvision importable; true where that took declaring its operators."""
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "operator torchvision::" not in str(error):
            raise
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]  # half-imported
        library = torch.library.Library("torchvision", "FRAGMENT")
        for schema in SCHEMAS:
            library.define(schema)
        _declared.append(library)
        importlib.import_module("torchvision")
    return bool(_declared)
