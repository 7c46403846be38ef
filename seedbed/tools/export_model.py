"""`seedbed export-model`: the trained segmenter as a program that runs without Seedbed."""

from __future__ import annotations

import io
from pathlib import Path

import torch
from torch import Tensor, nn

from seedbed.errors import ParamsError, WeightsError
from seedbed.images import LARGEST_SIDE, SMALLEST_SIDE
from seedbed.networks.contracts import SegmentationNetwork
from seedbed.store import files
from seedbed.types import Size

CLOSE = 1e-3  # how far logits of an exported model may be from the network's


class Exported(nn.Module):
    """A segmenter from pixels as they are to the logits of every pixel."""

    def __init__(self, network: SegmentationNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images_BCYX: Tensor) -> Tensor:
        """Logits (B, 1 + K, Y, X).

        images_BCYX: RGB in [0, 1].
        """
        logits = self.network(images_BCYX)
        return nn.functional.interpolate(logits, size=images_BCYX.shape[-2:], mode="bilinear", align_corners=False)


def check(file: Path, size: Size | None) -> None:
    """Refuse what cannot be done, before the network is loaded."""
    if size and not (min(size) >= SMALLEST_SIDE and max(size) <= LARGEST_SIDE):
        expected = f"a height and a width of {SMALLEST_SIDE} to {LARGEST_SIDE:,} pixels"
        raise ParamsError("seedbed export-model --size", found=f"{size[0]} {size[1]}", expected=expected, do="correct it")
    files.check(file)


def export(network: SegmentationNetwork, file: Path, *, size: Size | None) -> float:
    """Write a segmenter as a program of torch.export. Returns how far its answers are off, at most.

    size: height and width of the only images that it will take; None: it takes any.
    """
    whole, content = Exported(network).eval(), io.BytesIO()  # in memory, since torch ends the process where a disk is full
    torch.manual_seed(0)
    examples = [torch.rand(2, 3, *(size or (96, 128))), torch.rand(1, 3, *(size or (161, 115)))]
    batch, free = torch.export.Dim("batch"), torch.export.Dim.AUTO
    sizes = {0: batch} if size else {0: batch, 2: free, 3: free}
    try:
        program = torch.export.export(whole, (examples[0],), dynamic_shapes=(sizes,), strict=False)
        torch.export.save(program, content)
        again = torch.export.load(io.BytesIO(content.getvalue())).module()
        with torch.inference_mode():
            furthest = max(float((again(one) - whole(one)).abs().max()) for one in examples)
    except (RuntimeError, ValueError, AssertionError) as error:  # what torch.export refuses with, each in its place
        found = f"a network that torch.export cannot write ({type(error).__name__})"
        do = "use another backbone" if size else "name one size, as with --size 480 640"
        raise WeightsError(str(file), found=found, expected="one that it can, for images of any size", do=do) from error
    if furthest > CLOSE:
        found = f"a model whose logits are up to {furthest:.2g} from the network's"
        raise WeightsError(str(file), found=found, expected=f"at most {CLOSE}", do="use another backbone, and report it")
    files.write(content.getvalue(), file)
    return furthest
