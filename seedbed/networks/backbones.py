"""Backbones: networks of ours, and convolutional networks and vision transformers of timm, behind one interface.

Shapes: B images, C image channels, K classes without background, D features, Y X pixels, y x cells of a coarser grid.
Images enter as RGB in [0, 1]; the backbone standardises them itself.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from seedbed.errors import ParamsError, WeightsError, nearest
from seedbed.methods import parameters
from seedbed.networks.contracts import State
from seedbed.networks.repaired import timm
from seedbed.networks.resnet38 import ResNet38
from seedbed.networks.weights import InitialWeights, fit_entries, load_file
from seedbed.run.slots import CLASSIFIER

Norms = Literal["none", "statistics", "all"]  # the parts of batch norms that do not learn
PUBLISHED = ("url", "file", "hf_hub_id")  # keys under which timm names published weights
OWN = {"resnet38": ResNet38}  # networks that timm does not have, by name
STRIDES_OF_VGG = (8, 16, 32)  # timm refuses all but the last
READ_BY = {"pretraining": ("features.vit",), CLASSIFIER: ("segmenter", "affinity")}  # stage that trains weights -> who may start from them


@parameters
class Trunk:
    """A network without its head, and the parts of it that do not learn."""

    network: str  # any convolutional network or vision transformer of timm, or resnet38
    output_stride: Annotated[int, Field(ge=1, le=256)]  # pixels per cell of its map: 8, 16 or 32; of a transformer any patch edge
    dilated: bool  # whether dilation makes up for strides that output_stride removes; true for transformers
    initial_weights: InitialWeights
    frozen_norms: Literal["none", "statistics", "all"]  # parts of batch norms that do not learn; all: statistics and weights
    frozen_stages: Annotated[int, Field(ge=0, le=1000)]  # first stages that do not learn; the stem counts as one, of a VGG every layer

    @model_validator(mode="after")
    def _something_to_freeze(self) -> Self:
        if self.initial_weights.source == "none" and (self.frozen_norms != "none" or self.frozen_stages):
            raise ValueError("nothing frozen (frozen_norms: none, frozen_stages: 0) where initial_weights.source is none")
        return self

    def check(self, stage: str) -> None:
        """Refuse a network that does not exist, or initial weights that it certainly cannot get.

        stage: to which the network belongs.
        """
        with torch.device("meta"):
            check_source(self.build().trunk, self.initial_weights, stage)

    def build(self) -> Backbone:
        """The network with random weights."""
        return Backbone(self.network, output_stride=self.output_stride, dilated=self.dilated)

    def initialise(self, *, start: State) -> Backbone:
        """The network with its initial weights.

        start: the state that an earlier stage has trained (see `InitialTrunk`); empty if weights come from elsewhere.
        """
        backbone = self.build()
        if start:
            backbone.trunk.load_state_dict(start)
        else:
            initialise(backbone.trunk, self.initial_weights)
        backbone.freeze(norms=self.frozen_norms, stages=self.frozen_stages)
        return backbone


class Backbone(nn.Module):
    """A network of timm or of ours without its head, which gives maps of features."""

    trunk: Any
    num_features: int
    mean: Tensor
    deviation: Tensor

    def __init__(self, name: str, *, output_stride: int, dilated: bool = True) -> None:
        """dilated: whether dilation makes up for strides that `output_stride` removes."""
        super().__init__()
        self.trunk = _own(name, output_stride, dilated) or _of_timm(name, output_stride, dilated)
        self._frozen: list[nn.Module] = []  # norms that keep their statistics
        # Not the network's own `num_features`: some networks widen their map once more for the head, which is left out.
        self.num_features = int(self.trunk.feature_info[-1]["num_chs"])
        configuration: dict[str, Any] = self.trunk.pretrained_cfg
        self.register_buffer("mean", torch.tensor(configuration["mean"]).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(configuration["std"]).view(1, 3, 1, 1), persistent=False)

    def freeze(self, *, norms: Norms, stages: int) -> None:
        """Freeze batch norms or their statistics, and the first stages with their norms."""
        groups = timm.models.group_parameters(self.trunk, self.trunk.group_matcher(coarse=True))
        fixed = {name for number in sorted(groups)[:stages] for name in groups[number]}
        for name, parameter in self.trunk.named_parameters():
            if name in fixed:
                parameter.requires_grad_(False)
        for module in self.trunk.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                if norms == "all":
                    module.requires_grad_(False)
                if norms != "none" or not any(one.requires_grad for one in module.parameters()):
                    self._frozen.append(module)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Switch to training mode, except for frozen parts."""
        super().train(mode)
        for module in self._frozen:
            module.eval()
        return self

    def forward(self, images_BCYX: Tensor) -> Tensor:
        """Features (B, D, y, x) of the last stage."""
        return self.maps(images_BCYX, count=1)[-1]

    def widths(self, count: int, *, asked_by: str) -> list[int]:
        """Channels of the last maps, in order.

        asked_by: the parameter that asks for so many.
        """
        known = [int(one["num_chs"]) for one in self.trunk.feature_info]
        if count > len(known):
            expected = f"at most {len(known)}, counted from the end"
            raise ParamsError(f"params.yaml: {asked_by}", found=f"{count} maps of the network", expected=expected, do="correct it")
        return known[-count:]

    def maps(self, images_BCYX: Tensor, *, count: int) -> list[Tensor]:
        """Features (B, D, y, x) of the last stages, or of a transformer's last blocks, in order.

        count: how many.
        """
        maps: list[Tensor] = self.trunk.forward_intermediates(
            (images_BCYX - self.mean) / self.deviation, indices=count, norm=True, output_fmt="NCHW", intermediates_only=True
        )
        return maps

    def tokens(self, images_BCYX: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, D, y, x) of a transformer's last block, and its tokens (B, N, D) that are of no patch, those of classes first."""
        [(features_BDyx, tokens_BND)] = self.trunk.forward_intermediates(
            (images_BCYX - self.mean) / self.deviation,
            indices=1,
            return_prefix_tokens=True,
            norm=True,
            output_fmt="NCHW",
            intermediates_only=True,
        )
        return features_BDyx, tokens_BND


def _own(name: str, output_stride: int, dilated: bool) -> ResNet38 | None:
    """A network of ours; None if it is not."""
    own = OWN.get(name)
    if own is None:
        return None
    if output_stride not in own.strides:
        raise _refuse_stride(name, output_stride)
    return own(output_stride=output_stride, dilated=dilated)


def _refuse_stride(name: str, output_stride: int) -> ParamsError:
    return ParamsError(
        "params.yaml: network",
        found=f"{name!r}, which does not support the output stride {output_stride}",
        expected="a convolutional network of timm that does",
        do="choose another, such as a resnet, or another output_stride",
    )


def _of_timm(name: str, output_stride: int, dilated: bool) -> Any:
    """A convolutional network or vision transformer of timm."""
    if not timm.is_model(name.partition(".")[0]):
        raise ParamsError(
            "params.yaml: network",
            found=repr(name),
            expected=f"a network of timm {timm.__version__} or {' or '.join(OWN)}{nearest(name, [*OWN, *timm.list_models()])}",
            do="see timm.list_models()",
        )
    return _convolutional(name, output_stride, dilated) or _transformer(name, output_stride, dilated)


def _convolutional(name: str, output_stride: int, dilated: bool) -> Any:
    """A convolutional network of timm; None if it is a transformer."""
    try:
        if output_stride in STRIDES_OF_VGG and timm.models.is_model_in_modules(name, ("vgg",)):
            return _vgg(name, output_stride, dilated)
        network: Any = timm.create_model(name, num_classes=0, global_pool="", output_stride=output_stride)
    except (AssertionError, NotImplementedError, TypeError) as error:  # networks of timm raise any of them for unsupported strides
        if _is_patch_transformer(name):
            return None
        raise _refuse_stride(name, output_stride) from error
    return network if dilated else _remove_dilation(network, name)


def _vgg(name: str, output_stride: int, dilated: bool) -> Any:
    """A VGG of timm without fully connected layers, whose last pools keep the size of maps, as in DeepLab (Chen et al., TPAMI 2018).

    Behind the very last pool there is nothing to dilate, so an output stride of 16 is the same with dilation and without.

    output_stride: one of STRIDES_OF_VGG.
    """
    # The layers that are left out have 120 million weights: they are drawn as small as can be.
    network: Any = timm.create_model(name, num_classes=0, global_pool="", mlp_ratio=1 / 4096)
    if not hasattr(network, "forward_intermediates"):
        raise ParamsError(
            "params.yaml: network",
            found=f"{name!r}, of whose stages timm {timm.__version__} gives no maps",
            expected="another network, or timm 1.0.31 or later",
            do="change one of the two",
        )
    network.pre_logits = nn.Identity()
    stride, dilation = 1, 1
    for place, layer in enumerate(network.features):
        if isinstance(layer, nn.MaxPool2d) and stride < output_stride:
            # It rounds up, so that maps cover the whole image, as those of other networks do. Behind a ReLU, zeros are no maximum.
            # `ceil_mode` would do the same, but not for images of any size in an exported program.
            network.features[place] = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), layer)
            stride *= 2
        elif isinstance(layer, nn.MaxPool2d):
            network.features[place] = nn.MaxPool2d(kernel_size=3, stride=1, padding=1)
            dilation *= 2
        elif isinstance(layer, nn.Conv2d) and dilated:
            layer.dilation = layer.padding = (dilation, dilation)
    return network


def _remove_dilation(network: Any, name: str) -> Any:
    """Give convolutions the dilation of the unmodified network, in place. Maps keep their size."""
    with torch.device("meta"):
        unmodified: Any = timm.create_model(name, num_classes=0, global_pool="")
    dilations = {place: one.dilation for place, one in unmodified.named_modules() if isinstance(one, nn.Conv2d)}
    for place, one in network.named_modules():
        if isinstance(one, nn.Conv2d) and one.dilation != dilations[place]:
            one.dilation = dilations[place]
            if any(one.padding):  # timm's convolutions that compute their padding when they run have 0
                one.padding = "same"
    return network


def _is_patch_transformer(name: str) -> bool:
    """Whether a network of timm is a transformer over patches."""
    with torch.device("meta"):
        network = timm.create_model(name, num_classes=0)
    return hasattr(network, "blocks") and hasattr(network, "patch_embed")


def _transformer(name: str, output_stride: int, dilated: bool) -> Any:
    """A vision transformer of timm that takes images of any size, with patches whose edge is the output stride."""
    if not dilated:
        raise ParamsError(
            "params.yaml: dilated",
            found=f"false for {name!r}",
            expected="true, because a transformer has no strides to remove",
            do="correct it",
        )
    try:
        return timm.create_model(name, num_classes=0, dynamic_img_size=True, dynamic_img_pad=True, patch_size=output_stride)
    except TypeError as error:
        raise ParamsError(
            "params.yaml: network",
            found=f"{name!r}, a transformer for images of one size",
            expected="a plain vision transformer, such as deit_small_patch16_224",
            do="choose another",
        ) from error


def initialise(trunk: Any, weights: InitialWeights) -> None:
    """Give a network its initial weights."""
    if weights.source == "hub":
        where = "params.yaml: initial_weights.source"
        try:
            # All or nothing: by itself, timm would load whatever fits.
            timm.models.load_pretrained(trunk, num_classes=0, filter_fn=partial(_select_published_state, where=where))
        except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: timm has none
            raise WeightsError(
                where,
                found=f"hub, but weights for this network could not be loaded ({type(error).__name__})",
                expected="a network that timm has weights for, and a connection or a filled cache",
                do="see timm.list_pretrained(), or use source: file",
            ) from error
    elif weights.source == "file":
        load_file(trunk, weights)
    else:
        check_source(trunk, weights)


def check_source(trunk: Any, weights: InitialWeights, owner: str = "") -> None:
    """Refuse initial weights that a network certainly cannot get, before they are loaded.

    owner: stage or method to which the network belongs, if that may read the weights of another stage.
    """
    where = "params.yaml: initial_weights.source"
    if weights.source in READ_BY and owner not in READ_BY[weights.source]:
        who = " and ".join(f"`{one}`" for one in READ_BY[weights.source])
        raise ParamsError(
            where,
            found=repr(weights.source),
            expected=f"none, hub or file, because only {who} can start from the weights of that stage",
            do="correct it",
        )
    if weights.source == "hub" and not any(trunk.pretrained_cfg.get(name) for name in PUBLISHED):
        raise WeightsError(
            where,
            found="hub, but timm has no weights for this network",
            expected="a network that timm has weights for",
            do="see timm.list_pretrained(), or use source: file",
        )


def _select_published_state(given: dict[str, Tensor], trunk: Any, *, where: str) -> dict[str, Tensor]:
    """The network's whole state from what timm has downloaded."""
    heads = trunk.pretrained_cfg.get("classifier") or ()
    names = tuple(f"{head}." for head in ((heads,) if isinstance(heads, str) else heads))
    return fit_entries(trunk, {name: value for name, value in given.items() if not name.startswith(names)}, where=f"{where}: hub")
