"""Imports go one way, the truth stays out of training, and nothing is pickled: in this project, and not in copies that break it."""

from __future__ import annotations

import pytest

from tests.laws import import_laws
from tests.laws.broken_copy import BrokenCopy, Law
from tests.laws.source_tree import SourceTree

LAWS: list[Law] = [
    import_laws.import_directions,
    import_laws.every_room_has_a_place,
    import_laws.dynamic_imports,
    import_laws.no_back_doors,
    import_laws.truth_stays_out,
    import_laws.truth_is_named_once,
    import_laws.no_pickle,
]
BEHIND = "store and methods and params and run and view and tools and cli"


@pytest.mark.parametrize("law", LAWS)
def test_the_project_keeps_the_law(law: Law, checkout: SourceTree) -> None:
    assert law(checkout) == []


@pytest.mark.parametrize(
    ("file", "line", "violation"),
    [
        ("stages/seeds.py", "from stages import cams", "stages.cams: nothing imports a stage; what two stages need belongs to seedbed/"),
        (
            "seedbed/algorithms/crf.py",
            "import stages.seeds",
            "stages.seeds: nothing imports a stage; what two stages need belongs to seedbed/",
        ),
        (
            "seedbed/algorithms/crf.py",
            "from seedbed.seeds import Method",
            "seedbed.seeds: algorithms comes before seeds, and a room imports only what stands before it",
        ),
        (
            "seedbed/algorithms/crf.py",
            "def f():\n    from seedbed import seeds",
            "seedbed.seeds: algorithms comes before seeds, and a room imports only what stands before it",
        ),
        (
            "seedbed/algorithms/crf.py",
            "from .. import seeds",
            "seedbed.seeds: algorithms comes before seeds, and a room imports only what stands before it",
        ),
        ("seedbed/seeds/superpixel_background.py", "import seedbed.cams", "seedbed.cams: family seeds imports no other family"),
        ("seedbed/seeds/__init__.py", "from ..cams import multiscale", "seedbed.cams.multiscale: family seeds imports no other family"),
        ("seedbed/seeds/_shared.py", "from seedbed import cams", "seedbed.cams: family seeds imports no other family"),
        (
            "seedbed/algorithms/crf.py",
            "import seedbed\nseedbed.cams.Method",
            "seedbed.cams: algorithms comes before cams, and a room imports only what stands before it",
        ),
        ("seedbed/algorithms/crf.py", "from benchmarks import supervised", "benchmarks.supervised: the pipeline stands without benchmarks"),
        ("stages/seeds.py", "import tests.conftest", "tests.conftest: the pipeline stands without tests"),
        (
            "seedbed/algorithms/crf.py",
            "from seedbed.tools import doctor",
            "seedbed.tools.doctor: algorithms comes before tools, and a room imports only what stands before it",
        ),
    ],
)
def test_an_import_in_the_wrong_direction_is_found(broken: BrokenCopy, file: str, line: str, violation: str) -> None:
    broken.append("seedbed/tools/doctor.py", "")
    where = broken.append(file, line).removesuffix(":1")
    found = [one for one in broken.new(import_laws.import_directions) if one.startswith(where.partition(":")[0])]
    assert [one.partition(": remove the import of ")[2] for one in found] == [violation]


def test_an_import_is_found_where_it_stands(broken: BrokenCopy) -> None:
    where = broken.append("seedbed/algorithms/crf.py", "import seedbed.cams.multiscale")
    assert broken.new(import_laws.import_directions) == [
        f"{where}: remove the import of seedbed.cams.multiscale: "
        "algorithms comes before cams, and a room imports only what stands before it"
    ]


def test_a_room_that_nobody_knows_or_that_says_nothing_is_found(broken: BrokenCopy) -> None:
    broken.append("seedbed/attic/__init__.py", '"""Things. Nobody imports them."""')
    broken.replace("seedbed/algorithms/__init__.py", "Algorithms that", "Algorithms, that")
    assert broken.new(import_laws.every_room_has_a_place) == [
        "seedbed/attic/__init__.py: give attic a place among the rooms of tests/laws/import_laws.py, or a class Method"
    ]
    (broken.root / "seedbed/algorithms/__init__.py").write_text('"""Algorithms."""', encoding="utf-8")
    wanted = "seedbed/algorithms/__init__.py: say in two sentences what lives there and who may import it"
    assert wanted in broken.new(import_laws.every_room_has_a_place)


def test_siblings_core_and_benchmarks_are_free(broken: BrokenCopy) -> None:
    broken.append("seedbed/seeds/_shared.py", "from seedbed import seeds, types")
    broken.append("seedbed/seeds/superpixel_background.py", "from seedbed.seeds import _shared")
    broken.append("benchmarks/supervised.py", "from seedbed import truth, seeds, cams\nfrom stages import segmenter")
    assert broken.new(import_laws.import_directions) == []
    assert broken.new(import_laws.truth_stays_out) == []


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("importlib.import_module('seedbed.scoring.truth')", "importlib.import_module"),
        ("import importlib", "importlib"),
        ("from importlib import import_module as load", "importlib.import_module"),
        ("from importlib.util import spec_from_file_location", "importlib.util.spec_from_file_location"),
        ("import runpy", "runpy"),
        ("__import__('seedbed.scoring.truth')", "__import__"),
        ("exec('import seedbed.scoring.truth')", "exec"),
        ("eval('1')", "eval"),
        ("find = eval", "eval"),
    ],
)
def test_an_import_by_name_is_found(broken: BrokenCopy, text: str, name: str) -> None:
    where = broken.append("stages/seeds.py", text)
    assert f"{where}: remove {name}: only seedbed/methods.py imports by name" in broken.new(import_laws.dynamic_imports)


def test_words_that_only_look_like_imports_by_name_are_free(broken: BrokenCopy) -> None:
    broken.append(
        "seedbed/algorithms/crf.py", "import importlib.metadata\nimportlib.metadata.version('x')\nnetwork.eval()\nre.compile('x')"
    )
    assert broken.new(import_laws.dynamic_imports) == []


@pytest.mark.parametrize(
    ("file", "text", "name", "rule"),
    [
        (
            "stages/seeds.py",
            "from seedbed.store.artifact import open_artifact",
            "seedbed.store.artifact.open_artifact",
            f"{BEHIND} may use seedbed.store.artifact.open_artifact",
        ),
        (
            "stages/seeds.py",
            "from seedbed.store.store import Store",
            "seedbed.store.store.Store",
            f"{BEHIND} may use seedbed.store.store",
        ),
        (
            "seedbed/algorithms/crf.py",
            "import seedbed.run.shards",
            "seedbed.run.shards",
            "run and view and tools and cli may use seedbed.run.shards",
        ),
        (
            "stages/seeds.py",
            "from seedbed.params import Params",
            "seedbed.params.Params",
            f"{BEHIND} may use seedbed.params",
        ),
        (
            "seedbed/algorithms/crf.py",
            "from seedbed.methods import load",
            "seedbed.methods.load",
            f"{BEHIND} may use seedbed.methods.load",
        ),
        (
            "seedbed/algorithms/crf.py",
            "from seedbed.run.stage import Run",
            "seedbed.run.stage.Run",
            "stages and view and tools and cli may use seedbed.run.stage",
        ),
    ],
)
def test_a_way_around_the_run_is_found(broken: BrokenCopy, file: str, text: str, name: str, rule: str) -> None:
    where = broken.append(file, text)
    assert broken.new(import_laws.no_back_doors) == [f"{where}: remove {name}: only {rule}"]


@pytest.mark.parametrize(
    ("file", "route"),
    [
        ("stages/segmenter.py", "stages.segmenter -> seedbed.scoring.truth"),
        ("seedbed/learning/loop.py", "seedbed.learning.loop -> seedbed.scoring.truth"),
        ("seedbed/learning/loop.py", "seedbed.networks.backbones -> seedbed.learning.loop -> seedbed.scoring.truth"),
        ("seedbed/segmenter/pseudo_masks.py", "stages.segmenter -> seedbed.segmenter.pseudo_masks -> seedbed.scoring.truth"),
        ("seedbed/evaluation/standard.py", "seedbed.evaluation.standard -> seedbed.scoring.truth"),
        ("seedbed/cli.py", "seedbed.cli -> seedbed.scoring.truth"),
    ],
)
@pytest.mark.parametrize(
    "text",
    ["import seedbed.scoring.truth", "def f():\n    from seedbed.scoring.truth import read", "import seedbed\nseedbed.scoring.truth.read"],
)
def test_a_way_to_the_truth_is_found(broken: BrokenCopy, file: str, route: str, text: str) -> None:
    broken.append("seedbed/networks/backbones.py", "import seedbed.learning.loop")
    broken.append(file, text)
    start = f"{route.partition(' ')[0].replace('.', '/')}.py"
    assert f"{start}: must not reach seedbed.scoring.truth, the reader of pixel labels: break {route}" in broken.new(
        import_laws.truth_stays_out
    )


def test_a_way_to_the_truth_by_way_of_true_things_is_found(broken: BrokenCopy) -> None:
    broken.append("stages/segmenter.py", "from seedbed.scoring.instance_truth import InstanceTruth")
    route = "stages.segmenter -> seedbed.scoring.instance_truth -> seedbed.scoring.truth"
    told = f"stages/segmenter.py: must not reach seedbed.scoring.truth, the reader of pixel labels: break {route}"
    assert broken.new(import_laws.truth_stays_out) == [told]


@pytest.mark.parametrize("text", ["path = root / 'masks' / name", "path = f'{root}/masks/{name}'", "FOLDER = 'masks'"])
@pytest.mark.parametrize(
    "file", ["seedbed/dataset/folder.py", "seedbed/learning/samples.py", "seedbed/evaluation/standard.py", "stages/segmenter.py"]
)
def test_a_path_to_the_truth_is_found(broken: BrokenCopy, file: str, text: str) -> None:
    where = broken.append(file, text)
    assert broken.new(import_laws.truth_is_named_once) == [
        f'{where}: remove the path "masks": only seedbed/scoring/truth.py knows where ground truth lies'
    ]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        *((f"import {name}", name) for name in ("pickle", "cPickle", "dill", "joblib", "cloudpickle", "shelve")),
        ("from pickle import loads", "pickle.loads"),
        ("import numpy as np\nnp.load(path)", "numpy.load"),
        ("from numpy import save as keep", "numpy.save"),
        ("import numpy as np; np.savez(path)", "numpy.savez"),
        ("import torch\ntorch.load(path, weights_only=True)", "torch.load"),
        ("import torch as t\nwrite = t.save", "torch.save"),
        ("fabric.save(path, state)", "fabric.save"),
        ("self._fabric.load(path)", "self._fabric.load"),
    ],
)
def test_a_pickle_is_found(broken: BrokenCopy, text: str, name: str) -> None:
    where = broken.append("seedbed/report/export.py", text)
    last = f"seedbed/report/export.py:{int(where.partition(':')[2]) + text.count(chr(10))}"
    assert broken.new(import_laws.no_pickle)[-1:] == [f"{last}: remove {name}: no pickle; arrays are zarr, weights safetensors or zarr"]


@pytest.mark.parametrize("file", ["seedbed/seeds/__init__.py", "stages/seeds.py", "benchmarks/supervised.py"])
def test_a_pickle_is_found_everywhere(broken: BrokenCopy, file: str) -> None:
    where = broken.append(file, "import pickle")
    assert broken.new(import_laws.no_pickle) == [f"{where}: remove pickle: no pickle; arrays are zarr, weights safetensors or zarr"]


@pytest.mark.parametrize("options", ["", ", weights_only=False", ", weights_only=everything", ", weights_only=True"])
def test_foreign_weights_are_read_in_one_place_and_as_nothing_else(broken: BrokenCopy, options: str) -> None:
    where = broken.append("seedbed/networks/weights.py", f"torch.load(path{options})")
    assert broken.new(import_laws.no_pickle) == [f"{where}: remove torch.load: no pickle; arrays are zarr, weights safetensors or zarr"]


def test_allow_pickle_is_found(broken: BrokenCopy) -> None:
    where = broken.append("seedbed/report/export.py", "read(path, allow_pickle=True)")
    assert broken.new(import_laws.no_pickle) == [f"{where}: remove allow_pickle: no pickle; arrays are zarr"]


def test_formats_of_the_house_are_no_pickle(broken: BrokenCopy) -> None:
    broken.append("seedbed/report/export.py", "import safetensors.torch\nsafetensors.torch.load(content)\nzarr.load(path)\ndrawing.save(x)")
    assert broken.new(import_laws.no_pickle) == []
