"""dvc.yaml says what the code does: in this project, and not in copies that break it."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from seedbed.run import fingerprint
from seedbed.tools.dependencies import find_code, list_pipelines, render_pipeline
from seedbed.tools.rounds import add
from tests.laws import pipeline_laws
from tests.laws.broken_copy import BrokenCopy, Law
from tests.laws.source_tree import PROJECT, SourceTree

LAWS: list[Law] = [
    pipeline_laws.code_deps_are_complete,
    pipeline_laws.data_deps_are_complete,
    pipeline_laws.raw_data_are_watched,
    pipeline_laws.maps_have_slots,
    pipeline_laws.params_are_complete,
    pipeline_laws.outs_have_schemas,
    pipeline_laws.labels_have_charts,
    pipeline_laws.trainings_have_plots,
    pipeline_laws.one_word_per_step,
]


@pytest.mark.parametrize("law", LAWS)
def test_every_pipeline_keeps_the_law(law: Law, checkout: SourceTree) -> None:
    assert {pipeline.folder: law(pipeline) for pipeline in checkout.pipelines} == {pipeline.folder: [] for pipeline in checkout.pipelines}


# A second pipeline in a folder.


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, checkout: SourceTree) -> Path:
    """Files of a pipeline of two stages, as `make docs` writes it beside the first."""
    root, stages, yaml = tmp_path_factory.mktemp("second"), ("dataset", "pretraining"), YAML(typ="safe")
    shutil.copy(checkout.root / "dvc.yaml", root)
    folder = root / "pipelines" / "second"
    folder.mkdir(parents=True)
    yaml.dump({"stages": {stage: checkout.dvc[stage] for stage in stages}}, folder / "dvc.yaml")
    yaml.dump({stage: checkout.params[stage] for stage in stages}, folder / "params.yaml")
    with contextlib.chdir(root):
        [first, file] = list_pipelines()
        assert (first, file) == (Path("dvc.yaml"), Path("pipelines/second/dvc.yaml"))
        file.write_text(render_pipeline(file), encoding="utf-8")
        assert render_pipeline(file) == file.read_text(encoding="utf-8")
    return folder


@pytest.fixture
def second(broken: BrokenCopy, written: Path) -> SourceTree:
    """This pipeline in a copy of the project."""
    shutil.copytree(written, broken.root / "pipelines" / "second")
    tree = broken.tree.pipelines[-1]
    assert tree.folder == Path("pipelines/second") and list(tree.dvc) == ["dataset", "pretraining"]
    return tree


def test_a_pipeline_in_a_folder_keeps_the_laws_too(second: SourceTree) -> None:
    assert [violation for law in LAWS for violation in law(second)] == []
    assert "../../seedbed/dataset/${dataset.method}.py" in second.dvc["dataset"]["deps"]


def test_a_pipeline_in_a_folder_that_breaks_a_law_is_found(broken: BrokenCopy, second: SourceTree) -> None:
    file = f"{second.folder}/dvc.yaml"
    broken.replace(file, "- ../../seedbed/types.py\n", "- seedbed/types.py\n")
    tree = broken.tree.pipelines[-1]
    dep = '"- ../../seedbed/types.py" to deps'
    assert [one for one in pipeline_laws.code_deps_are_complete(tree) if "types.py" in one] == [
        f"stage {stage}: {what}"
        for stage in ("dataset", "pretraining")
        for what in (f"add {dep}", 'remove "- seedbed/types.py" from deps: nothing there can change what the stage makes')
    ]
    broken.replace(f"{second.folder}/params.yaml", "pretraining:", "seeds:")
    tree = broken.tree.pipelines[-1]
    assert pipeline_laws.one_word_per_step(tree) == [
        "stage pretraining: add a section pretraining: to params.yaml",
        "section seeds of params.yaml: remove it, or add a stage seeds to dvc.yaml",
    ]


def test_a_stage_of_a_second_pipeline_alone_is_not_left_over(broken: BrokenCopy, second: SourceTree) -> None:
    text = (broken.root / "dvc.yaml").read_text(encoding="utf-8")
    begin, end = text.index("  pretraining:\n"), text.index("  features:\n")
    (broken.root / "dvc.yaml").write_text(text[:begin] + text[end:], encoding="utf-8")
    assert pipeline_laws.outs_have_schemas(broken.tree) == []
    assert pipeline_laws.one_word_per_step(broken.tree) == [
        "section pretraining of params.yaml: remove it, or add a stage pretraining to dvc.yaml"
    ]


@pytest.mark.parametrize(("stage", "dep"), [("saliency", "- ${saliency.folder}"), ("seeds", "- ${seeds.corrections}")])
def test_a_folder_or_file_that_a_stage_opens_is_among_its_deps(broken: BrokenCopy, stage: str, dep: str) -> None:
    broken.change_stage(stage, dep, "")
    assert broken.new(pipeline_laws.data_deps_are_complete) == [f'stage {stage}: add "{dep}" to deps']


def test_an_artifact_that_a_stage_opens_by_its_path_is_among_its_deps(broken: BrokenCopy) -> None:
    broken.replace("pipelines/mis/dvc.yaml", "      - ${clicks.start}\n", "")
    [mis] = [tree for tree in broken.tree.pipelines if tree.folder == Path("pipelines/mis")]
    assert pipeline_laws.data_deps_are_complete(mis) == ['stage clicks: add "- ${clicks.start}" to deps']


# Code that a stage runs.


@pytest.mark.parametrize(
    ("stage", "dep"),
    [
        ("superpixels", "seedbed/algorithms"),  # only a method imports it
        ("superpixels", "seedbed/superpixels/${superpixels.method}.py"),
        ("superpixels", "seedbed/superpixels/__init__.py"),
        ("superpixels", "seedbed/reads.py"),
        ("superpixels", "seedbed/store/schemas.py"),
        ("dataset", "seedbed/dataset/folder.py"),  # a method that another method imports
        ("cams", "seedbed/classifier"),  # loaded as the artifact's method
        ("classifier", "seedbed/networks"),
        ("evaluation", "seedbed/report"),
    ],
)
def test_a_missing_module_is_found(broken: BrokenCopy, stage: str, dep: str) -> None:
    broken.change_stage(stage, f"- {dep}", "")
    assert broken.new(pipeline_laws.code_deps_are_complete) == [f'stage {stage}: add "- {dep}" to deps']


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("stages/seeds.py", "import seedbed.networks.deeplab"),
        ("seedbed/images.py", "def later():\n    from seedbed.networks.deeplab import DeepLab"),
        ("seedbed/seeds/superpixel_background.py", "from seedbed.networks import deeplab"),
        ("seedbed/seeds/__init__.py", "from ..networks.deeplab import DeepLab"),
        ("seedbed/seeds/second.py", "from seedbed.networks import deeplab"),  # a method that is not selected
    ],
)
def test_a_module_that_is_newly_used_is_found(broken: BrokenCopy, file: str, text: str) -> None:
    broken.append("stages/seeds.py", "from seedbed import images")
    broken.append(file, text)
    assert 'stage seeds: add "- seedbed/networks" to deps' in broken.new(pipeline_laws.code_deps_are_complete)


def test_a_sibling_of_a_method_is_found(broken: BrokenCopy) -> None:
    broken.append("seedbed/seeds/_shared.py", "")
    broken.append("seedbed/seeds/superpixel_background.py", "from seedbed.seeds import _shared")
    assert broken.new(pipeline_laws.code_deps_are_complete) == ['stage seeds: add "- seedbed/seeds/_shared.py" to deps']


@pytest.mark.parametrize(
    "dep", ["seedbed/networks", "seedbed/run", "seedbed/no_such.py", "seedbed/cams/${cams.method}.py", "seedbed/cams/multiscale.py"]
)
def test_a_module_too_many_is_found(broken: BrokenCopy, dep: str) -> None:
    broken.change_stage("seeds", "- stages/seeds.py", f"- stages/seeds.py\n- {dep}")
    assert broken.new(pipeline_laws.code_deps_are_complete) == [
        f'stage seeds: remove "- {dep}" from deps: nothing there can change what the stage makes'
    ]


def test_a_pattern_without_a_file_is_found(broken: BrokenCopy) -> None:
    broken.replace("params.yaml", "method: superpixel_background", "method: absent")
    assert broken.new(pipeline_laws.code_deps_are_complete) == [
        'stage seeds: "- seedbed/seeds/${seeds.method}.py" of deps is seedbed/seeds/absent.py, which does not exist'
    ]


LOADED = """
import sys
from seedbed.params import Params
from seedbed.{stage} import Method
import stages.{stage}
Params.read().method(Method)
print(*(name for name in sys.modules if name.split(".")[0] in ("seedbed", "stages")))
"""


def unlisted(tree: SourceTree, stage: str) -> list[str]:
    """Modules that compute, that a stage's process really loaded, whatever it does, and that are not among its deps."""
    loaded = run_text(LOADED.format(stage=stage), tree.root)
    listed = {pipeline_laws.filled_in(tree, dep) for dep in tree.dvc[stage]["deps"]}
    computing = (tree.file(module) for module in {*loaded} - list_loaded_by_every_run() if not fingerprint.carries(module))
    return sorted(file for file in computing if not {file, *map(str, Path(file).parents)} & listed)


@cache
def list_loaded_by_every_run() -> set[str]:
    """Modules that each stage's process loads to begin with."""
    return {*run_text("import sys, seedbed.run.stage\nprint(*sys.modules)", PROJECT)}


def run_text(text: str, root: Path) -> list[str]:
    """Words that a Python program prints, run in a checkout."""
    return subprocess.run([sys.executable, "-c", text], cwd=root, capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.parametrize("stage", ["seeds", "evaluation"])
def test_a_running_stage_loads_nothing_else(checkout: SourceTree, stage: str) -> None:
    assert unlisted(checkout, stage) == []


def test_the_file_is_written_as_the_law_wants_it(checkout: SourceTree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(checkout.root)
    assert render_pipeline() == Path("dvc.yaml").read_text(encoding="utf-8")
    assert {stage: set(find_code(stage)) for stage in checkout.stages} == {
        stage: pipeline_laws.code_deps(checkout, stage) for stage in checkout.stages
    }


def test_a_running_stage_shows_what_is_missing(broken: BrokenCopy) -> None:
    broken.append("seedbed/rounding.py", "")
    broken.append("seedbed/seeds/superpixel_background.py", "import seedbed.rounding")
    broken.change_stage("seeds", "- seedbed/seeds/__init__.py", "")
    assert unlisted(broken.tree, "seeds") == ["seedbed/rounding.py", "seedbed/seeds/__init__.py"]


# Data that a stage reads.


@pytest.mark.parametrize(
    ("stage", "dep"),
    [
        ("seeds", "data/${seeds.superpixels}.zarr"),
        ("cams", "data/${cams.classifier}.zarr"),
        ("segmenter", "data/${segmenter.maps.labels}.zarr"),
        ("evaluation", "data/${evaluation.labels.masks}.zarr"),
        ("evaluation", "data/${evaluation.predictions}.zarr"),
        ("evaluation", "${dataset.root}"),
        ("dataset", "${dataset.root}"),
    ],
)
def test_missing_data_is_found(broken: BrokenCopy, stage: str, dep: str) -> None:
    broken.change_stage(stage, f"- {dep}", "")
    assert broken.new(pipeline_laws.data_deps_are_complete) == [f'stage {stage}: add "- {dep}" to deps']


@pytest.mark.parametrize("dep", ["data/features.zarr", "data/${segmenter.maps.labels}.zarr", "${dataset.root}"])
def test_data_too_many_are_found(broken: BrokenCopy, dep: str) -> None:
    broken.change_stage("seeds", "- data/dataset.zarr", f"- data/dataset.zarr\n- {dep}")
    assert broken.new(pipeline_laws.data_deps_are_complete) == [f'stage seeds: remove "- {dep}" from deps: the stage does not open it']


@pytest.mark.parametrize(
    "text",
    [
        'def more(run: Run) -> None:\n    run.open("features")',
        'NAMES = ("features", "dataset")\ndef more(run: Run) -> None:\n    [run.open(name) for name in NAMES]',
        'NAME = "features"\ndef more(again: Run) -> None:\n    for name in [NAME]:\n        again.open(name)',
        'def more(run: Run) -> None:\n    run.per_image(method, label, method, run.open("features"), image_ids=[])',
        'def more(run: Run) -> None:\n    run.training(method, learn, Samples(run.open("features"), [], [], maps={}))',
    ],
)
def test_data_that_are_newly_opened_are_found(broken: BrokenCopy, text: str) -> None:
    broken.append("stages/seeds.py", text)
    assert broken.new(pipeline_laws.data_deps_are_complete) == ['stage seeds: add "- data/features.zarr" to deps']


@pytest.mark.parametrize("opening", ['run.open("fea" + "tures")', "run.open(name)", "opening = run.open", "map(run.open, names)"])
def test_data_opened_in_disguise_are_found(broken: BrokenCopy, opening: str) -> None:
    where = broken.append("stages/seeds.py", f"def more(run: Run, name: str) -> None: {opening}")
    assert broken.new(pipeline_laws.data_deps_are_complete) == [f"{where}: name what run.open opens, so that dvc.yaml can be checked"]


def test_raw_data_that_nobody_watches_are_found(broken: BrokenCopy) -> None:
    broken.replace("stages/evaluation.py", "run.images_watching_raw_data(data)", "run.images(data)")
    assert broken.new(pipeline_laws.raw_data_are_watched) == [
        "stage evaluation: get the raw data by run.images_watching_raw_data or run.read_raw"
    ]


def test_raw_data_that_are_watched_without_need_are_found(broken: BrokenCopy) -> None:
    broken.replace("stages/superpixels.py", "run.images(data)", "run.images_watching_raw_data(data)")
    assert broken.new(pipeline_laws.raw_data_are_watched) == ["stage superpixels: do without run.images_watching_raw_data or run.read_raw"]


def test_a_map_that_a_method_newly_takes_is_found(broken: BrokenCopy) -> None:
    broken.append("seedbed/classifier/second.py", 'maps = ("confidence",)')
    assert broken.new(pipeline_laws.data_deps_are_complete) == ['stage classifier: add "- data/${classifier.maps.confidence}.zarr" to deps']
    assert broken.new(pipeline_laws.maps_have_slots) == [
        'params.yaml: add "confidence: none" to classifier.maps: seedbed/classifier/second.py can learn from confidence'
    ]


def test_a_slot_without_a_dep_is_found(broken: BrokenCopy) -> None:
    broken.replace("params.yaml", "maps: {labels: none,", "maps: {confidence: refinement, labels: none,")
    assert broken.new(pipeline_laws.data_deps_are_complete) == ['stage classifier: add "- data/${classifier.maps.confidence}.zarr" to deps']


def test_another_view_without_a_dep_is_found(broken: BrokenCopy) -> None:
    broken.replace("params.yaml", "views: {} # the same", "views: {mirrored: features} # the same")
    assert broken.new(pipeline_laws.data_deps_are_complete) == ['stage cams: add "- data/${cams.views.mirrored}.zarr" to deps']


def test_labels_without_a_dep_and_without_charts_are_found(broken: BrokenCopy) -> None:
    broken.replace("params.yaml", "labels: {seeds: seeds,", "labels: {first: seeds, seeds: seeds,")
    assert broken.new(pipeline_laws.data_deps_are_complete) == ['stage evaluation: add "- data/${evaluation.labels.first}.zarr" to deps']
    assert broken.new(pipeline_laws.labels_have_charts) == [
        f'stage evaluation: add "- data/plots/{name}" to plots'
        for name in ("confusion_first.csv", "confusion_first.png", "errors_first.png")
    ]


def test_charts_of_labels_that_nobody_judges_are_found(broken: BrokenCopy) -> None:
    broken.replace("params.yaml", "labels: {seeds: seeds, ", "labels: {")
    why = "evaluation.labels has no such slot"
    assert broken.new(pipeline_laws.labels_have_charts) == [
        f'stage evaluation: remove "- data/plots/{name}" from plots: {why}'
        for name in ("confusion_seeds.csv", "confusion_seeds.png", "errors_seeds.png")
    ]


@pytest.mark.parametrize(
    ("door", "what"), [("open_slot", "what run.open_slot opens"), ("open_slots", "the settings that run.open_slots reads")]
)
def test_slots_opened_in_disguise_are_found(broken: BrokenCopy, door: str, what: str) -> None:
    where = broken.append("stages/seeds.py", f"def more(run: Run, slots: dict[str, str]) -> None: run.{door}(slots)")
    assert broken.new(pipeline_laws.data_deps_are_complete) == [f"{where}: name {what}, so that dvc.yaml can be checked"]


def test_maps_opened_in_disguise_are_found(broken: BrokenCopy) -> None:
    where = broken.append("stages/seeds.py", "def more(run: Run) -> None: run.maps(('labels',), {'labels': 'cams'})")
    assert broken.new(pipeline_laws.data_deps_are_complete) == [
        f"{where}: name the settings that run.maps reads, so that dvc.yaml can be checked"
    ]


# Parameters that a stage reads.


@pytest.mark.parametrize(
    ("stage", "param"),
    [
        ("seeds", "seeds.method"),
        ("seeds", "seeds.${seeds.method}"),
        ("seeds", "seeds.superpixels"),
        ("segmenter", "segmenter.maps"),
        ("dataset", "dataset.max_size"),
    ],
)
def test_a_missing_parameter_is_found(broken: BrokenCopy, stage: str, param: str) -> None:
    broken.change_stage(stage, f"- {param}", "")
    assert broken.new(pipeline_laws.params_are_complete) == [f'stage {stage}: add "- {param}" to params']


@pytest.mark.parametrize("param", ["cams.${cams.method}", "segmenter.split", "seeds.threshold"])
def test_a_parameter_too_many_is_found(broken: BrokenCopy, param: str) -> None:
    broken.change_stage("seeds", "- seeds.method", f"- seeds.method\n- {param}")
    assert broken.new(pipeline_laws.params_are_complete) == [f'stage seeds: remove "- {param}" from params: the stage does not read it']


def test_a_new_setting_is_found(broken: BrokenCopy) -> None:
    broken.replace("seedbed/segmenter/__init__.py", "    split: str", "    fold: int\n    split: str")
    assert broken.new(pipeline_laws.params_are_complete) == ['stage segmenter: add "- segmenter.fold" to params']


@pytest.mark.parametrize("reading", ["run.params.method(kind)", "run.params.method_name('seeds')", "f(run.params)", "run.params.settings"])
def test_a_parameter_read_in_disguise_is_found(broken: BrokenCopy, reading: str) -> None:
    where = broken.append("stages/seeds.py", f"def more(run: Run) -> None: {reading}")
    assert broken.new(pipeline_laws.params_are_complete) == [
        f"{where}: ask run.params only .method(family.Method) or .settings(family.Settings), so that dvc.yaml can be checked"
    ]


# What a stage leaves.


def test_an_out_without_a_schema_is_found(broken: BrokenCopy) -> None:
    broken.change_stage("seeds", "- data/seeds.zarr", "- data/sprouts.zarr")
    assert broken.new(pipeline_laws.outs_have_schemas) == [
        "seedbed/store/schemas.py: add 'sprouts' to SCHEMAS: data/sprouts.zarr is an out in dvc.yaml",
        "seedbed/store/schemas.py: remove 'seeds' from SCHEMAS: no stage of dvc.yaml leaves data/seeds.zarr",
    ]


def test_dimensions_without_and_beyond_a_vocabulary_are_found(broken: BrokenCopy) -> None:
    broken.replace("seedbed/store/schemas.py", '("step", ', '("time", ')
    assert broken.new(pipeline_laws.outs_have_schemas) == [
        "seedbed/store/schemas.py: add 'time' to DIMENSIONS: an array has it",
        "seedbed/store/schemas.py: remove 'step' from DIMENSIONS: no array has it",
    ]


# One word per step.


def test_a_stage_of_which_nothing_is_there_is_found(broken: BrokenCopy) -> None:
    broken.append("dvc.yaml", "  sprouts:\n    cmd: python -m stages.sprout\n    deps: []")
    assert broken.new(pipeline_laws.one_word_per_step) == [
        "stage sprouts: add stages/sprouts.py",
        'stage sprouts: end stages/sprouts.py with run_stage(main, "sprouts")',
        "stage sprouts: add seedbed/sprouts/__init__.py with a class Method",
        "stage sprouts: add a section sprouts: to params.yaml",
        'stage sprouts: write "cmd: python -m stages.sprouts"',
        'stage sprouts: write "- data/sprouts.zarr" as the one artifact of outs',
        "stage sprouts: add tests/sprouts/test_<method>.py",
    ]


def test_what_belongs_to_no_stage_is_found(broken: BrokenCopy) -> None:
    broken.append("stages/sprouts.py", "")
    broken.append("seedbed/sprouts/__init__.py", "\nclass Method(Base): ...")
    broken.append("params.yaml", "sprouts: {}")
    assert broken.new(pipeline_laws.one_word_per_step) == [
        f"{what}: remove it, or add a stage sprouts to dvc.yaml"
        for what in ("stages/sprouts.py", "seedbed/sprouts/", "section sprouts of params.yaml")
    ]


def test_a_stage_that_runs_as_another_is_found(broken: BrokenCopy) -> None:
    broken.replace("stages/seeds.py", 'run_stage(main, "seeds")', 'run_stage(main, "cams")')
    assert broken.new(pipeline_laws.one_word_per_step) == ['stage seeds: end stages/seeds.py with run_stage(main, "seeds")']


def test_a_family_without_a_contract_is_found(broken: BrokenCopy) -> None:
    broken.replace("seedbed/seeds/__init__.py", "class Method(", "class Sower(")
    assert broken.new(pipeline_laws.one_word_per_step) == ["stage seeds: add seedbed/seeds/__init__.py with a class Method"]


def test_a_stage_without_tests_is_found(broken: BrokenCopy) -> None:
    for test in (broken.root / "tests").rglob("test_*.py"):
        if test.parent.name == "seeds" or "seeds" in test.name:
            test.unlink()
    assert "stage seeds: add tests/seeds/test_<method>.py" in pipeline_laws.one_word_per_step(broken.tree)


# A second stage of one kind.


@pytest.fixture(scope="module")
def completed(tmp_path_factory: pytest.TempPathFactory, project: Path) -> Path:
    """Files of a pipeline with a second classifier, its class maps and masks."""
    folder = tmp_path_factory.mktemp("rounds")
    for file in ("dvc.yaml", "params.yaml"):
        shutil.copy(project / file, folder)
    with contextlib.chdir(folder):
        assert [*add("second", ["classifier", "cams", "refinement"])]
        assert render_pipeline() == Path("dvc.yaml").read_text(encoding="utf-8")
    return folder


@pytest.fixture
def rounds(broken: BrokenCopy, completed: Path) -> BrokenCopy:
    """A copy of the project with this pipeline."""
    shutil.copytree(completed, broken.root, dirs_exist_ok=True)
    return broken


def test_a_second_stage_of_a_kind_keeps_the_laws(rounds: BrokenCopy) -> None:
    assert [violation for law in LAWS for violation in law(rounds.tree)] == []
    assert rounds.tree.dvc["cams_second"] == {
        "desc": "class maps, second round",
        "cmd": "python -m stages.cams --as cams_second",
        "deps": [
            "data/dataset.zarr",
            "data/${cams_second.classifier}.zarr",
            *(dep.replace("${cams.", "${cams_second.") for dep in rounds.tree.dvc["cams"]["deps"][2:]),
        ],
        "params": [
            "cams_second.method",
            "cams_second.classifier",
            "cams_second.features",
            "cams_second.views",
            "cams_second.${cams_second.method}",
        ],
        "outs": ["data/cams_second.zarr"],
    }
    assert "seedbed/cams/${cams_second.method}.py" in rounds.tree.dvc["cams_second"]["deps"]


@pytest.mark.parametrize(
    ("stage", "old", "new", "law", "message"),
    [
        (
            "cams_second",
            "- data/${cams_second.classifier}.zarr",
            "- data/${cams.classifier}.zarr",
            pipeline_laws.data_deps_are_complete,
            'stage cams_second: add "- data/${cams_second.classifier}.zarr" to deps',
        ),
        (
            "cams_second",
            "- seedbed/cams/${cams_second.method}.py",
            "- seedbed/cams/${cams.method}.py",
            pipeline_laws.code_deps_are_complete,
            'stage cams_second: add "- seedbed/cams/${cams_second.method}.py" to deps',
        ),
        (
            "cams_second",
            "- cams_second.method",
            "- cams.method",
            pipeline_laws.params_are_complete,
            'stage cams_second: add "- cams_second.method" to params',
        ),
        (
            "cams_second",
            "cmd: python -m stages.cams --as cams_second",
            "cmd: python -m stages.cams",
            pipeline_laws.one_word_per_step,
            'stage cams_second: write "cmd: python -m stages.cams --as cams_second"',
        ),
        (
            "classifier_second",
            "- data/plots/classifier_second.csv:",
            "- data/plots/classifier.csv:",
            pipeline_laws.trainings_have_plots,
            'stage classifier_second: add "- data/plots/classifier_second.csv" to plots',
        ),
    ],
)
def test_what_a_second_stage_says_of_the_first_is_found(rounds: BrokenCopy, stage: str, old: str, new: str, law: Law, message: str) -> None:
    rounds.change_stage(stage, old, new)
    assert law(rounds.tree)[0] == message
