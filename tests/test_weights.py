"""Weights: into a network whole or not at all, and through an artifact exactly."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from seedbed.artifacts import Artifact
from seedbed.errors import WeightsError
from seedbed.weights import InitialWeights, load_file, restored, state_of
from tests.learning import published


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


@pytest.mark.parametrize(("wanted", "expected"), [("", "a digest"), ("0" * 64, "0" * 64)])
def test_another_digest(tmp_path: Path, wanted: str, expected: str) -> None:
    given = published_weights(tmp_path / "a.safetensors", filled())
    message = refusal(network(), InitialWeights(source="file", file=given.file, sha256=wanted))
    assert f"found sha256 {given.sha256}; expected {expected}; set initial_weights.sha256 to what was found" in message


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    path.write_bytes(b"PK\x03\x04 not what it should be")
    given = InitialWeights(source="file", file=str(path), sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    assert "expected a safetensors file; convert the weights" in refusal(network(), given)


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
    again = restored(network().train(), artifact, device="cpu")
    assert not again.training
    given = filled()
    assert all(torch.equal(value, given[name]) and value.dtype == given[name].dtype for name, value in again.state_dict().items())


@pytest.mark.parametrize("other", [lambda: nn.Conv2d(3, 2, kernel_size=1), lambda: nn.Sequential(nn.Conv2d(3, 4, kernel_size=1))])
def test_the_weights_of_another_network_are_refused_in_one_line(artifact: Artifact, other: Callable[[], nn.Module]) -> None:
    with pytest.raises(WeightsError) as raised:
        restored(other(), artifact, device="cpu")
    message = str(raised.value)
    assert message.startswith(f"{artifact.path}: found Error(s) in loading state_dict")
    assert "expected the weights of its method" in message and "\n" not in message


def test_a_state_is_listed_by_name() -> None:
    assert [name for name, _ in state_of(network())] == list(network().state_dict())
