"""The decoder that paints an image from maps."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from seedbed.networks.decoder import Decoder, SampleNorm


def maps(num_maps: int = 3) -> Tensor:
    """Signed maps of two samples, not square."""
    return torch.randn(2, num_maps, 3, 4, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("widths", [(8, 6, 4, 4, 2), (8, 6, 4, 2), (5,)])
def test_every_step_doubles_the_resolution_and_values_lie_between_bounds(widths: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    times = 2 ** (len(widths) - 1)
    painted = Decoder(3, widths)(100 * maps())
    assert painted.shape == (2, 3, 3 * times, 4 * times)
    assert painted.abs().max() <= 1 and painted.std() > 0.01


def test_the_norm_is_over_a_whole_sample() -> None:
    norm = SampleNorm(3)
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([1.0, 2.0, 3.0]))
        norm.bias.copy_(torch.tensor([0.0, 0.5, -1.0]))
    given = 5 + 3 * maps()
    found = norm(given)
    assert torch.allclose(norm(given[:1]), found[:1])  # others in the batch do not matter
    plain = (found - norm.bias[:, None, None]) / norm.weight[:, None, None]
    assert torch.allclose(plain.mean(dim=(1, 2, 3)), torch.zeros(2), atol=1e-5)
    assert torch.allclose(plain.std(dim=(1, 2, 3)), torch.ones(2), atol=1e-4)


def test_the_whole_decoder_written_down_plainly() -> None:
    torch.manual_seed(3)
    widths = (6, 5, 4)
    decoder = Decoder(3, widths)
    state = {name: value + 0.1 * torch.randn_like(value) for name, value in decoder.state_dict().items()}
    decoder.load_state_dict(state)

    def layer(x: Tensor, at: str, *, mirrored: bool = False, active: bool = True) -> Tensor:
        x = functional.pad(x, (1, 1, 1, 1), mode="reflect") if mirrored else functional.pad(x, (1, 1, 1, 1))
        x = functional.conv2d(x, state[f"{at}.0.weight"], state.get(f"{at}.0.bias"))
        flat = x.reshape(len(x), -1)
        x = ((flat - flat.mean(1, keepdim=True)) / (flat.std(1, keepdim=True) + 1e-5)).reshape(x.shape)
        x = x * state[f"{at}.1.weight"].view(1, -1, 1, 1) + state[f"{at}.1.bias"].view(1, -1, 1, 1)
        return x.clamp(min=0) if active else x

    assert "first.0.bias" not in state and "doublings.0.0.bias" not in state and "residual.0.0.bias" in state
    x = layer(maps(), "first", mirrored=True)
    x = x + layer(layer(x, "residual.0"), "residual.1", active=False)
    for number, (width, _) in enumerate(pairwise(widths)):
        x = functional.conv_transpose2d(x, state[f"doublings.{number}.0.weight"], stride=2, padding=1)
        assert x.shape[1] == width
        mean, deviation = x.mean(dim=(2, 3), keepdim=True), x.std(dim=(2, 3), keepdim=True, unbiased=False)
        x = layer(((x - mean) / (deviation**2 + 1e-5).sqrt()).clamp(min=0), f"doublings.{number}.3")
    x = functional.conv2d(functional.pad(x, (1, 1, 1, 1)), state["last.weight"], state["last.bias"]).tanh()
    assert torch.allclose(decoder(maps()), x, atol=1e-5)


def test_it_begins_with_weights_between_0_and_1_and_no_offset() -> None:
    torch.manual_seed(0)
    norms = [one for one in Decoder(3, (64, 32)).modules() if isinstance(one, SampleNorm)]
    assert all(0 <= one.weight.min() < 0.2 and 0.8 < one.weight.max() <= 1 and not one.bias.any() for one in norms)
