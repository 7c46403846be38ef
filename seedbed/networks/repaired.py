"""timm, imported after torchvision was repaired, without which it cannot be imported at all."""

from seedbed.networks import torchvision_repair

torchvision_repair.apply()

import timm as timm  # noqa: E402 (only after the repair)
