"""`seedbed export-model`: writes the trained segmenter as a program that runs without Seedbed."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from seedbed.errors import ParamsError, WeightsError
from seedbed.images import LARGEST_SIDE, SMALLEST_SIDE
from seedbed.networks.contracts import SegmentationNetwork
from seedbed.networks.feature_network import FeatureNetwork
from seedbed.networks.patch_head import JoinedSegmenter
from seedbed.store import files
from seedbed.types import Size

TOLERANCE = 1e-3  # by which logits of an exported model may differ from the network's


class Exported(nn.Module):
    """A segmenter that gives logits at the resolution of its input."""

    def __init__(self, network: SegmentationNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images_BCYX: Tensor) -> Tensor:
        """Logits (B, 1 + K, Y, X).

        images_BCYX: RGB in [0, 1].
        """
        logits = self.network(images_BCYX)
        return nn.functional.interpolate(logits, size=images_BCYX.shape[-2:], mode="bilinear", align_corners=False)


def join(network: Any, describers: Sequence[FeatureNetwork]) -> SegmentationNetwork:
    """The whole network of a segmenter.

    describers: what describes patches, in each way, where the network labels those; the whole has the first.
    """
    if not describers:
        whole: SegmentationNetwork = network
        return whole
    [first, *_] = describers
    describer = first.exportable()
    if describer is None:
        found = f"{'mirrored images' if first.mirrored else 'patches'} that features.{first.method.name} describes"
        expected = "features of a network, of images that are not mirrored, and without components that are fitted to each image"
        raise ParamsError("seedbed export-model", found=found, expected=expected, do="use other features")
    return JoinedSegmenter(describer, network).eval()


def check(file: Path, size: Size | None) -> None:
    """Refuse a wrong size or file before the network is loaded."""
    if size and not (min(size) >= SMALLEST_SIDE and max(size) <= LARGEST_SIDE):
        expected = f"a height and a width of {SMALLEST_SIDE} to {LARGEST_SIDE:,} pixels"
        raise ParamsError("seedbed export-model --size", found=f"{size[0]} {size[1]}", expected=expected, do="correct it")
    files.check(file)


def export(network: SegmentationNetwork, file: Path, *, size: Size | None) -> float:
    """Write a segmenter as a program of torch.export. Returns the largest difference between its logits and the network's.

    size: height and width of the only images that it accepts; None: any.
    """
    whole, content = Exported(network).eval(), io.BytesIO()  # in memory, because torch ends the process if the disk is full
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
    except (RuntimeError, ValueError, AssertionError) as error:  # torch.export raises any of them for unsupported networks
        found = f"a network that torch.export does not support ({type(error).__name__})"
        do = "use another backbone" if size else "fix one size, as in --size 480 640"
        raise WeightsError(str(file), found=found, expected="a network that it supports", do=do) from error
    if furthest > TOLERANCE:
        found = f"a model whose logits differ from the network's by up to {furthest:.2g}"
        raise WeightsError(str(file), found=found, expected=f"at most {TOLERANCE}", do="use another backbone, and report this")
    files.write(content.getvalue(), file)
    return furthest
