"""The small network over patches."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from seedbed.networks.patch_head import JoinedSegmenter, PatchHead


def head(*, widths: tuple[int, ...] = (6,), kernel: int = 1, coordinates: bool = False) -> PatchHead:
    """A network of 3 channels and 2 classes."""
    torch.manual_seed(0)
    return PatchHead(3, 2, widths=widths, kernel=kernel, coordinates=coordinates).eval()


def test_without_hidden_layers_it_is_a_linear_layer_of_standardised_channels() -> None:
    network = head(widths=())
    network.standardise({"mean": torch.tensor([1.0, 2, 3]), "deviation": torch.tensor([2.0, 4, 0])})
    assert network.deviation.tolist() == [2, 4, 1], "one that stands still is left as it is"
    seen = torch.rand(2, 3, 4, 5)
    seen[:, 2] = 3  # a channel that never varies
    [layer] = network.layers
    assert isinstance(layer, nn.Conv2d)
    weight, bias = layer.weight[:, :, 0, 0], layer.bias
    assert bias is not None
    standard = torch.stack([(seen[:, 0] - 1) / 2, (seen[:, 1] - 2) / 4, torch.zeros(2, 4, 5)], dim=1)
    expected = torch.einsum("kd,bdyx->bkyx", weight, standard) + bias[:, None, None]
    assert torch.allclose(network(seen), expected, atol=1e-5)


def test_it_has_the_layers_that_it_is_to_have() -> None:
    layers: list[Any] = list(head(widths=(6, 4), kernel=3, coordinates=True).layers.children())
    assert [(one.in_channels, one.out_channels, one.kernel_size) for one in layers[::2]] == [(5, 6, (3, 3)), (6, 4, (3, 3)), (4, 3, (3, 3))]
    assert all(isinstance(one, nn.ReLU) for one in layers[1::2]) and len(layers) == 5


def test_with_a_kernel_of_1_patches_are_labelled_alone() -> None:
    seen = torch.rand(1, 3, 4, 5)
    changed = seen.clone()
    changed[..., 2, 3] += 1
    for kernel, reach in ((1, 1), (3, 25)):  # two layers of 3 x 3 reach two patches far; at the lower border a row is missing
        network = head(kernel=kernel)
        differs = (network(seen) != network(changed)).any(dim=1)
        assert differs[0, 2, 3] and int(differs.sum()) <= reach and (kernel == 1 or int(differs.sum()) > 1)


def test_coordinates_tell_patches_apart_that_look_the_same() -> None:
    seen = torch.ones(1, 3, 4, 5)
    assert torch.unique(head()(seen)[0, 0]).numel() == 1
    located = head(coordinates=True)(seen)[0, 0]
    assert torch.unique(located).numel() == 20


def test_the_whole_describes_and_then_labels() -> None:
    describes, labels = nn.Conv2d(3, 3, kernel_size=2, stride=2), head()
    images = torch.rand(1, 3, 8, 6)
    assert torch.equal(JoinedSegmenter(describes, labels)(images), labels(describes(images)))


def test_whatever_the_kernel_every_patch_is_labelled() -> None:
    assert {tuple(head(kernel=kernel)(torch.rand(1, 3, 4, 5)).shape) for kernel in (1, 3, 5, 7)} == {(1, 3, 4, 5)}
