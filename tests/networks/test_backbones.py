"""Backbones: networks that standardise their images themselves. ResNet38, which is ours, has tests of its own."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import safetensors.torch
import torch

from seedbed.errors import ParamsError, WeightsError
from seedbed.networks import backbones as networks
from seedbed.networks.backbones import Backbone, Norms, Trunk, check_source, initialise
from seedbed.networks.contracts import Inherited
from seedbed.networks.start import Given, InitialTrunk
from seedbed.networks.weights import InitialWeights, fit_entries, read_state
from seedbed.store.artifact import Artifact, MadeBy
from seedbed.types import cells
from tests.support.publishing import published_network


@pytest.mark.parametrize("stride", [8, 16, 32])
def test_features_have_the_stride_that_was_asked_for(stride: int) -> None:
    backbone = Backbone("test_resnet", output_stride=stride).eval()
    assert backbone(torch.rand(1, 3, 64, 96)).shape == (1, backbone.num_features, 64 // stride, 96 // stride)


def test_images_are_standardised_inside() -> None:
    backbone = Backbone("test_resnet", output_stride=32).eval()
    images = torch.rand(1, 3, 32, 64)
    by_hand = backbone.trunk((images - backbone.mean) / backbone.deviation)
    assert torch.equal(backbone(images), by_hand)
    assert backbone.mean.shape == backbone.deviation.shape == (1, 3, 1, 1)
    assert not {"mean", "deviation"} & set(backbone.state_dict())  # they belong to the architecture, not to the weights


def dilations(network: torch.nn.Module) -> dict[str, Any]:
    """How far convolutions reach."""
    return {name: one.dilation for name, one in network.named_modules() if isinstance(one, torch.nn.Conv2d)}


def moved(backbone: Backbone) -> Backbone:
    """The same with branches that timm begins at 0, and which would let nothing through, at other values."""
    for index, parameter in enumerate(backbone.trunk.parameters()):
        torch.nn.init.normal_(parameter, std=0.2, generator=torch.Generator().manual_seed(index))
    return backbone.eval()


@pytest.mark.parametrize("stride", [8, 16])
def test_strides_that_are_taken_away_are_made_up_for_or_not(stride: int) -> None:
    """What the flag says, by hand: a network whose last strides are 1, as in the code of IRN."""
    images = torch.rand(1, 3, 50, 75)
    by_hand = moved(Backbone("resnet26", output_stride=32))
    for name in ("layer3", "layer4") if stride == 8 else ("layer4",):
        for one in getattr(by_hand.trunk, name).modules():
            if isinstance(one, torch.nn.Conv2d):
                one.stride = (1, 1)
    plain, dilated = (moved(Backbone("resnet26", output_stride=stride, dilated=flag)) for flag in (False, True))
    assert torch.equal(plain(images), by_hand(images))
    assert plain(images).shape == dilated(images).shape and not torch.allclose(plain(images), dilated(images))
    assert set(dilations(plain).values()) == {(1, 1)} and (32 // stride,) * 2 in dilations(dilated).values()


@pytest.mark.parametrize("name", ["test_convnext", "test_efficientnet", "test_byobnet", "test_nfnet", "skresnet18"])
def test_any_convolutional_network_can_do_without_dilation_on_maps_of_the_same_size(name: str) -> None:
    whole, plain, dilated = (
        moved(Backbone(name, output_stride=stride, dilated=flag)) for stride, flag in ((32, True), (8, False), (8, True))
    )
    assert dilations(plain) == dilations(whole) != dilations(dilated)
    with torch.inference_mode():
        images = torch.rand(1, 3, 64, 96)
        assert plain(images).shape == dilated(images).shape == (1, plain.num_features, 8, 12)


def test_maps_of_earlier_stages_are_there_for_whoever_asks() -> None:
    backbone = Backbone("test_resnet", output_stride=16).eval()
    images = torch.rand(2, 3, 64, 96)
    maps = backbone.maps(images, count=4)
    assert [one.shape[2:] for one in maps] == [(16, 24), (8, 12), (4, 6), (4, 6)]
    assert torch.equal(maps[-1], backbone(images))
    tokens = Backbone("test_vit", output_stride=16).eval()
    assert [one.shape[2:] for one in tokens.maps(images, count=3)] == 3 * [(4, 6)]


def test_images_are_standardised_by_the_mean_and_the_deviation_of_their_network() -> None:
    backbone = Backbone("resnet18.tv_in1k", output_stride=32).eval()
    images, mean, deviation = torch.rand(1, 3, 32, 64), torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    seen: list[torch.Tensor] = []
    backbone.trunk.conv1.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    backbone(images)
    assert torch.allclose(seen[0], (images - mean.view(3, 1, 1)) / deviation.view(3, 1, 1), atol=1e-6)


def test_a_transformer_has_no_strides_to_make_up_for() -> None:
    with pytest.raises(ParamsError) as raised:
        Backbone("test_vit", output_stride=16, dilated=False)
    assert str(raised.value) == (
        "params.yaml: dilated: found false for 'test_vit'; expected true, because a transformer has no strides to remove; correct it"
    )


def test_an_unknown_network_is_answered_with_the_nearest() -> None:
    with pytest.raises(ParamsError) as raised:
        Backbone("resnet51", output_stride=32)
    message = str(raised.value)
    assert "network: found 'resnet51'; expected a network of timm " in message
    assert "(nearest: resnet" in message


def test_weights_from_a_file_fill_the_backbone(tmp_path: Path) -> None:
    source, backbone = Backbone("test_resnet", output_stride=8), Backbone("test_resnet", output_stride=32)
    path = tmp_path / "test_resnet.safetensors"
    path.write_bytes(safetensors.torch.save(dict(source.trunk.state_dict())))
    initialise(backbone.trunk, InitialWeights(source="file", file=str(path), sha256=hashlib.sha256(path.read_bytes()).hexdigest()))
    assert all(torch.equal(value, backbone.trunk.state_dict()[name]) for name, value in source.trunk.state_dict().items())


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    path.write_bytes(safetensors.torch.save({"stem.weight": torch.ones(2)}))
    backbone = Backbone("test_resnet", output_stride=8)
    with pytest.raises(WeightsError, match="entries that do not fit"):
        initialise(backbone.trunk, InitialWeights(source="file", file=str(path), sha256=hashlib.sha256(path.read_bytes()).hexdigest()))


def test_without_a_source_weights_stay_random() -> None:
    backbone = Backbone("test_resnet", output_stride=8)
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    initialise(backbone.trunk, InitialWeights(source="none", file="", sha256=""))
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())


# The second has blocks, as a transformer does, but no patches; the third patches, but no blocks.
@pytest.mark.parametrize("name", ["dla34", "ghostnet_050", "swin_tiny_patch4_window7_224"])
def test_a_network_that_knows_no_stride_is_refused(name: str) -> None:
    with pytest.raises(ParamsError, match=f"network: found '{name}', which does not support the output stride 8"):
        Backbone(name, output_stride=8)


# --- VGG, of which timm knows one stride alone ---


@pytest.mark.parametrize("name", ["vgg11", "vgg11_bn"])
@pytest.mark.parametrize("stride", [8, 16, 32])
@pytest.mark.parametrize("size", [(64, 96), (50, 75), (7, 20)])
def test_maps_of_a_vgg_cover_the_image_at_the_stride_that_was_asked_for(name: str, stride: int, size: tuple[int, int]) -> None:
    backbone = Backbone(name, output_stride=stride).eval()
    with torch.inference_mode():
        maps = backbone.maps(torch.rand(2, 3, *size), count=6)
    strides = [min(stride, 2**number) for number in range(6)]
    assert [tuple(one.shape[2:]) for one in maps] == [cells(size, each) for each in strides]
    assert [one.shape[1] for one in maps] == backbone.widths(6, asked_by="channels") == [64, 128, 256, 512, 512, 512]


@pytest.mark.parametrize("dilated", [False, True])
@pytest.mark.parametrize("stride", [8, 16, 32])
def test_a_vgg_written_down_layer_by_layer(stride: int, dilated: bool) -> None:
    backbone, images = moved(Backbone("vgg11", output_stride=stride, dilated=dilated)), torch.rand(1, 3, 72, 104)
    state = iter(backbone.trunk.state_dict().values())
    convolve, pool = torch.nn.functional.conv2d, torch.nn.functional.max_pool2d
    values = (images - backbone.mean) / backbone.deviation
    for number, convolutions in enumerate((1, 1, 2, 2, 2), start=1):
        dilation = 2 if dilated and stride == 8 and number == 5 else 1  # behind the fourth pool, which keeps the size
        for _ in range(convolutions):
            values = convolve(values, next(state), next(state), padding=dilation, dilation=dilation).relu()
        values = pool(values, 2, ceil_mode=True) if 2**number <= stride else pool(values, 3, stride=1, padding=1)
    assert next(state, None) is None
    assert torch.equal(backbone(images), values) and values.shape[2:] == cells((72, 104), stride) and values.std() > 0


@pytest.mark.parametrize(("dilated", "offset"), [(False, 2), (True, 4)])
def test_two_convolutions_behind_a_stride_that_is_gone_reach_as_far_as_before_if_they_are_dilated(dilated: bool, offset: int) -> None:
    """What each brings is one place up and left of where it stands: together, two cells, which are four where there was a stride."""
    backbone = Backbone("vgg11", output_stride=8, dilated=dilated)
    *_, before, behind, _ = backbone.trunk.feature_ends  # of stages: a pool comes next
    last = backbone.trunk.features[before + 2 : behind + 1]
    for layer in last:
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.zeros_(layer.weight)
            layer.weight.data[0, 0, 0, 0] = 1
    impulse = torch.zeros(1, 512, 9, 12)
    impulse[0, 0, 1, 3] = 1
    assert last(impulse).nonzero().tolist() == [[0, 0, 1 + offset, 3 + offset]]


@pytest.mark.parametrize("dilated", [False, True])
def test_a_vgg_sees_the_same_one_cell_further_where_the_image_is_moved_by_its_stride(dilated: bool) -> None:
    backbone = moved(Backbone("vgg11", output_stride=8, dilated=dilated))
    images = torch.rand(1, 3, 200, 224)
    with torch.inference_mode():
        maps, moved_maps = backbone(images[..., :-8, :-8]), backbone(images[..., 8:, 8:])
    inside = slice(11, -11)  # where no border is seen
    here, there = maps[..., 1:, 1:][..., inside, inside], moved_maps[..., :-1, :-1][..., inside, inside]
    assert here.shape[2:] == (1, 4) and torch.allclose(here, there, rtol=1e-4, atol=1e-3 * float(here.std())) and here.std() > 0


@pytest.mark.parametrize(("name", "weights"), [("vgg11", 9_220_480), ("vgg11_bn", 9_225_984)])
def test_a_vgg_has_convolutions_alone_which_all_learn(name: str, weights: int) -> None:
    backbone = Backbone(name, output_stride=16)
    assert all(entry.startswith("features.") for entry in backbone.trunk.state_dict())
    assert sum(one.numel() for one in backbone.parameters()) == weights
    backbone(torch.rand(2, 3, 40, 56)).square().mean().backward()
    assert all(one.grad is not None and one.grad.any() for name, one in backbone.named_parameters() if name.endswith("weight"))


def test_every_layer_of_a_vgg_is_a_stage_that_can_be_frozen() -> None:
    backbone = Backbone("vgg11_bn", output_stride=16)
    backbone.freeze(norms="all", stages=3)
    learned = {name.split(".")[1] for name, one in backbone.trunk.named_parameters() if one.requires_grad}
    assert learned == {"8", "11", "15", "18", "22", "25"}  # of 0, 4, 8, ...; the norms behind them are layers, too
    assert not any(one.training for one in backbone.modules() if isinstance(one, torch.nn.BatchNorm2d))


@pytest.mark.parametrize("name", ["vgg11.tv_in1k", "vgg11_bn.tv_in1k"])
def test_published_weights_of_a_vgg_fit_without_their_fully_connected_layers(name: str) -> None:
    trunk = Backbone(name, output_stride=8).trunk
    published = {entry: torch.full_like(value, 0.5) for entry, value in trunk.state_dict().items()}
    layers = {f"pre_logits.fc{number}.{entry}": torch.ones(5) for number in (1, 2) for entry in ("weight", "bias")}
    configured: dict[str, Any] = vars(trunk)["pretrained_cfg"]
    assert configured["hf_hub_id"] and configured["classifier"] == "head.fc"
    vars(trunk)["pretrained_cfg"] = {**configured, "state_dict": published | layers | {"head.fc.weight": torch.ones(5)}}
    initialise(trunk, InitialWeights(source="hub", file="", sha256=""))
    assert all(torch.equal(value, published[entry]) for entry, value in trunk.state_dict().items())


def test_torchvision_s_files_of_a_vgg_fit() -> None:
    trunk = Backbone("vgg11", output_stride=8).trunk
    given = {entry: torch.rand_like(value) for entry, value in trunk.state_dict().items()}
    layers = {f"classifier.{number}.{entry}": torch.ones(5) for number in (0, 3, 6) for entry in ("weight", "bias")}
    fitted = fit_entries(trunk, given | layers, where="vgg11.pth")
    assert set(fitted) == set(given) and all(torch.equal(fitted[entry], value) for entry, value in given.items())


@pytest.mark.parametrize("stride", [4, 12, 64])
def test_a_vgg_at_a_stride_that_no_network_has_is_refused(stride: int) -> None:
    with pytest.raises(ParamsError) as raised:
        Backbone("vgg16", output_stride=stride)
    assert str(raised.value) == (
        f"params.yaml: network: found 'vgg16', which does not support the output stride {stride}; expected a convolutional network of timm "
        "that does; choose another, such as a resnet, or another output_stride"
    )


def test_a_vgg_of_a_timm_that_gives_no_maps_of_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    timm = vars(networks)["timm"]
    monkeypatch.delattr(timm.models.vgg.VGG, "forward_intermediates")
    monkeypatch.setattr(timm, "__version__", "1.0.15")
    with pytest.raises(ParamsError) as raised:
        Backbone("vgg16", output_stride=16)
    assert str(raised.value) == (
        "params.yaml: network: found 'vgg16', of whose stages timm 1.0.15 gives no maps; expected another network, or timm 1.0.31 or "
        "later; change one of the two"
    )


# --- Transformers ---


def test_a_transformer_gives_a_map_with_a_cell_for_every_patch() -> None:
    for edge, patches in ((16, (3, 5)), (8, (5, 9))):  # its own patches, and others
        backbone = Backbone("test_vit", output_stride=edge).eval()
        assert backbone(torch.rand(2, 3, 40, 65)).shape == (2, backbone.num_features, *patches)


def test_weights_for_patches_of_another_size_are_refused() -> None:
    wide, narrow = (Backbone("test_vit", output_stride=edge).trunk for edge in (16, 8))
    with pytest.raises(WeightsError, match="a test: found patches of another size than 8 x 8 pixels"):
        fit_entries(narrow, wide.state_dict(), where="a test")


def test_a_transformer_for_images_of_one_size_is_refused() -> None:
    with pytest.raises(ParamsError, match="'beit_base_patch16_224', a transformer for images of one size; expected a plain vision"):
        Backbone("beit_base_patch16_224", output_stride=16)


def trunk(*, norms: Norms, stages: int, source: str = "hub") -> Trunk:
    weights = InitialWeights(source=source, file="", sha256="")  # type: ignore[arg-type]
    return Trunk(network="test_resnet", output_stride=16, dilated=True, initial_weights=weights, frozen_norms=norms, frozen_stages=stages)


@pytest.mark.parametrize(("norms", "stages"), [("all", 0), ("none", 2), ("all", 3), ("statistics", 0), ("statistics", 2)])
def test_what_is_frozen_stays_through_a_step_and_all_else_learns(norms: Norms, stages: int) -> None:
    backbone = Backbone("test_resnet", output_stride=16)
    for norm in backbone.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            torch.nn.init.ones_(norm.weight)  # timm begins with some at 0, which lets nothing through to what lies before
    backbone.freeze(norms=norms, stages=stages)
    before = {name: value.clone() for name, value in backbone.trunk.state_dict().items()}
    backbone.train()
    optimizer = torch.optim.SGD([one for one in backbone.parameters() if one.requires_grad], lr=0.1)
    backbone(torch.rand(2, 3, 64, 96)).square().mean().backward()
    optimizer.step()
    first = ("conv1", "bn1", "layer1", "layer2")[: (0, 2, 3, 4)[stages]]  # the stem is conv1 and bn1
    norm_names = {name for name, one in backbone.trunk.named_modules() if isinstance(one, torch.nn.BatchNorm2d)}
    for name, value in backbone.trunk.state_dict().items():
        frozen = name.startswith(first) if first else False
        place, _, entry = name.rpartition(".")
        frozen |= place in norm_names and (norms == "all" or (norms == "statistics" and entry not in ("weight", "bias")))
        assert torch.equal(value, before[name]) == frozen, name
    assert backbone.training and not backbone.eval().training


def test_a_frozen_stage_is_frozen_with_all_its_blocks() -> None:
    backbone = Backbone("resnet26", output_stride=32)
    backbone.freeze(norms="none", stages=2)
    learned = {name.partition(".")[0] for name, parameter in backbone.trunk.named_parameters() if parameter.requires_grad}
    frozen = {name.partition(".")[0] for name, parameter in backbone.trunk.named_parameters() if not parameter.requires_grad}
    assert (frozen, learned) == ({"conv1", "bn1", "layer1"}, {"layer2", "layer3", "layer4"})


def test_norms_are_frozen_at_once_whatever_mode_the_network_is_in() -> None:
    backbone = Backbone("test_resnet", output_stride=16).train()
    backbone.freeze(norms="statistics", stages=0)
    norms = [one for one in backbone.modules() if isinstance(one, torch.nn.BatchNorm2d)]
    assert norms and not any(one.training for one in norms) and backbone.training


def test_nothing_is_frozen_of_weights_that_were_drawn() -> None:
    for given in ({"norms": "all", "stages": 0}, {"norms": "statistics", "stages": 0}, {"norms": "none", "stages": 1}):
        with pytest.raises(ValueError, match="nothing frozen"):
            trunk(**given, source="none")  # type: ignore[arg-type]
    assert trunk(norms="all", stages=2).frozen_stages == 2


def test_weights_of_pretraining_are_for_features_alone() -> None:
    with pytest.raises(ParamsError, match=r"found 'pretraining'; expected none, hub or file, because only `features.vit` can start"):
        trunk(norms="none", stages=0, source="pretraining").initialise(start={})


# --- From the classifier ---


def classifier(folder: Path, *, network: str = "test_resnet", without: str = "-") -> Artifact:
    """A trained classifier, of which something may be missing."""
    torch.manual_seed(5)
    built = torch.nn.ModuleDict({"backbone": Backbone(network, output_stride=16), "head": torch.nn.Linear(2, 2)})
    state = {name: value for name, value in read_state(built) if without not in name}
    return published_network("classifier", folder, state, made_by=MadeBy("classifier", "cam", {"backbone": {"network": network}}))


def test_a_trunk_starts_from_that_of_the_classifier(tmp_path: Path) -> None:
    wanted, given = trunk(norms="all", stages=2, source="classifier"), classifier(tmp_path)
    start = InitialTrunk(wanted, given)
    backbone = wanted.initialise(start=start.state())
    torch.manual_seed(5)
    left = Backbone("test_resnet", output_stride=16).trunk.state_dict()
    assert all(torch.equal(value, left[name]) for name, value in backbone.trunk.state_dict().items())
    assert start.key("") == given.weights_digest
    assert not backbone.trunk.conv1[0].weight.requires_grad


def test_a_trunk_that_starts_elsewhere_is_given_no_classifier(tmp_path: Path) -> None:
    own = trunk(norms="none", stages=0, source="none")
    assert (Given.start(own, None).load(), Given.start(own, None).key("")) == (Inherited(), "")
    given = classifier(tmp_path)
    assert Given.start(own, given).key("") == given.weights_digest and set(Given.start(own, given).load().states) == {"start"}


def test_a_classifier_of_another_network_or_without_an_entry_is_refused(tmp_path: Path) -> None:
    wanted = trunk(norms="none", stages=0, source="classifier")
    with pytest.raises(WeightsError) as other:
        InitialTrunk(wanted, classifier(tmp_path / "other", network="test_vit")).state()
    assert str(other.value) == (
        f"{tmp_path}/other/classifier.zarr: found weights of the network 'test_vit'; expected 'test_resnet', which is to start from them; "
        "name the same network for both in params.yaml"
    )
    with pytest.raises(
        WeightsError, match=r"classifier.zarr: found 1 entries that do not fit: no conv1.0.weight; expected this backbone's"
    ):
        InitialTrunk(wanted, classifier(tmp_path / "less", without="conv1.0.weight")).state()


def test_whether_the_hub_has_weights_is_known_before_they_are_loaded() -> None:
    unknown, known = (SimpleNamespace(pretrained_cfg=one) for one in ({}, {networks.PUBLISHED[0]: "there"}))
    hub, nothing = (InitialWeights(source=source, file="", sha256="") for source in ("hub", "none"))
    with pytest.raises(WeightsError, match="found hub, but timm has no weights for this network"):
        check_source(unknown, hub)
    check_source(known, hub)
    check_source(unknown, nothing)


def test_the_initial_weights_of_a_trunk_are_checked_with_it() -> None:
    trunk = Trunk(
        network="test_resnet",
        output_stride=16,
        dilated=True,
        initial_weights=InitialWeights(source="classifier", file="", sha256=""),
        frozen_norms="none",
        frozen_stages=0,
    )
    trunk.check("segmenter")
    with pytest.raises(ParamsError, match="because only `segmenter` and `affinity` can start from the weights of that stage"):
        trunk.check("classifier")


def test_weights_of_the_classifier_are_for_segmenters_and_affinities_alone() -> None:
    with pytest.raises(
        ParamsError, match="found 'classifier'; expected none, hub or file, because only `segmenter` and `affinity` can start"
    ):
        trunk(norms="none", stages=0, source="classifier").initialise(start={})


def test_a_stage_may_start_from_what_it_reads() -> None:
    weights = InitialWeights(source="classifier", file="", sha256="")
    check_source(Backbone("test_resnet", output_stride=16).trunk, weights, owner="segmenter")


@pytest.mark.parametrize("heads", [(), "fc", ("fc",), "top", ("top", "beside")])
def test_weights_of_the_hub_come_without_their_heads(heads: str | tuple[str, ...]) -> None:
    """timm takes a state from its configuration instead of downloading one, so no hub is needed to see that it fits."""
    published = vars(networks)["timm"].create_model("test_resnet", num_classes=0).state_dict()
    trunk = Backbone("test_resnet", output_stride=16).trunk
    named = (heads,) if isinstance(heads, str) else heads
    state = published | {f"{head}.{entry}": torch.ones(5) for head in named for entry in ("weight", "bias")}
    configured: dict[str, Any] = vars(trunk)["pretrained_cfg"]
    vars(trunk)["pretrained_cfg"] = {**configured, "state_dict": state, "num_classes": 1000, "classifier": heads or None}
    initialise(trunk, InitialWeights(source="hub", file="", sha256=""))
    assert all(torch.equal(value, published[name]) for name, value in trunk.state_dict().items())
