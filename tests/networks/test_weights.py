"""Weights: into a network whole or not at all, and through an artifact exactly."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from seedbed.errors import WeightsError
from seedbed.learning.checkpoints import Checkpoints
from seedbed.networks.weights import InitialWeights, load_file, read_state, restore
from seedbed.store.artifact import Artifact
from tests.support.learning import published


def network() -> nn.Sequential:
    """A convolution and a normalisation."""
    return nn.Sequential(nn.Conv2d(3, 2, kernel_size=1), nn.BatchNorm2d(2))


def published_weights(path: Path, entries: Mapping[str, Tensor]) -> InitialWeights:
    """A file of weights, and the parameters that name it."""
    path.write_bytes(safetensors.torch.save(dict(entries)))
    return InitialWeights(source="file", file=str(path), sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def refusal(into: nn.Module, given: InitialWeights) -> str:
    """The message with which weights are not loaded; the network stays as it is."""
    before = {name: value.clone() for name, value in into.state_dict().items()}
    with pytest.raises(WeightsError) as raised:
        load_file(into, given)
    assert all(torch.equal(value, before[name]) for name, value in into.state_dict().items())
    message = str(raised.value)
    assert message.startswith(f"{given.file}: found ") and "\n" not in message
    return message


def filled() -> dict[str, Tensor]:
    """The state of another network of the same kind."""
    torch.manual_seed(1)
    return {name: torch.rand_like(value) if value.is_floating_point() else value + 3 for name, value in network().state_dict().items()}


def test_weights_that_fit_fill_the_network(tmp_path: Path) -> None:
    into, given = network(), filled()
    load_file(into, published_weights(tmp_path / "a.safetensors", given))
    assert all(torch.equal(value, given[name]) for name, value in into.state_dict().items())


@pytest.mark.parametrize("head", ["fc.weight", "head.fc.bias", "classifier.1.weight"])
def test_the_head_of_a_published_network_is_left_out(tmp_path: Path, head: str) -> None:
    into, given = network(), filled()
    load_file(into, published_weights(tmp_path / "a.safetensors", given | {head: torch.ones(5)}))
    assert torch.equal(into.state_dict()["0.weight"], given["0.weight"])


def test_a_missing_counter_of_batches_is_no_fault(tmp_path: Path) -> None:
    into, given = network(), filled()
    del given["1.num_batches_tracked"]
    load_file(into, published_weights(tmp_path / "a.safetensors", given))
    assert torch.equal(into.state_dict()["1.running_mean"], given["1.running_mean"])


def test_a_missing_file(tmp_path: Path) -> None:
    given = InitialWeights(source="file", file=str(tmp_path / "a.safetensors"), sha256="")
    assert "found no such file; expected initial weights; correct initial_weights.file in params.yaml" in refusal(network(), given)


@pytest.mark.parametrize("source", ["none", "hub", "pretraining", "classifier"])
@pytest.mark.parametrize(("file", "sha256"), [("a.pth", ""), ("", "5" * 64)])
def test_a_file_is_named_where_weights_come_from_it_alone(source: Any, file: str, sha256: str) -> None:
    with pytest.raises(ValueError, match="no file and no sha256 unless source is file"):
        InitialWeights(source=source, file=file, sha256=sha256)


@pytest.mark.parametrize(("wanted", "expected"), [("", "a digest"), ("0" * 64, "0" * 64)])
def test_another_digest(tmp_path: Path, wanted: str, expected: str) -> None:
    given = published_weights(tmp_path / "a.safetensors", filled())
    message = refusal(network(), InitialWeights(source="file", file=given.file, sha256=wanted))
    assert f"found sha256 {given.sha256}; expected {expected}; set initial_weights.sha256 to what was found" in message


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"PK\x03\x04 not what it should be")
    given = InitialWeights(source="file", file=str(path), sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    assert "expected a safetensors file; convert it, or download it again" in refusal(network(), given)


def test_another_shape(tmp_path: Path) -> None:
    given = filled() | {"0.weight": torch.rand(2, 5, 1, 1)}
    message = refusal(network(), published_weights(tmp_path / "a.safetensors", given))
    assert "found 1 entries that do not fit: 0.weight (2, 5, 1, 1); expected this backbone's entries" in message


def test_missing_and_unknown_entries(tmp_path: Path) -> None:
    given = filled() | {"layer9.weight": torch.ones(2)}
    del given["1.bias"]
    message = refusal(network(), published_weights(tmp_path / "a.safetensors", given))
    assert "found 2 entries that do not fit: no 1.bias, unknown layer9.weight" in message


def test_of_many_that_do_not_fit_a_few_are_named(tmp_path: Path) -> None:
    message = refusal(network(), published_weights(tmp_path / "a.safetensors", {f"other{number}": torch.ones(1) for number in range(9)}))
    assert "found 15 entries that do not fit: no 0.weight, no 0.bias, no 1.weight, no 1.bias, no 1.running_mean; " in message


# --- Through an artifact ---


@pytest.fixture
def artifact(tmp_path: Path) -> Artifact:
    into = network()
    into.load_state_dict(filled())
    return published("classifier", into, tmp_path)


def test_a_network_comes_back_exactly_and_ready_to_be_used(artifact: Artifact) -> None:
    again = restore(network().train(), artifact, device="cpu")
    assert not again.training
    given = filled()
    assert all(torch.equal(value, given[name]) and value.dtype == given[name].dtype for name, value in again.state_dict().items())


@pytest.mark.parametrize("other", [lambda: nn.Conv2d(3, 2, kernel_size=1), lambda: nn.Sequential(nn.Conv2d(3, 4, kernel_size=1))])
def test_the_weights_of_another_network_are_refused_in_one_line(artifact: Artifact, other: Callable[[], nn.Module]) -> None:
    with pytest.raises(WeightsError) as raised:
        restore(other(), artifact, device="cpu")
    message = str(raised.value)
    assert message.startswith(f"{artifact.path}: found Error(s) in loading state_dict")
    assert "expected the weights of its method" in message and "\n" not in message


def test_a_state_is_listed_by_name() -> None:
    assert [name for name, _ in read_state(network())] == list(network().state_dict())


# --- Checkpoints ---


def checkpoint_tensors() -> dict[str, Tensor]:
    """Tensors of every kind that a training has."""
    torch.manual_seed(2)
    shared = torch.rand(3, 4)
    return {
        "a weight": shared,
        "the same weight": shared,
        "a part": shared[1:, ::2],
        "turned": shared.T,
        "one of them": shared[0, ::4],
        "repeated": torch.rand(1, 3).expand(2, 3),
        "learned": torch.rand(2, requires_grad=True),
        "no elements": torch.zeros(0, 3),
        "a number": torch.tensor(7),
        "half": torch.rand(3).bfloat16(),
        "yes or no": torch.tensor([True, False]),
        "exact": torch.tensor([1 / 3, -0.0, float("nan"), float("inf")], dtype=torch.float64),
    }


REST = {"name": "ε", "number": 1 / 3, "nothing": None, "inside": {"list": [1, 2.0, True]}}


def bits(tensor: Tensor) -> tuple[object, ...]:
    """A tensor, to be compared to the bit."""
    flat = tensor.detach().clone(memory_format=torch.contiguous_format).reshape(-1)
    return tensor.dtype, tensor.shape, flat.view(torch.uint8).numpy().tobytes()


def same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    """Whether tensors are the same to the bit."""
    return {name: bits(value) for name, value in one.items()} == {name: bits(value) for name, value in other.items()}


def saved(folder: Path) -> Checkpoints:
    """A checkpoint, in a new folder."""
    checkpoints = Checkpoints(folder / "new" / "a.safetensors", seconds=0)
    checkpoints.save(checkpoint_tensors(), REST)
    return checkpoints


def test_a_checkpoint_comes_back_exactly(tmp_path: Path) -> None:
    loaded = saved(tmp_path).load()
    assert loaded is not None
    assert same(loaded[0], checkpoint_tensors())
    assert loaded[1] == REST


def test_what_is_loaded_is_a_copy(tmp_path: Path) -> None:
    checkpoints = saved(tmp_path)
    for _ in range(2):
        loaded = checkpoints.load()
        assert loaded is not None and same(loaded[0], checkpoint_tensors())
        for value in loaded[0].values():
            value.zero_()


def test_the_last_checkpoint_is_the_one_and_nothing_else_is_left(tmp_path: Path) -> None:
    checkpoints = saved(tmp_path)
    checkpoints.save({"a": torch.ones(2)}, {"step": 2})
    loaded = checkpoints.load()
    assert loaded is not None and same(loaded[0], {"a": torch.ones(2)}) and loaded[1] == {"step": 2}
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["a.safetensors"]


def test_without_a_checkpoint_there_is_none_and_nothing_to_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoints = Checkpoints(tmp_path / "new" / "a.safetensors", seconds=0)
    assert checkpoints.load() is None
    checkpoints.remove()
    assert capsys.readouterr().err == ""
    assert list(tmp_path.iterdir()) == []


def killed(*_: object) -> None:
    """Stands for the end of a process."""
    raise KeyboardInterrupt


@pytest.mark.parametrize("killed_in", ["fsync", "replace"])
def test_whoever_is_killed_while_saving_leaves_the_checkpoint_before(
    tmp_path: Path, killed_in: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints = saved(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(os if killed_in == "fsync" else Path, killed_in, killed)
        with pytest.raises(KeyboardInterrupt):
            checkpoints.save({"a": torch.ones(2)}, {})
    loaded = checkpoints.load()
    assert loaded is not None and loaded[1] == REST
    checkpoints.save({"a": torch.ones(2)}, {})
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["a.safetensors"]


def test_removing_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints = saved(tmp_path)
    monkeypatch.setattr(os, "fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        checkpoints.save({"a": torch.ones(2)}, {})
    assert len(list((tmp_path / "new").iterdir())) == 2
    checkpoints.remove()
    assert list((tmp_path / "new").iterdir()) == []
    assert checkpoints.load() is None


def test_a_checkpoint_in_which_any_bit_changed_is_said_to_be_unreadable(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.safetensors"
    checkpoints = Checkpoints(file, seconds=0)
    given = {"a": torch.tensor([1.5, -2.0]), "b": torch.tensor([3, 4])}
    checkpoints.save(given, {"step": 5})
    content = file.read_bytes()
    harmless = 0
    for place in range(len(content)):
        for bit in range(8):
            changed = bytearray(content)
            changed[place] ^= 1 << bit
            file.write_bytes(changed)
            loaded = checkpoints.load()
            said = capsys.readouterr().err
            if loaded is None:
                assert said == f"{file}: unreadable checkpoint, starting anew\n"
            else:  # as much is said by the text between names, spaces for example
                assert same(loaded[0], given) and loaded[1] == {"step": 5} and said == ""
                harmless += 1
    assert harmless < 8 * len(content) // 50


@pytest.mark.parametrize(("old", "new"), [(b'"F32"', b'"I32"'), (b"[2,3]", b"[3,2]"), (b'"name"', b'"eman"')])
def test_the_names_kinds_and_shapes_of_a_checkpoint_are_looked_at_too(tmp_path: Path, old: bytes, new: bytes) -> None:
    file = tmp_path / "a.safetensors"
    checkpoints = Checkpoints(file, seconds=0)
    checkpoints.save({"name": torch.rand(2, 3)}, {})
    assert file.read_bytes().count(old) == 1
    file.write_bytes(file.read_bytes().replace(old, new))
    assert checkpoints.load() is None


def test_a_folder_in_the_place_of_a_checkpoint_is_told_before_anything_is_learned(tmp_path: Path) -> None:
    with pytest.raises(WeightsError) as raised:
        Checkpoints(tmp_path, seconds=0).load()
    assert str(raised.value) == f"{tmp_path}: found a folder; expected a checkpoint, or nothing; remove it"


def test_the_checkpoint_of_another_training_is_not_taken_for_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two trainings may differ in what no shape shows."""
    Checkpoints(tmp_path / "a.safetensors", seconds=0).save({"a": torch.ones(2)}, {"step": 5})
    other = (tmp_path / "a.safetensors").rename(tmp_path / "b.safetensors")
    assert Checkpoints(other, seconds=0).load() is None
    assert capsys.readouterr().err == f"{other}: the checkpoint of another training, starting anew\n"


def test_a_checkpoint_that_was_cut_off_is_said_to_be_unreadable(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoints = saved(tmp_path)
    file = tmp_path / "new" / "a.safetensors"
    content = file.read_bytes()
    for length in [*range(0, len(content), 7), len(content) - 1]:
        file.write_bytes(content[:length])
        assert checkpoints.load() is None
        assert capsys.readouterr().err == f"{file}: unreadable checkpoint, starting anew\n"


@pytest.mark.parametrize("metadata", [None, {"rest": "{}"}])
def test_a_file_of_somebody_else_is_no_checkpoint(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    file = tmp_path / "a.safetensors"
    file.write_bytes(safetensors.torch.save({"a": torch.ones(2)}, metadata=metadata))
    assert Checkpoints(file, seconds=0).load() is None


def test_checkpoints_are_due_when_their_time_has_passed_since_the_beginning_or_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    checkpoints, always = (Checkpoints(tmp_path / "a", seconds=seconds) for seconds in (10, 0))
    assert not checkpoints.due() and always.due()
    now = 110.0
    assert checkpoints.due()
    checkpoints.save({}, {})
    always.save({}, {})
    assert not checkpoints.due() and always.due()
    now = 119.9
    assert not checkpoints.due()
    now = 120.0
    assert checkpoints.due()
