"""Makes torchvision importable, which timm imports, even if its compiled operators do not fit the installed torch.

This happens with every CPU-only torch and the ordinary torchvision wheel: "operator torchvision::nms does not exist". We call none of
these operators, so it is enough to declare the two that torchvision looks up while it is imported.
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
    """Make torchvision importable. Returns whether its operators had to be declared."""
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
