"""Banks of vectors that a training has met."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from seedbed.learning.bank import Bank
from seedbed.learning.batches import Batch
from seedbed.learning.checkpoints import Checkpoints
from seedbed.learning.training import Training
from seedbed.run.machine import Machine
from tests.support.toys import PLAIN, PlainLearner, pictures, train


def numbered(first: int, last: int) -> Tensor:
    """Vectors that say which they are."""
    return torch.arange(first, last).float()[:, None].repeat(1, 2)


def held(bank: Bank) -> set[int]:
    return {int(one) for one in bank.draw(2000)[:, 0]}


def test_the_oldest_make_room() -> None:
    torch.manual_seed(0)
    bank = Bank(5, 2)
    assert len(bank) == 0
    bank.add(numbered(1, 4), most=9)
    assert len(bank) == 3 and held(bank) == {1, 2, 3}
    bank.add(numbered(4, 8), most=9)
    assert len(bank) == 5 and held(bank) == {3, 4, 5, 6, 7}
    bank.add(numbered(8, 8), most=9)
    bank.add(numbered(8, 9), most=9)
    assert len(bank) == 5 and held(bank) == {4, 5, 6, 7, 8}


def test_of_more_than_it_holds_the_last_stay() -> None:
    bank = Bank(5, 2)
    bank.add(numbered(1, 3), most=99)
    bank.add(numbered(10, 30), most=99)
    assert len(bank) == 5 and held(bank) == {25, 26, 27, 28, 29}
    bank.add(numbered(30, 31), most=99)
    assert held(bank) == {26, 27, 28, 29, 30}


def test_any_is_drawn_as_often_as_any_other() -> None:
    torch.manual_seed(0)
    bank = Bank(8, 2)
    bank.add(numbered(0, 4), most=9)
    drawn = bank.draw(100, 100)
    assert drawn.shape == (100, 100, 2)
    shares = torch.bincount(drawn[..., 0].flatten().long()) / 10_000
    assert torch.allclose(shares, torch.full((4,), 0.25), atol=0.02)


def test_a_state_has_all_of_it() -> None:
    bank, other = Bank(5, 2), Bank(5, 2)
    bank.add(numbered(1, 8), most=9)
    other.load_state_dict(bank.state_dict())
    for one in (bank, other):
        one.add(numbered(8, 10), most=9)
    assert torch.equal(bank.held, other.held) and held(other) == {5, 6, 7, 8, 9}


def test_processes_that_train_together_add_what_all_have_met_by_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one here has met two, and is the second of two; the first has met three."""

    def all_gather(gathered: list[Tensor], own: Tensor) -> None:
        assert own.shape == gathered[0].shape == (4, 3) and own[:2, :2].equal(numbered(4, 6))
        gathered[0][:3] = torch.cat([numbered(1, 4), torch.ones(3, 1)], dim=1)
        gathered[0][3] = 0
        gathered[1].copy_(own)

    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(torch.distributed, "all_gather", all_gather)
    bank = Bank(4, 2)
    bank.add(numbered(4, 6), most=4)
    assert bank.held[:, 0].tolist() == [2, 3, 4, 5] and len(bank) == 4


class Remembering(PlainLearner):
    """Adds to a bank in its network the mean colour of every image that it meets."""

    def __init__(self) -> None:
        super().__init__()
        self.bank = Bank(7, 3)
        self.network.register_module("bank", self.bank)  # so that it is kept

    def forward(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        self.bank.add(batch.images_BCYX.mean(dim=(2, 3)), most=4)
        return super().forward(batch, progress)


@pytest.mark.slow
def test_two_processes_that_share_batches_have_the_bank_of_one(tmp_path: Path) -> None:
    training = Training(seed=0, epochs=4.0, batch_size=4, **PLAIN)
    alone = train(Remembering, pictures(6), training)
    checkpoints = Checkpoints(tmp_path / "training.safetensors", seconds=math.inf)
    shared = train(Remembering, pictures(6), training, machine=Machine("cpu", devices=2), checkpoints=checkpoints)
    for name in ("bank.held", "bank.added"):
        assert torch.allclose(shared.network.state_dict()[name], alone.network.state_dict()[name], atol=1e-6), name
    assert int(alone.network.state_dict()["bank.added"]) == 24
