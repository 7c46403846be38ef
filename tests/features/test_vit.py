"""Patches as a vision transformer sees them."""

from __future__ import annotations

import hashlib
import math
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import safetensors.torch
import torch

from seedbed.algorithms.principal_components import PrincipalComponents
from seedbed.errors import ParamsError, WeightsError
from seedbed.features.vit import Vit
from seedbed.networks import transformer
from seedbed.networks.patch_vectors import Reduction
from seedbed.networks.transformer import Transformer, compute_keys
from seedbed.networks.weights import InitialWeights
from seedbed.tools.components import save_components
from seedbed.types import Alignment, Image
from tests.support.oracles import photograph

NONE = InitialWeights(source="none", file="", sha256="")
SIZES = [(40, 33), (16, 64), (1, 17)]


def reduced(count: int, file: Path | None = None) -> Reduction:
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest() if file else ""
    return Reduction(count=count, fit="file" if file else "image", file=str(file or ""), sha256=sha256)


def vit(**changes: Any) -> Vit:
    given: dict[str, Any] = {
        "architecture": "test_vit",
        "patch_size": 16,
        "initial_weights": NONE,
        "what": "keys",
        "block": 1,
        "centred": False,
        "components": reduced(0),
    }
    return Vit(**(given | changes))


def network(method: Vit) -> Transformer:
    built = method.network().eval()
    assert isinstance(built, Transformer)
    return built


def images() -> list[Image]:
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (*size, 3), dtype=np.uint8) for size in SIZES]


def described(method: Vit) -> list[npt.NDArray[np.float32]]:
    return [one.values for one in method.describe(images(), network(method), device="cpu")]


# Networks with fused and separate projections, with registers, with rotary positions, with a bias for keys or none.
@pytest.mark.parametrize(
    ("architecture", "size"),
    [
        ("test_vit", 16),
        ("test_vit", 8),
        ("vit_tiny_patch16_224", 16),
        ("vit_small_patch14_reg4_dinov2", 14),
        ("vit_small_patch16_dinov3", 16),
        ("vit_base_patch32_clip_quickgelu_224", 32),
        ("eva02_tiny_patch14_224", 14),
    ],
)
def test_any_plain_transformer_takes_images_of_any_size(architecture: str, size: int) -> None:
    method = vit(architecture=architecture, patch_size=size)
    [first, *_] = described(method)
    assert first.shape == (-(-40 // size), -(-33 // size), method.num_channels)
    assert np.isfinite(first).all() and first.std() > 0


def test_patches_cover_equal_parts_of_the_image() -> None:
    method = vit()
    [image, *_] = images()
    resized = np.asarray(cv2.resize(image, (48, 48), interpolation=cv2.INTER_CUBIC), np.uint8)
    of_image, of_resized = method.describe([image, resized], network(method), device="cpu")
    assert of_image.alignment is Alignment.RESIZED
    assert np.array_equal(of_image.values, of_resized.values)


def test_keys_are_what_the_attention_computes() -> None:
    built, seen = network(vit()), []
    hook = built.trunk.blocks[-1].attn.qkv.register_forward_hook(lambda _, __, made: seen.append(made))
    with torch.inference_mode():
        found = built(torch.rand(2, 3, 32, 48))
    hook.remove()
    expected = seen[0].reshape(2, -1, 3, 64)[:, 1:, 1]  # query, key, value; without the class token
    assert torch.equal(found.reshape(2, -1, 64), expected)


@pytest.mark.parametrize("architecture", ["vit_small_patch16_dinov3", "vit_small_patch16_dinov3_qkvb", "eva02_tiny_patch14_224"])
def test_keys_come_before_normalisation_and_rotation(architecture: str) -> None:
    attention = network(vit(architecture=architecture)).trunk.blocks[0].attn
    tokens = torch.rand(1, 5, attention.k_proj.in_features if attention.qkv is None else attention.qkv.in_features)
    found = compute_keys(attention, tokens)
    weight = attention.k_proj.weight if attention.qkv is None else attention.qkv.weight.chunk(3)[1]
    difference = found - tokens @ weight.T
    assert torch.allclose(difference, difference[:, :1].expand_as(difference), atol=1e-5)  # nothing but a bias: positions play no part


@pytest.mark.parametrize("architecture", ["vit_small_patch16_dinov3", "vit_small_patch16_dinov3_qkvb", "vit_small_patch14_reg4_dinov2"])
def test_keys_of_an_image_of_any_size_are_those_of_its_patches_alone(architecture: str) -> None:
    built, entered = network(vit(architecture=architecture)), []
    hook = built.trunk.blocks[-1].attn.register_forward_pre_hook(lambda _, given: entered.append(given[0]))
    edge = built.trunk.patch_embed.patch_size[0]
    with torch.no_grad():
        found = built(torch.rand(2, 3, 5 * edge, 9 * edge))
    hook.remove()
    attention = built.trunk.blocks[-1].attn
    assert entered[0].shape == (2, 1 + 4 + 45, 384)  # class, registers, patches
    bias = attention.qkv.bias[384:768] if getattr(attention.qkv, "bias", None) is not None else 0  # that of keys is none in DINOv3
    expected = (entered[0] @ attention.qkv.weight[384:768].T + bias)[:, 5:].reshape(2, 5, 9, 384)
    assert torch.allclose(found, expected, atol=1e-5)


@pytest.mark.slow
def test_every_name_on_the_page_is_one_that_timm_has_weights_for() -> None:
    rows = re.findall(r"\| `(\S+)` \| (\d+) \| (\d+) \|", (Path(__file__).parents[2] / "docs" / "weights.md").read_text(encoding="utf-8"))
    assert len(rows) == 21
    published = vars(transformer)["timm"].list_pretrained()
    for name, patch, width in rows:
        named = vit(architecture=name, patch_size=int(patch))
        assert name in published and f"patch{patch}_" in name and named.num_channels == int(width), name


def test_tokens_are_what_the_network_gives_its_head() -> None:
    method = vit(what="tokens")
    built = network(method)
    view = torch.rand(1, 3, 32, 48)
    with torch.inference_mode():
        expected = built.trunk.forward_features((view - built.mean) / built.deviation)[:, 1:]
        assert torch.equal(built(view).reshape(1, -1, 64), expected)


@pytest.mark.parametrize("what", ["keys", "tokens"])
def test_a_network_that_was_run_is_as_before(what: str) -> None:
    built = network(vit(what=what, block=2))
    described_by = built.trunk.blocks[built.block_index]
    built(torch.zeros(1, 3, 16, 16))
    assert not described_by._forward_hooks and not described_by.attn._forward_pre_hooks


def test_another_block_is_another_description() -> None:
    last, before = described(vit(block=1))[0], described(vit(block=2))[0]
    assert last.shape == before.shape and not np.allclose(last, before)
    with pytest.raises(ParamsError, match=r"block: found 99; expected 1\.\.6, counted from the end"):
        vit(block=99).network()


def test_centred_vectors_sum_to_nothing_within_an_image() -> None:
    for values in described(vit(centred=True)):
        assert np.abs(values.mean(axis=(0, 1))).max() < 1e-5


def test_principal_components_keep_what_varies_most() -> None:
    [full, *_], [few, *_] = described(vit(centred=True)), described(vit(components=reduced(3)))
    assert few.shape == (*full.shape[:2], 3)
    flat, kept = full.reshape(-1, 64), few.reshape(-1, 3)
    strengths = np.linalg.svd(flat, compute_uv=False)
    assert np.allclose(np.linalg.norm(kept, axis=0), strengths[:3], rtol=1e-4)
    assert described(vit(components=reduced(50)))[2].shape == (1, 2, 50)  # of an image with fewer patches


def test_components_are_as_many_as_are_wanted() -> None:
    assert vit(components=reduced(3)).num_channels == 3


def test_frozen_components_are_the_same_for_every_image(tmp_path: Path) -> None:
    whole = [one.reshape(-1, 64) for one in described(vit(centred=True))]
    file = tmp_path / "components.safetensors"
    save_components(PrincipalComponents.fit(whole, 5), file)
    found = described(vit(centred=True, components=reduced(5, file)))
    together = np.concatenate(whole)
    _, strengths, directions = np.linalg.svd(together - together.mean(axis=0), full_matrices=False)
    assert strengths[4] > strengths[5]
    for one, vectors in zip(found, whole, strict=True):
        expected = (vectors - together.mean(axis=0)) @ directions[:5].T
        assert np.allclose(np.abs(one.reshape(-1, 5)), np.abs(expected), atol=1e-4)


def test_a_file_is_looked_for_only_where_one_is_read(tmp_path: Path) -> None:
    reduced(3).check_file()
    missing = tmp_path / "components.safetensors"
    unused = Reduction(count=0, fit="file", file=str(missing), sha256="0" * 64)
    unused.check_file()
    assert unused.load(5) is None
    with pytest.raises(WeightsError, match=r"components\.safetensors"):
        Reduction(count=3, fit="file", file=str(missing), sha256="0" * 64).check_file()


def test_components_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "components.safetensors"
    save_components(PrincipalComponents.fit([np.random.default_rng(0).random((20, 64), np.float32)], 5), file)
    with pytest.raises(ParamsError, match=r"components.count: found 4 of 64 channels, but the file has \(5, 64\)"):
        vit(components=reduced(4, file)).network()
    right = reduced(5, file)
    file.write_bytes(b"other")
    with pytest.raises(WeightsError, match=r"found sha256 \w+; expected \w+; set components.sha256 to what was found"):
        vit(components=right).network()
    safetensors.torch.save_file({"mean": torch.zeros(64)}, file)
    with pytest.raises(WeightsError, match="found the entries mean; expected mean and directions; run `seedbed components`"):
        vit(components=reduced(5, file)).network()
    with pytest.raises(ValueError, match="no file and no sha256 unless fit is file"):
        Reduction(count=5, fit="image", file="a.safetensors", sha256="")


def test_weights_from_a_file(tmp_path: Path) -> None:
    built = network(vit())
    file = tmp_path / "vit.safetensors"
    safetensors.torch.save_file({name: tensor + 1 for name, tensor in built.trunk.state_dict().items()}, file)
    weights = InitialWeights(source="file", file=str(file), sha256=hashlib.sha256(file.read_bytes()).hexdigest())
    loaded = vit(initial_weights=weights).network()
    assert torch.equal(loaded.state_dict()["trunk.norm.weight"], built.state_dict()["trunk.norm.weight"] + 1)
    with pytest.raises(WeightsError, match="entries that do not fit"):
        vit(architecture="vit_tiny_patch16_224", initial_weights=weights).network()


@pytest.mark.parametrize("architecture", ["vit_smal_patch16", "resnet18", "vit_small_patch16_18x2_224", "swin_tiny_patch4_window7_224"])
def test_what_is_no_transformer_is_refused(architecture: str) -> None:
    with pytest.raises(ParamsError, match=r"params.yaml: architecture: found '.*expected (a transformer of timm|one that takes images)"):
        _ = vit(architecture=architecture).num_channels


# --- As a whole ---


def plainly(image: Image, trunk: Any, *, patch_size: int, what: str, block: int) -> npt.NDArray[np.float32]:
    """Vectors (patch_y, patch_x, channel), block after block."""
    rows, columns = math.ceil(image.shape[0] / patch_size), math.ceil(image.shape[1] / patch_size)
    view = cv2.resize(image, (columns * patch_size, rows * patch_size), interpolation=cv2.INTER_CUBIC)
    mean, deviation = (np.array(trunk.pretrained_cfg[name], np.float32) for name in ("mean", "std"))
    standard = (view.astype(np.float32) / 255 - mean) / deviation
    with torch.no_grad():
        tokens = trunk.norm_pre(trunk._pos_embed(trunk.patch_embed(torch.from_numpy(standard).permute(2, 0, 1)[None])))
        last = len(trunk.blocks) - block
        for one in trunk.blocks[:last]:
            tokens = one(tokens)
        if what == "keys":
            query_key_value = trunk.blocks[last].attn.qkv(trunk.blocks[last].norm1(tokens))
            found = query_key_value[..., query_key_value.shape[-1] // 3 : 2 * query_key_value.shape[-1] // 3]
        else:
            found = trunk.blocks[last](tokens)
            found = trunk.norm(found) if block == 1 else found
    return np.asarray(found[0, 1:].reshape(rows, columns, -1).numpy())  # the first is the class token


@pytest.mark.parametrize(("what", "block"), [("keys", 1), ("keys", 3), ("tokens", 1), ("tokens", 2)])
def test_the_whole_written_down_block_after_block(what: str, block: int) -> None:
    method = vit(patch_size=8, what=what, block=block)
    built = network(method)
    described = method.describe([photograph((40, 33)), photograph((17, 56), seed=1)], built, device="cpu")
    for image, patches in zip((photograph((40, 33)), photograph((17, 56), seed=1)), described, strict=True):
        expected = plainly(image, built.trunk, patch_size=8, what=what, block=block)
        assert (patches.patch_size, patches.alignment) == (8, Alignment.RESIZED)
        assert patches.values.shape == expected.shape and np.allclose(patches.values, expected, atol=1e-4)


def test_the_whole_with_components_of_each_image_and_with_those_of_a_file(tmp_path: Path) -> None:
    image = photograph((40, 33))
    plain = plainly(image, network(vit(patch_size=8)).trunk, patch_size=8, what="keys", block=2).reshape(25, 64)
    apart = plain - plain.mean(axis=0)
    _, _, directions = np.linalg.svd(apart, full_matrices=False)
    [own] = vit(patch_size=8, block=2, components=reduced(3)).describe([image], network(vit(patch_size=8, block=2)), device="cpu")
    for number in range(3):
        towards = directions[number] * np.sign(directions[number][np.abs(directions[number]).argmax()])  # its largest entry is positive
        assert np.allclose(own.values.reshape(25, 3)[:, number], apart @ towards, atol=1e-4)
    random, file = np.random.default_rng(0), tmp_path / "components.safetensors"
    frozen = PrincipalComponents(random.random(64, np.float32), random.random((4, 64), np.float32))
    save_components(frozen, file)
    for centred in (False, True):
        method = vit(patch_size=8, block=2, centred=centred, components=reduced(4, file))
        [found] = method.describe([image], network(method), device="cpu")
        expected = ((apart if centred else plain) - frozen.mean) @ frozen.directions.T
        assert np.allclose(found.values.reshape(25, 4), expected, atol=1e-3)


def test_weights_of_a_classifier_are_refused_before_anything_runs() -> None:
    vit(initial_weights=InitialWeights(source="pretraining", file="", sha256="")).check()
    with pytest.raises(ParamsError, match="because only `segmenter` and `affinity` can start from the weights of that stage"):
        vit(initial_weights=InitialWeights(source="classifier", file="", sha256="")).check()
