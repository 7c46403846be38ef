"""The network that answers clicks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional

from seedbed.networks.click_network import ClickNetwork, cut_windows, draw_disks, join_windows
from seedbed.networks.transformer import Tokens

WIDTHS = (6, 10, 12, 150)


def network(*, window: int = 0, whole_every: int = 6) -> ClickNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        tokens = Tokens("test_vit", patch_size=8)
        return ClickNetwork(tokens, radius=2, window=window, whole_every=whole_every, widths=WIDTHS, width=9, dropout=0.3).eval()


def clicks(*places: tuple[int, int], beside: tuple[tuple[int, int], ...] = ()) -> torch.Tensor:
    """Clicks on one image."""
    made = torch.full((1, 2, 3, 2), -1)
    for kind, ones in enumerate((places, beside)):
        for number, one in enumerate(ones):
            made[0, kind, number] = torch.tensor(one)
    return made


IMAGE = torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(1))


def test_clicks_are_disks() -> None:
    drawn = draw_disks(clicks((0, 1), (4, 6), beside=((2, 2),)), (6, 8), 2)
    expected = [
        [1, 1, 1, 1, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0, 0, 0],
        [0, 1, 0, 0, 0, 0, 1, 0],
        [0, 0, 0, 0, 0, 1, 1, 1],
        [0, 0, 0, 0, 1, 1, 1, 1],
        [0, 0, 0, 0, 0, 1, 1, 1],
    ]
    assert drawn[0, 0].int().tolist() == expected
    assert drawn[0, 1].sum() == 13 and draw_disks(clicks((3, 3)), (6, 8), 0)[0, 0].nonzero().tolist() == [[3, 3]]
    assert not draw_disks(clicks(), (6, 8), 2).any(), "near the corner there is none either"


def test_clicks_may_lie_between_pixels() -> None:
    assert draw_disks(torch.tensor([[[[1.0, 2.6]], [[-1.0, -1.0]]]]), (3, 6), 1)[0, 0].nonzero().tolist() == [[1, 2], [1, 3]]


def test_there_is_an_answer_for_every_pixel_and_clicks_and_the_last_answer_matter() -> None:
    sees = network()
    nothing = sees(IMAGE)
    assert nothing.shape == (1, 1, 32, 48)
    assert torch.equal(nothing, sees(IMAGE, torch.zeros(1, 1, 32, 48), clicks()))
    others = [
        sees(IMAGE, None, clicks((3, 3))),
        sees(IMAGE, None, clicks(beside=((3, 3),))),
        sees(IMAGE, None, clicks((3, 30))),
        sees(IMAGE, torch.full((1, 1, 32, 48), 0.5), clicks()),
        sees(IMAGE.flip(-1)),
    ]
    found = [nothing, *others]
    assert all(not torch.allclose(one, other) for number, one in enumerate(found) for other in found[:number])


def test_a_batch_is_answered_image_by_image() -> None:
    sees, images = network(window=16, whole_every=2), torch.cat([IMAGE, IMAGE.flip(-1)])
    together = torch.cat([clicks((3, 3)), clicks((5, 40), (9, 9), beside=((1, 1),))])
    both = sees(images, None, together)
    for number in range(2):
        assert torch.allclose(both[[number]], sees(images[[number]], None, together[[number]]), atol=1e-5)


def test_windows_are_cut_and_joined_again() -> None:
    tokens = torch.arange(2 * 4 * 6).view(2, 24, 1).float()
    cut = cut_windows(tokens, (4, 6), 2)
    assert cut.shape == (12, 4, 1) and cut[1, :, 0].tolist() == [2, 3, 8, 9] and cut[3, :, 0].tolist() == [12, 13, 18, 19]
    assert torch.equal(join_windows(cut, (4, 6), 2), tokens)
    assert cut_windows(tokens, (4, 6), 4).shape == (2, 24, 1), "no more than one fits across"
    assert cut_windows(tokens, (4, 6), 9).shape == (2, 24, 1)
    assert cut_windows(torch.zeros(1, 35, 1), (5, 7), 2).shape == (1, 35, 1), "no windows of one size"


def changed(sees: ClickNetwork) -> list[list[bool]]:
    """Patches whose features change with the first patch of the image."""
    other = IMAGE.clone()
    other[..., :8, :8] = 0
    hints = torch.zeros(1, 3, 32, 48)
    changed: list[list[bool]] = (sees.encode(IMAGE, hints) - sees.encode(other, hints)).abs().amax(dim=(0, 1)).gt(1e-6).tolist()
    return changed


def test_blocks_see_their_window_alone_and_some_all() -> None:
    assert changed(network(window=16, whole_every=100)) == [[True, True, *[False] * 4]] * 2 + [[False] * 6] * 2
    assert changed(network(window=16, whole_every=6)) == [[True] * 6] * 4, "the last sees all"
    assert changed(network()) == [[True] * 6] * 4


def answer_plainly(sees: Any, image: torch.Tensor, last: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
    """The same from the published network's description, with timm's own layers."""
    trunk, norm, gelu = sees.tokens.trunk, functional.group_norm, functional.gelu
    disks = torch.zeros(2, 32, 48)
    for kind in range(2):
        for row, column in given[0, kind].tolist():
            for y in range(32):
                for x in range(48):
                    if row >= 0 and (y - row) ** 2 + (x - column) ** 2 <= 4:
                        disks[kind, y, x] = 1
    hints = torch.cat([last, disks[None]], dim=1)
    patches = functional.conv2d(
        (image - sees.tokens.mean) / sees.tokens.deviation, trunk.patch_embed.proj.weight, trunk.patch_embed.proj.bias, 8
    )
    patches = patches + functional.conv2d(hints, sees.hints.weight, sees.hints.bias, 8)
    positions = trunk.pos_embed[:, 1:].view(1, 20, 20, -1).permute(0, 3, 1, 2)
    positions = functional.interpolate(positions, size=(4, 6), mode="bicubic", antialias=True)
    tokens = (patches + positions).flatten(2).transpose(1, 2)
    for block in trunk.blocks:
        tokens = block(tokens)
    features = tokens.transpose(1, 2).view(1, -1, 4, 6)
    state = sees.pyramid.maps

    def conv(layer: Any, x: torch.Tensor, stride: int = 1) -> torch.Tensor:
        return functional.conv2d(x, layer.weight, layer.bias, stride)

    def up(layer: Any, x: torch.Tensor) -> torch.Tensor:
        return functional.conv_transpose2d(x, layer.weight, layer.bias, 2)

    def normed(layer: Any, x: torch.Tensor) -> torch.Tensor:
        return norm(x, 1, layer.weight, layer.bias)

    a, b, c, d = state
    finest = gelu(normed(a[1], up(a[0], features)))
    finest = gelu(normed(a[6], conv(a[5], normed(a[4], up(a[3], finest)))))
    finer = gelu(normed(b[3], conv(b[2], normed(b[1], up(b[0], features)))))
    same = gelu(normed(c[1], conv(c[0], features)))
    coarser = gelu(normed(d[3], conv(d[2], normed(d[1], conv(d[0], features, 2)))))
    brought = [
        functional.interpolate(conv(layer[0], one).relu(), size=(16, 24), mode="bilinear", align_corners=False)
        for layer, one in zip(sees.head.each, (finest, finer, same, coarser), strict=True)
    ]
    joined = conv(sees.head.all[3], conv(sees.head.all[0], torch.cat(brought, dim=1)).relu())
    return functional.interpolate(joined, size=(32, 48), mode="bilinear", align_corners=True)


def test_the_whole_answer_is_the_same_written_down_plainly() -> None:
    sees, given = network(), clicks((5, 7), (20, 40), beside=((1, 30),))
    last = torch.rand(1, 1, 32, 48)
    with torch.no_grad():
        assert torch.allclose(sees(IMAGE, last, given), answer_plainly(sees, IMAGE, last, given), atol=1e-5)
        shapes = [tuple(one.shape[1:]) for one in sees.pyramid(sees.encode(IMAGE, torch.zeros(1, 3, 32, 48)))]
    assert shapes == [(6, 16, 24), (10, 8, 12), (12, 4, 6), (150, 2, 3)]


def test_channels_between_are_at_least_those_of_the_published_network() -> None:
    maps: Any = network().pyramid.maps
    assert [maps[0][0].out_channels, maps[1][0].out_channels, maps[3][0].out_channels] == [32, 32, 150], "of patches with 64"
    assert maps[0][3].out_channels == 16
    wide = ClickNetwork(Tokens("test_vit", patch_size=8), radius=2, window=0, whole_every=1, widths=(40, 50, 8, 20), width=4, dropout=0)
    maps = wide.pyramid.maps
    assert [maps[0][0].out_channels, maps[1][0].out_channels, maps[3][0].out_channels] == [80, 50, 128]


@pytest.mark.parametrize("training", [True, False])
def test_some_channels_are_left_out_while_it_learns(training: bool) -> None:
    sees = network().train(training)
    assert torch.equal(sees(IMAGE), sees(IMAGE)) != training
