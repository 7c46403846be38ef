"""Every parameter is alive: it changes alone, and so does the result.

A flag that does nothing is the first sin of this field. Methods and their parameters are found, not listed; a new one is tried as soon as
its file is there. What a method's result is, is said here once for each family; what else a parameter can be follows from its type.
"""

from __future__ import annotations

import hashlib
import math
import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from seedbed import methods
from seedbed.algorithms.clicks import Click, ClickTree
from seedbed.algorithms.principal_components import PrincipalComponents
from seedbed.clicks import Seen
from seedbed.errors import MethodError
from seedbed.evaluation import PREDICTED
from seedbed.learning.augmentation import Sample
from seedbed.learning.loop import learn
from seedbed.learning.samples import Described
from seedbed.learning.tree_samples import TreeSample
from seedbed.networks.backbones import Backbone
from seedbed.networks.contracts import Inherited
from seedbed.networks.patch_head import PatchHead
from seedbed.networks.start import Given
from seedbed.networks.transformer import Tokens
from seedbed.scoring.judgement import Judge
from seedbed.seeds import irn as seeds_irn
from seedbed.seeds import psa as seeds_psa
from seedbed.tools.components import save_components
from seedbed.trees.ward import Ward
from seedbed.types import Alignment, ClassMaps, Evidence, LabelMap, PatchFeatures, Probabilities, Size
from tests.support.layouts import LAYOUTS
from tests.support.learning import CHANNELS, CPU, NUM_CLASSES, described, linear_head, samples, small_classifier, trained
from tests.support.leaves import Plain, Trial, leaves, with_values
from tests.support.oracles import cell_edges, photograph
from tests.support.small import shrunk
from tests.support.toys import LEANING_AFFINITIES, LeaningClassifier, LeaningSegmenter, Nearby

# Parameters that change no result, by their place in the family or by the class of the block that they stand in. They are tried all the
# same: one that does change a result is no excuse.
EXCUSED = {
    "pretraining.dino.training.micro_batches": "a batch in micro-batches is the same training where no norm depends on batches",
    **{
        f"{one}.preset": "the name of the numbers beside it, with which it is checked"
        for one in ("seeds.psa", "seeds.irn", "refinement.psa", "refinement.irn")
    },
    "DenseCrf.preset": "the name of the numbers beside it, with which it is checked",
    "InitialWeights.file": "where weights lie; which they are is said by their digest",
    "Reduction.file": "where components lie; which they are is said by their digest",
}

# Values with which parameters can show, where neither params.yaml's nor those of tests/support/small.py are such.
LIVELY: dict[str, Any] = {
    "Training.epochs": 2,  # three steps of two of three images
    "Training.clip": 0.1,  # shorter than gradients are
    "Augmentation.longer_side": 48,
    "Augmentation.smallest_scale": 0.7,
    "Augmentation.largest_scale": 1.4,
    "Augmentation.padding": [120, 60, 30],
    "Colours.hue": 0.2,
    "Descent.weight_decay": 0.1,
    "Descent.new_layer_factor": 3,
    "Optimiser.weight_decay": 0.1,
    "Optimiser.new_layer_factor": 3,
    "Optimiser.last_learning_rate": 0.01,
    "Adjustment.by_status": False,
    "PseudoMasks.rates": [1, 2, 3],  # no farther than the small crops reach
    "RegionGrowing.rates": [1, 2, 3],
    "Cotraining.rates": [1, 2, 3],
    "Masking.width": 8,
    "Masking.rates": [1, 2],
    "PseudoMasks.scales": [1, 0.5],
    "RegionGrowing.scales": [1, 0.5],
    "Masking.scales": [1, 0.5],
    "Perception.widest": 16,  # of views of 32 pixels
    "Modulation.erosion": 2,  # of maps of 16 pixels
    "classifier.fbr.cells": 4,
    "classifier.amn.rates": [1, 2],
    "classifier.amn.backbone.output_stride": 8,
    "Contrast.width": 8,
    "Contrast.centroids": 2,
    "Contrast.rounds": 1,
    "Contrast.capacity": 20,
    "Contrast.negatives": 8,
    "Contrast.tops": 4,
    "Explanation.weight": 1,
    "SecondView.kind": "cropped",
    "SecondView.edge": 24,
    "Correction.adds_above": 0.7,
    "Correction.doubts_below": 0.4,
    "Multiscale.scales": [1, 0.5],
    "Attention.scales": [1, 0.5],
    "DenseCrf.iterations": 3,
    "clicker.mis.window": 16,
    "clicker.mis.drops": [0.4],
    "clicker.mis.new_layer_factor": 3,
    "Zoom.side": 48,
    "Zoom.smallest": 8,  # of images of 40 x 56 pixels
    "Texture.texture_weight": 1,
    "Propagation.share": 0.5,
    "seeds.superpixel_means.background": 0.5,
    "seeds.superpixel_means.foreground": 0.6,
    "features.cnn.stages": [1, 3],
    "FrozenTrunk.output_stride": 8,
    "superpixels.ncut.threshold": 0.3,
    "superpixels.ncut.weak": 0.01,
    "superpixels.slic.region_size": 8,  # of images of 40 x 56 pixels
    "superpixels.slic.num_iterations": 3,
    "superpixels.lsc.region_size": 8,
    "superpixels.lsc.num_iterations": 3,
    "superpixels.energy_seeds.count": 12,
    "superpixels.energy_seeds.num_levels": 2,
    "superpixels.energy_seeds.num_iterations": 2,
    "superpixels.felzenszwalb.scale": 100,
    "superpixels.felzenszwalb.smallest": 20,
    "instances.irn.steps": 2,  # of ways that are random
    "instances.irn.weak_displacement": 1,
    "instances.irn.smallest": 0.02,
    "instances.irn.most": 3,
    "segmenter.pseudo_masks.least_confidence": 0.5,
    "segmenter.region_growing.foreground": 0.26,  # a network that has learned nothing gives a quarter to each of four classes
    "segmenter.region_growing.background": 0.24,
    "segmenter.cotraining.training.epochs": 4,
    "segmenter.cotraining.training.batch_size": 4,  # two micro-batches can be pairs
    "Mixing.online_from": 0.5,
    "Mixing.online_confidence": 0.26,
    "segmenter.light.foreground": 0.26,
    "segmenter.light.background": 0.24,
    "affinity.psa.radius": 3,  # of 8 x 8 cells
    "affinity.irn.radius": 3,
    "pretraining.dino.patch_size": 8,
    "Crops.edge": 16,
    "Crops.count": 2,
    "pretraining.dino.hidden": 16,
    "pretraining.dino.bottleneck": 8,
    "pretraining.dino.learning_rate": 0.01,
    "pretraining.dino.weight_decay": 0.4,
    "pretraining.dino.last_weight_decay": 0.8,
    "pretraining.dino.teacher_warmup": 0.5,
    "pretraining.dino.first_teacher_temperature": 0.07,
    "pretraining.dino.warmup": 0.3,
    "pretraining.dino.fixed_prototypes": 0.3,
    "pretraining.dino.grey": 0.5,
    "pretraining.dino.solarised": 0.5,
    "pretraining.dino.blur": [0.5, 0.5, 0.5],
}


# --- Results, by family ---


def class_maps(size: Size = (40, 56)) -> ClassMaps:
    """Smooth maps of two classes of three, with a maximum of 1 each."""
    random = np.random.default_rng(1)
    maps = ClassMaps(classes=(1, 3), maps=random.random((2, 5, 7), np.float32)).resize(size).maps
    return ClassMaps(classes=(1, 3), maps=maps / maps.max(axis=(1, 2), keepdims=True))


def patches() -> PatchFeatures:
    """Features of 5 x 7 patches."""
    return PatchFeatures(np.random.default_rng(3).standard_normal((5, 7, 4)).astype(np.float32), 8, Alignment.RESIZED)


def true_labels() -> LabelMap:
    """A truth with background, three classes and void."""
    return np.random.default_rng(2).choice([0, 1, 2, 3, 255], (5, 7)).astype(np.uint8).repeat(8, axis=0).repeat(8, axis=1)


def raw_data(name: str, root: Path) -> None:
    """Raw data in the layout of a reader, in which everything occurs that its parameters are about."""
    if name not in LAYOUTS:
        return  # it makes its own, or tests/support/layouts.py should know it
    LAYOUTS[name](root)
    if name == "voc":
        shutil.copytree(root / "ImageSets" / "Segmentation", root / "ImageSets" / "Main")
        (root / "ImageSets" / "Main" / "val.txt").unlink()
        file = root / "Annotations" / "two.xml"
        file.write_text(file.read_text().replace("<difficult>0</difficult>", "<difficult>1</difficult>", 1))
    if name == "davis":
        shutil.copytree(root / "JPEGImages" / "480p" / "swan", root / "JPEGImages" / "smaller" / "swan")
    if name == "coco":
        (root / "train2014").mkdir()
        for file in (root / "val2017").iterdir():
            shutil.copy(file, root / "train2014")
        shutil.copy(root / "annotations" / "instances_val2017.json", root / "annotations" / "instances_train2014.json")


def dataset(method: Any, folder: Path) -> Any:
    root = folder / str(len(list(folder.iterdir())))
    raw_data(method.name, root)
    index = method.read(root)
    return index, [hashlib.sha256((root / entry.file).read_bytes()).hexdigest() for entry in index.entries]


def pretraining(method: Any, folder: Path) -> Any:
    images = [photograph((24 + number, 40)) for number in range(3)]
    columns = learn(method, "pretraining", 0, images, Given(), machine=CPU, checkpoint=folder / "none", seconds=math.inf)
    return columns["log"], dict(columns["weights"])


def features(method: Any, folder: Path) -> Any:
    network = method.network()
    if method.pretrained:
        network.trunk.load_state_dict(safetensors.torch.load_file("test_vit16_one.safetensors"))
    described = method.describe([photograph((40, 33))], None if network is None else network.eval(), device="cpu")
    return [each.values for each in described]


def superpixels(method: Any, folder: Path) -> Any:
    return method.partition(photograph(), patches())


def trees(method: Any, folder: Path) -> Any:
    return method.merge(patches())


def clicks(method: Any, folder: Path) -> Any:
    tree = ClickTree.on_pixels(Ward().merge(patches()), (5, 7), 8, Alignment.RESIZED, (40, 56))
    network: Any = Nearby() if method.needs_network else None
    answer = method.begin(Seen(photograph(), tree, network), np.zeros((40, 56), np.bool_))
    made = [Click(3, 3, True), Click(20, 30, True), Click(38, 5, False), Click(22, 36, True)]
    return [answer(made[:count]) for count in range(1, 5)]


def clicker(method: Any, folder: Path) -> Any:
    regions = ClickTree.on_pixels(Ward().merge(patches()), (5, 7), 8, Alignment.RESIZED, (40, 56))
    left = trained(method, partial(method.learner, 0, given=Inherited()), [TreeSample(photograph(), regions)] * 3, folder)
    return left.log, left.network.state_dict()


def classifier(method: Any, folder: Path) -> Any:
    if method.needs_features:
        solved = method.solve(NUM_CLASSES, described())
        return solved.log, solved.state
    left = trained(method, partial(method.learner, NUM_CLASSES, given=Inherited()), examples(method.maps), folder)
    found = left.network(torch.from_numpy(photograph()).permute(2, 0, 1)[None].float() / 255)
    return left.log, left.network.state_dict(), [one.detach() for one in found]


def cams(method: Any, folder: Path) -> Any:
    sees = linear_head() if method.needs_features else LeaningClassifier(3).eval()
    return method.compute(sees, [photograph()], [[patches()]], [(1, 3)], device="cpu")


def seeds(method: Any, folder: Path) -> Any:
    regions = np.arange(35, dtype=np.int32).reshape(5, 7).repeat(8, axis=0).repeat(8, axis=1)
    return method.label(Evidence(photograph(), class_maps(), regions, patches(), cell_edges((40, 56), 4, radius=24)))


def refinement(method: Any, folder: Path) -> Any:
    regions = np.arange(35, dtype=np.int32).reshape(5, 7).repeat(8, axis=0).repeat(8, axis=1)
    return method.refine([Evidence(photograph(), class_maps(), regions, patches(), cell_edges((40, 56), 4, radius=24))])


def instances(method: Any, folder: Path) -> Any:
    regions = np.arange(35, dtype=np.int32).reshape(5, 7).repeat(8, axis=0).repeat(8, axis=1)
    return method.part([Evidence(photograph(), class_maps(), regions, patches(), cell_edges((40, 56), 4))])


def affinity(method: Any, folder: Path) -> Any:
    if method.makes_nothing:
        return None
    start = safetensors.torch.load_file("test_resnet_one.safetensors") if method.backbone.initial_weights.source == "classifier" else {}
    left = trained(method, partial(method.learner, 0, given=Inherited({"start": start})), examples(method.maps), folder)
    found = left.network(torch.from_numpy(photograph()).permute(2, 0, 1)[None].float() / 255)
    return (
        left.log,
        left.network.state_dict(),
        [one.detach() for one in (found if isinstance(found, tuple) else (found,))],
        method.num_pairs,
    )


def edges(method: Any, folder: Path) -> Any:
    found = method.find(LEANING_AFFINITIES[method.name](), [photograph()], device="cpu") if not method.makes_nothing else []
    return [(one.boundaries, one.displacement, one.distances) for one in found]


def saliency(method: Any, folder: Path) -> Any:
    regions = np.arange(35, dtype=np.int32).reshape(5, 7).repeat(8, axis=0).repeat(8, axis=1)
    found = method.find(Evidence(photograph(), class_maps(), regions, patches(), cell_edges((40, 56), 4)), class_maps().maps[1])
    return found.scores, found.objects


def segmenter(method: Any, folder: Path) -> Any:
    if method.needs_features:
        left = trained(method, partial(method.learner, NUM_CLASSES, given=CHANNELS), some_described(method.wanted_maps), folder)
        return left.log, left.network.state_dict()
    source = method.backbone.initial_weights.source
    start = safetensors.torch.load_file("test_resnet_one.safetensors") if source == "classifier" else {}
    given = Inherited({"start": start}, small_classifier())
    left = trained(method, partial(method.learner, NUM_CLASSES, given=given), examples(method.maps), folder)
    return left.log, left.network.state_dict()


def predictions(method: Any, folder: Path) -> Any:
    labels = PatchHead(4, 3, widths=(), kernel=1, coordinates=False).eval() if method.needs_features else LeaningSegmenter(3).eval()
    return method.predict(labels, [photograph()], [[patches()]], device="cpu")


def evaluation(method: Any, folder: Path) -> Any:
    maps = np.random.default_rng(4).random((4, 5, 7), np.float32) ** 2
    probabilities = Probabilities(maps=maps / maps.sum(axis=0)).resize((40, 56))
    [predicted] = method.from_probabilities([photograph()], [probabilities])
    kinds = {"class_maps": method.from_class_maps(class_maps()), **predicted}
    regions = np.arange(20, dtype=np.int32).reshape(4, 5).repeat(10, axis=0).repeat(12, axis=1)[:, :56]
    judge = Judge(("class_maps", *PREDICTED), 3, method.boundaries, method.sweep.thresholds, method.size_bounds, 0)
    return kinds, judge.columns(
        true_labels(),
        kinds,
        size=(40, 56),
        contained=(1, 3),
        class_maps=class_maps(),
        regions=regions,
        objects=None,
        instances=None,
        true_instances=None,
        corrected=False,
    )


RESULTS: Mapping[str, Callable[[Any, Path], Any]] = {
    one.__name__: one
    for one in (
        dataset,
        pretraining,
        features,
        superpixels,
        trees,
        clicker,
        clicks,
        classifier,
        cams,
        seeds,
        affinity,
        edges,
        refinement,
        instances,
        saliency,
        segmenter,
        predictions,
        evaluation,
    )
}


def examples(names: tuple[str, ...]) -> list[Sample]:
    """Images to learn from, whose labels leave much open."""
    return left_open(samples(names))


def some_described(names: tuple[str, ...]) -> list[Described]:
    """The same by their features."""
    return left_open(described(names, count=3))


def left_open(made: list[Any]) -> list[Any]:
    """Samples with fewer labels."""
    for number, sample in enumerate(made):
        for name, one in sample.maps.items():
            if name == "labels":
                one[np.random.default_rng(number).random(one.shape) < 0.7] = 255
    return made


# --- Other values, where types do not say enough ---


def pinned(file: str) -> Plain:
    """A file, which can only be changed together with its digest."""
    return {"file": file, "sha256": hashlib.sha256(Path(file).read_bytes()).hexdigest()}


NO_WEIGHTS = {"source": "none", "file": "", "sha256": ""}
OF_STAGES = {
    "segmenter": ["classifier"],
    "affinity": ["classifier"],
    "features.vit": ["pretraining"],
}  # sources of initial weights that only some families or methods have; the hub is left out, for it has to be asked over the network


def network_of(family: str, name: str) -> str:
    """Of which network a method's initial weights are."""
    return {"features.vit": "vit16", "pretraining.dino": "vit8", "clicker.mis": "vit16"}.get(f"{family}.{name}", "resnet")


def other_values(family: str, name: str) -> dict[str, list[Any]]:
    """By name of a parameter of a method: what else it can be."""
    network = network_of(family, name)
    of_stages = OF_STAGES.get(family, []) + OF_STAGES.get(f"{family}.{name}", [])
    return {
        "features.vit.architecture": ["test_vit2"],
        "features.vit.patch_size": [8, 32],
        "features.cnn.patch_size": [8, 32],
        "features.cnn.stages": [[3, 1], [1, 4], [1]],
        "FrozenTrunk.network": ["test_byobnet"],
        "FrozenTrunk.output_stride": [16, 32],
        "pretraining.dino.architecture": ["test_vit2"],
        "clicker.mis.architecture": ["test_vit2"],
        "clicker.mis.patch_size": [4, 8],
        "clicker.mis.window": [0],
        "pretraining.dino.patch_size": [4, 16],
        "Crops.edge": [32],
        "Augmentation.scale_steps": [3],
        "Augmentation.padding": [[], [121, 60, 30], [120, 61, 30], [120, 60, 31]],
        "seeds.psa.preset": ["psa"],  # the numbers of each are held against those published in tests/seeds and tests/refinement
        "seeds.irn.preset": ["irn"],
        "refinement.psa.preset": ["psa"],
        "refinement.psa.background": [{"background": "constant", "background_value": 0.39}],
        "refinement.irn.preset": ["irn"],
        "Optimiser.kind": ["adam", "adamw"],
        "Trunk.network": ["resnet10t" if name == "ssc" else "test_byobnet"],
        "Perception.network": ["resnet10t"],
        "Reconstruction.widths": [[8, 8, 8, 8, 4], [8, 8, 8, 8, 5]],
        "Reconstruction.levels": [[0, 0, 0, 0, 1], [0, 0, 0, 1, 1], [0, 0, 1, 1, 1], [0, 1, 1, 1, 1], [1, 1, 1, 1, 1]],
        "affinity.irn.displacement_channels": [[16, 16, 16, 16], [64, 128, 256, 256, 128]],
        "affinity.psa.channels": [[16, 32], [16, 32, 32]],
        "Trunk.output_stride": [8, 16],
        "InitialWeights.source": [
            NO_WEIGHTS,
            *({**NO_WEIGHTS, "source": one} for one in of_stages),
        ],
        "InitialWeights.sha256": [pinned(f"test_{network}_two.safetensors")],
        "InitialWeights.file": [f"copy/test_{network}_one.safetensors"],
        "Reduction.fit": [{"count": 3, "fit": "file", **pinned(f"components_{network}_one.safetensors")}],
        "Reduction.sha256": [pinned(f"components_{network}_two.safetensors")],
        "Reduction.file": [f"copy/components_{network}_one.safetensors"],
        "DenseCrf.preset": ["psa"],  # the numbers of each are held against those published in tests/algorithms/test_crf.py
        "Voc.lists": ["ImageSets/Main"],
        "Davis.folder": ["smaller"],
        "Folder.classes": [["dog", "cat"], ["cat", "dog", "bird"]],
        "Shapes.num_train": [2, 4],
        "Usage.class_tokens": [{"class_tokens": False}],
        "classifier.cam.pooled_above": [0.3],
        "Masking.erased_colour": [[200, 30, 60], [201, 30, 60], [200, 31, 60], [200, 30, 62]],
        "Shapes.min_side": [66],
        "Shapes.max_side": [80],
    }


def situations(family: str, name: str) -> dict[str, list[Plain]]:
    """By class of a block: other values of it, with which parameters can show that cannot with the usual ones."""
    network = network_of(family, name)
    psa = {"smooth_distance": 3, "smooth_weight": 3, "colour_distance": 80, "colour_difference": 13, "colour_weight": 10, "iterations": 10}
    walk = {"over": "cells", "radius": 5, "power": 8, "squarings": 8}
    plain_trunk = {"output_stride": 16, "dilated": True, "initial_weights": NO_WEIGHTS, "frozen_norms": "none", "frozen_stages": 0}
    quick = {"learning_rate": 3, "new_layer_factor": 10, "momentum": 0, "weight_decay": 0}  # with which a class gets likelier than all else
    published: dict[str, list[Plain]] = {
        "seeds.psa": [seeds_psa.PRESETS["psa"]],
        "seeds.irn": [seeds_irn.PRESETS["irn"]],
        "refinement.psa": [{"background": "power", "background_value": 16, "walk": walk}],
        "refinement.irn": [{"threshold": 0.25, "walk": {**walk, "power": 10}}],
    }
    return {
        **({name.title(): own} if (own := published.get(f"{family}.{name}")) else {}),
        "InitialWeights": [{"source": "file", **pinned(f"test_{network}_one.safetensors")}],
        "Reduction": [{"count": 3}, {"count": 3, "fit": "file", **pinned(f"components_{network}_one.safetensors")}],
        "DenseCrf": [psa],
        "Merge": [{"stop": "cost", "cost": 0.04}],
        "Ncut": [{"stop": "cut", "cut": 0.5}],
        "Light": [{"balanced": False}],
        "Reconstruction": [{"perception": {"network": "resnet10t", "initial_weights": NO_WEIGHTS, "widest": 1024}}],
        "Fbr": [{"descent": {**quick, "warmup": 0, "power": 0, "decay_starts": "at_once"}}],
        "Usage": [{"backbone": {**plain_trunk, "network": "test_vit"}, "class_tokens": True}],
    }


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with weights and components, each also in a copy elsewhere."""
    folder = tmp_path_factory.mktemp("files")
    for seed, number in enumerate(("one", "two"), start=100):  # other weights than those that trainings draw
        torch.manual_seed(seed)
        for name, trunk in (
            ("test_resnet", Backbone("test_resnet", output_stride=8).trunk),
            *((f"test_vit{size}", Tokens("test_vit", patch_size=size).trunk) for size in (8, 16)),
        ):
            state = trunk.state_dict()
            if name == "test_resnet":  # no branch of a block is 0, as when drawn
                state = {key: one + 0.1 * torch.rand_like(one) if one.is_floating_point() else one for key, one in state.items()}
            safetensors.torch.save_file(state, folder / f"{name}_{number}.safetensors")
        for name, width in (("vit8", 64), ("vit16", 64), ("resnet", 144)):  # of a resnet, of two stages
            vectors = np.random.default_rng(seed).random((20, width), np.float32)
            save_components(PrincipalComponents.fit([vectors], 3), folder / f"components_{name}_{number}.safetensors")
    shutil.copytree(folder, folder / "copy")
    return folder


# --- The law ---


def lively(block: Plain, kind: type, family: str, name: str) -> Plain:
    """A block of params.yaml, small, with values with which parameters can show."""
    plain: Plain = shrunk(block)
    for leaf in leaves(kind, of=f"{family}.{name}"):
        key = leaf.among(LIVELY)
        if key:
            plain = with_values(plain, leaf.path[:-1], {leaf.path[-1]: LIVELY[key]})
    return plain


METHODS = [(family, name) for family in methods.list_families() for name in methods.list_available(family)]
# Blocks that every training passes on to the same code. In the quick suite they are tried whole with these methods, which are quick.
PASSED_ON = ("Trunk", "InitialWeights", "Augmentation", "Colours", "Training", "Descent", "Optimiser")
WITH_ALL = ("classifier.amn", "classifier.cam", "segmenter.pseudo_masks", "affinity.psa", "pretraining.dino")
IN_PART = [one for one in METHODS if one[0] in ("classifier", "segmenter", "affinity", "clicker") and ".".join(one) not in WITH_ALL]
TRIALS = [
    *(pytest.param(*one, PASSED_ON if one in IN_PART else (), id="-".join(one)) for one in METHODS),
    *(pytest.param(*one, (), id="-".join((*one, "whole")), marks=pytest.mark.slow) for one in IN_PART),
]


@pytest.mark.parametrize(("family", "name", "passed_on"), TRIALS)
def test_every_parameter_changes_the_result(
    family: str,
    name: str,
    passed_on: tuple[str, ...],
    original: dict[str, Any],
    files: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert family in RESULTS, f"say in RESULTS how a result of the family {family} is computed"
    assert name in original[family], f"params.yaml and recipes/methods have no block {family}.{name}"
    try:
        kind = methods.load(family, name)
    except MethodError as error:
        pytest.skip(str(error))
    monkeypatch.chdir(files)
    trial = Trial(
        of=f"{family}.{name}",
        kind=kind,
        usual=lively(original[family][name], kind, family, name),
        compute=lambda method: RESULTS[family](method, tmp_path),
        situations=situations(family, name),
        other_values=other_values(family, name),
        excused=EXCUSED,
        passed_on=passed_on,
    )
    complaints = list(trial.complaints())
    assert not complaints, "\n".join(complaints)


def test_every_name_of_the_tables_is_that_of_a_parameter(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(files)
    named, blocks = set[str](), set[str]()
    for family, name in METHODS:
        for leaf in leaves(methods.load(family, name), of=f"{family}.{name}"):
            named |= {*leaf.keys}
            blocks.add(leaf.block)
    tables = [set(EXCUSED), set(LIVELY), *(set(other_values(*one)) for one in METHODS)]
    assert not set().union(*tables) - named
    assert not set().union(*(situations(*one) for one in METHODS)) - blocks
    assert set(RESULTS) == set(methods.list_families())
