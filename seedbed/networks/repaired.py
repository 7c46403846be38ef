"""timm, imported after the repair of torchvision that its import may need. Import timm from here."""

from seedbed.networks import torchvision_repair

torchvision_repair.apply()

import timm as timm  # noqa: E402 (only after the repair)
