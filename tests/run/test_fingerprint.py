"""The identity of our code: what computes counts, what is written about it does not."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from seedbed import methods, packages
from seedbed.errors import MachineError
from seedbed.run import fingerprint
from seedbed.run.fingerprint import DECODER, ROOT, carries, digest, running
from seedbed.store.schemas import NONE, SCHEMAS

SOURCES = {
    "seedbed/__init__.py": '"""A package."""\n\n__version__ = "1"\n',
    "seedbed/errors.py": "from seedbed import carried\n",
    "seedbed/carried.py": "X = 1\n",
    "seedbed/far.py": "RATE = 0.5\n",
    "seedbed/near.py": "def near(x: float) -> float:\n    from . import far\n\n    return x * far.RATE\n",
    "seedbed/lonely.py": "import numpy as np\n",
    "seedbed/family/__init__.py": '"""A contract."""\n\n\nclass Method:\n    """What methods promise."""\n\n    size: int\n',
    "seedbed/family/one.py": (
        '"""One method."""\n'
        "\n"
        "import seedbed.errors\n"
        "from seedbed.near import near\n"
        "from ..family import Method\n"
        "\n"
        "\n"
        "class One(Method):\n"
        '    """A method."""\n'
        "\n"
        "    def segment(self, values: list[float]) -> list[float]:\n"
        '        """The verb."""\n'
        "        # a comment\n"
        "        return [near(value) + 1 for value in values]\n"
        "\n"
        "    def promised(self) -> None:\n"
        '        """Nothing."""\n'
    ),
    "stages/__init__.py": "",
    "stages/family.py": "from seedbed import family\n\nSIZES: dict[str, int] = {}\n",
}
ONE = "seedbed/family/one.py"
MODULES = ("stages.family", "seedbed.family.one")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A small project."""
    for name, text in SOURCES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def after(checkout: Path, file: str, old: str, new: str) -> tuple[str, str]:
    """Digests before and after one edit."""
    before = digest(MODULES, root=checkout)
    text = (checkout / file).read_text()
    assert old in text
    (checkout / file).write_text(text.replace(old, new, 1))
    return before, digest(MODULES, root=checkout)


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        (ONE, "# a comment", "# another"),
        (ONE, "        # a comment\n", ""),
        (ONE, "return [", "return [  # why\n            "),
        (ONE, '"""One method."""', '"""The same method, in other words."""'),
        (ONE, '"""A method."""', '"""Another method."""'),
        (ONE, '"""The verb."""\n', ""),
        (ONE, '"""Nothing."""', '"""Nothing\n\n        at all.\n        """'),
        (ONE, "        return", "        'what follows'\n        return"),
        (ONE, "\n\n\nclass", "\n\n\n\n\n\nclass"),
        (ONE, "[near(value) + 1 for value in values]", "[\n            (near(value) + 1)\n            for value in values\n        ]"),
        (ONE, "\n", "\r\n"),
        ("stages/family.py", "{}", "{  }"),
        ("seedbed/family/__init__.py", "What methods promise", "A contract"),
        ("seedbed/near.py", "x * far.RATE", "x*far.RATE"),
        (ONE, '"""Nothing."""', 'print("so far")'),
    ],
)
def test_what_is_written_about_code_does_not_count(checkout: Path, file: str, old: str, new: str) -> None:
    before, now = after(checkout, file, old, new)
    assert now == before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        (ONE, "+ 1", "+ 2"),
        (ONE, "+ 1", "+ 1.0"),
        (ONE, "+ 1", "+ True"),
        (ONE, "+ 1", "- 1"),
        (ONE, "segment", "part"),
        (ONE, "list[float]", "list[int]"),
        (ONE, "class One", "import numpy\n\n\nclass One"),
        (ONE, "class One", "from seedbed import lonely\n\n\nclass One"),
        (ONE, '"""Nothing."""', "raise NotImplementedError"),  # not what is said, but that it is raised
        (ONE, '"""Nothing."""', "return values"),
        (ONE, '"""Nothing."""', 'f"""{self}"""'),
        ("stages/family.py", "{}", "dict()"),
        ("stages/family.py", "{}", "{**{}}"),
        ("stages/family.py", "int", "float"),
        ("seedbed/family/__init__.py", "size: int", "size: int = 3"),  # a package on the way
        ("seedbed/near.py", "x *", "x +"),
        ("seedbed/far.py", "0.5", "0.25"),  # imported within a function, relatively
    ],
)
def test_code_that_computes_counts(checkout: Path, file: str, old: str, new: str) -> None:
    before, now = after(checkout, file, old, new)
    assert now != before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("seedbed/__init__.py", '"1"', '"2"'),
        ("seedbed/errors.py", "carried", "carried, lonely"),
        ("seedbed/carried.py", "1", "2"),  # reached through a carrier alone
        ("seedbed/lonely.py", "np", "numbers"),  # reached by nothing
    ],
)
def test_what_computes_nothing_of_it_does_not_count(checkout: Path, file: str, old: str, new: str) -> None:
    before, now = after(checkout, file, old, new)
    assert now == before


@pytest.mark.parametrize(
    "line", ["import seedbed.lonely", "from seedbed import lonely as other", "from seedbed.lonely import np", "from .. import lonely"]
)
def test_every_way_to_import_is_followed(checkout: Path, line: str) -> None:
    file = checkout / ONE
    file.write_text(f"{line}\n{file.read_text()}")
    before, now = after(checkout, "seedbed/lonely.py", "np", "numbers")
    assert now != before


def test_a_package_imports_relatively_from_itself(checkout: Path) -> None:
    (checkout / "seedbed/family/rest.py").write_text("X = 1\n")
    after(checkout, "seedbed/family/__init__.py", "class", "from . import rest\n\n\nclass")
    before, now = after(checkout, "seedbed/family/rest.py", "1", "2")
    assert now != before


def test_the_package_of_a_module_counts(checkout: Path) -> None:
    (checkout / "seedbed/family/rest.py").write_text("X = 1\n")
    before = digest(["seedbed.family.rest"], root=checkout)
    after(checkout, "seedbed/family/__init__.py", "size", "length")
    assert digest(["seedbed.family.rest"], root=checkout) != before


def test_imports_in_a_circle_come_to_an_end(checkout: Path) -> None:
    before, now = after(checkout, "seedbed/far.py", "RATE", "from seedbed.near import near\n\nRATE")
    assert now != before


def test_the_order_of_modules_does_not_matter_and_all_of_them_count(checkout: Path) -> None:
    assert digest(reversed(MODULES), root=checkout) == digest([*MODULES, *MODULES], root=checkout) == digest(MODULES, root=checkout)
    assert digest(MODULES[:1], root=checkout) != digest(MODULES, root=checkout)


def test_a_mistake_in_a_file_names_it(checkout: Path) -> None:
    (checkout / "seedbed/far.py").write_text("RATE =")
    with pytest.raises(SyntaxError) as raised:
        digest(MODULES, root=checkout)
    assert raised.value.filename == str(checkout / "seedbed/far.py")


def test_the_same_code_under_another_name_is_other_code(checkout: Path) -> None:
    (checkout / "seedbed/copy.py").write_text(SOURCES["seedbed/far.py"])
    assert digest(["seedbed.copy"], root=checkout) != digest(["seedbed.far"], root=checkout)


def test_where_the_checkout_lies_does_not_count(checkout: Path) -> None:
    before = digest(MODULES, root=checkout)
    moved = checkout.rename(checkout.with_name("moved"))
    assert digest(MODULES, root=moved) == before


@pytest.mark.parametrize("name", ["seedbed.family.two", "numpy", "benchmarks.one", ""])
def test_a_module_that_does_not_exist_is_named(checkout: Path, name: str) -> None:
    with pytest.raises(ModuleNotFoundError) as raised:
        digest([*MODULES, name], root=checkout)
    assert str(raised.value) == f"{name}: no module of seedbed or stages below {checkout}"


def test_the_text_that_is_hashed_is_that_of_every_python(tmp_path: Path) -> None:
    """Digests lie in stores that machines with other versions of Python read: these are what 3.11, 3.12 and 3.13 all make."""
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages/all.py").write_text(
        "def f(a, /, *b, c=None, **d):\n"
        "    return f'{a!r:>{c}}' 'x' f'{{{d=}' u'\\u1e9e', b'y', ..., -1e300j, {**d, 1: 2}, a[1:, *b]\n"
        "match f:\n"
        "    case {'a': None, **rest} | [1, *rest]: pass\n"
    )
    assert digest(["stages.all"], root=tmp_path) == "205bfbbc49371fe9664a20ab36470c0fa2e380ff12f78cdce09f4114b868d7d0"


def test_the_code_of_this_checkout() -> None:
    assert digest(["stages.segmenter", "seedbed.segmenter.pseudo_masks"]) != digest(["stages.segmenter"])
    assert digest(["seedbed.algorithms.crf"]) != digest(["seedbed.scoring.metrics"])


def test_what_runs_is_what_is_on_disk() -> None:
    modules = ("seedbed.segmenter.pseudo_masks", "stages.segmenter")
    assert running(modules).digest == digest(modules)
    assert running(modules).whole != running(modules[:1]).whole


@pytest.mark.parametrize("file", ["seedbed/algorithms/crf.py", "seedbed/store/store.py"])  # what computes, and what carries results
@pytest.mark.parametrize("before", [None, b"X = 1\n"])
def test_code_that_changed_in_a_running_process_is_refused(file: str, before: bytes | None, monkeypatch: pytest.MonkeyPatch) -> None:
    fingerprint.running.cache_clear()
    monkeypatch.setitem(fingerprint._AT_FIRST, fingerprint.ROOT / file, before)
    with pytest.raises(MachineError, match=rf"{file}: found code that was changed while process \d+ on .* was running; expected"):
        running(("seedbed.algorithms.crf",))


def test_a_module_that_was_first_imported_after_it_had_changed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it computed would be kept under the digest of what was there when the process began."""
    importlib.import_module("seedbed.algorithms.crf")
    fingerprint.running.cache_clear()
    code, file = running(("seedbed.algorithms.crf",)), fingerprint.ROOT / "seedbed/algorithms/crf.py"
    monkeypatch.setitem(fingerprint._AT_FIRST, file, file.read_bytes() + b"X = 1\n")
    fingerprint.check_running(code)  # it was imported before
    monkeypatch.setattr(fingerprint, "_CHECKED", fingerprint._CHECKED - {"seedbed.algorithms.crf"})
    with pytest.raises(
        MachineError, match=r"seedbed/algorithms/crf.py: found code that was changed while process \d+ on .* was running; expected"
    ):
        fingerprint.check_running(code)


def test_comments_may_change_before_a_process_is_asked_what_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    file = fingerprint.ROOT / "seedbed/algorithms/crf.py"
    before = running(("seedbed.algorithms.crf",))
    fingerprint.running.cache_clear()
    monkeypatch.setitem(fingerprint._AT_FIRST, file, b"# a comment\n" + file.read_bytes())
    assert running(("seedbed.algorithms.crf",)) == before


def test_processes_that_train_together_have_begun_with_the_same_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    sources = fingerprint.startup_digest()
    fingerprint.check_sources(sources)
    monkeypatch.setitem(fingerprint._AT_FIRST, fingerprint.ROOT / "seedbed/algorithms/crf.py", b"X = 1\n")
    with pytest.raises(MachineError, match=r"^process \d+ on .*: found other sources than those of the run that it joins; expected"):
        fingerprint.check_sources(sources)


# --- Packages of others ---


def test_packages_that_compute_are_found_by_imports(checkout: Path) -> None:
    (checkout / "seedbed/far.py").write_text("import scipy.ndimage\nimport json, pydantic\nRATE = 0.5\n")
    (checkout / "seedbed/errors.py").write_text("import torch\n")  # a carrier
    (checkout / ONE).write_text("from cv2 import ximgproc\n" + (checkout / ONE).read_text())
    found = fingerprint.packages(MODULES, root=checkout)
    assert list(found) == ["opencv-contrib-python-headless", "scipy"]
    assert found["scipy"] == importlib.metadata.version("scipy")
    assert fingerprint.packages(["seedbed.lonely"], root=checkout) == {"numpy": importlib.metadata.version("numpy")}


def test_versions_have_no_local_part(monkeypatch: pytest.MonkeyPatch) -> None:
    packages._find_installed.cache_clear()
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "2.13.0+cpu")
    assert packages.versions(["torch"]) == {"torch": "2.13.0"}
    packages._find_installed.cache_clear()


def test_a_package_that_is_not_installed_has_no_version() -> None:
    assert packages.versions(["seedbed_has_no_such_package"]) == {"seedbed_has_no_such_package": ""}


def test_a_package_that_has_another_name_is_found_by_what_it_lets_one_import(monkeypatch: pytest.MonkeyPatch) -> None:
    packages._find_installed.cache_clear()
    monkeypatch.setitem(packages.INSTALLED_AS, "cv2", "opencv-that-nobody-has")
    assert list(packages.versions(["cv2"])) == ["opencv-contrib-python-headless"]
    packages._find_installed.cache_clear()


def test_a_change_of_packages_is_said_in_words() -> None:
    said = fingerprint.other_versions({"numpy": "2.0", "scipy": "1.0", "timm": "1"}, {"numpy": "2.1", "timm": "1", "torch": "3"})
    assert list(said) == ["numpy 2.1 instead of 2.0", "scipy missing instead of 1.0", "torch 3 instead of missing"]


def test_each_stage_depends_on_its_own_packages() -> None:
    features, regions = (set(fingerprint.packages([f"stages.{one}"])) for one in ("cams", "superpixels"))
    assert {"torch", "timm"} <= features and "lightning-fabric" not in features
    assert not {"torch", "timm"} & regions
    assert "scikit-image" in fingerprint.packages(["seedbed.superpixels.dino"])
    assert "pydensecrf2" in fingerprint.packages(["seedbed.algorithms.crf"])


def test_packages_that_are_left_out_compute_nothing() -> None:
    """Another module that imports them may compute with them: then they belong to what results depend on."""
    methods_there = [f"seedbed.{family}.{name}" for family in methods.list_families() for name in methods.list_available(family)]
    sources = fingerprint._sources(
        [*methods_there, *(f"stages.{stage}" for stage in SCHEMAS if stage != NONE)], fingerprint.ROOT, computing_only=True
    )
    found = sorted(name for name, source in sources.items() if "safetensors" in source.imported)
    assert found == [
        "seedbed.learning.checkpoints",
        "seedbed.networks.weights",
    ]


def test_pillow_which_resizes_views_belongs_to_what_depends_on_it() -> None:
    assert "pillow" in fingerprint.packages(["seedbed.algorithms.resizing"])


# --- Rooms ---


BENCHMARKS_ONLY = {"seedbed.scoring.region_scores"}  # what they compute with and no stage does


@dataclass(frozen=True)
class Copy:
    """A copy of our own code."""

    root: Path
    before: Mapping[str, str]  # digests of stages

    @contextlib.contextmanager
    def edited(self, texts: Mapping[str, str]) -> Iterator[set[str]]:
        """Which stages another text of some files concerns."""
        old = {file: (self.root / file).read_text(encoding="utf-8") for file in texts}
        for file, text in texts.items():
            (self.root / file).write_text(text, encoding="utf-8")
        now = of_stages(self.root)
        try:
            yield {stage for stage in self.before if now[stage] != self.before[stage]}
        finally:
            for file, text in old.items():
                (self.root / file).write_text(text, encoding="utf-8")

    def replaced(self, file: str, old: str, new: str) -> contextlib.AbstractContextManager[set[str]]:
        """The same of one edit."""
        text = (self.root / file).read_text(encoding="utf-8")
        assert old in text
        return self.edited({file: text.replace(old, new)})

    def added(self, files: Iterable[str]) -> contextlib.AbstractContextManager[set[str]]:
        """The same of a value that some files newly have."""
        return self.edited({file: f"{(self.root / file).read_text(encoding='utf-8')}\nADDED = 1\n" for file in files})


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """One copy for all edits, because what was parsed once need not be parsed again."""
    root = tmp_path_factory.mktemp("copied")
    for package in ("seedbed", "stages"):
        shutil.copytree(ROOT / package, root / package, ignore=shutil.ignore_patterns("__pycache__"))
    return Copy(root, of_stages(root))


def of_stages(root: Path) -> dict[str, str]:
    """Digest of what each stage computes with, whichever of its methods is selected."""
    own = {stage: [f"seedbed.{stage}.{name}" for name in methods.list_available(stage)] for stage in SCHEMAS if stage != NONE}
    return {stage: digest([f"stages.{stage}", DECODER, *names], root=root) for stage, names in own.items()}


def test_an_edit_counts_where_a_value_can_change_and_nowhere_else(copied: Copy) -> None:
    """Rooms that carry results change no digest; every other module changes that of whoever uses it, and of no one else."""
    modules = dict[str, str]()
    for path in sorted(copied.root.rglob("*.py")):
        parts = (file := path.relative_to(copied.root)).with_suffix("").parts
        modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file.as_posix()
    idle = {module for module in modules if carries(module)} | BENCHMARKS_ONLY
    with copied.added(modules[module] for module in idle) as found:
        assert not found
    changed = dict[str, set[str]]()
    for module in modules.keys() - idle:
        with copied.added([modules[module]]) as changed[module]:
            assert changed[module], module
    assert changed["seedbed.reads"] == changed["seedbed.types"] == {*copied.before}
    assert changed["seedbed.scoring.metrics"] == {"evaluation"}
    assert changed["seedbed.superpixels.dino"] == {"superpixels"}
    assert changed["seedbed.learning.loop"] == {"pretraining", "classifier", "affinity", "segmenter", "clicker"}
    assert changed["seedbed.algorithms.crf"] == {"superpixels", "seeds", "refinement", "saliency", "evaluation"}
    assert changed["seedbed.algorithms.boundary_walk"] == {"refinement", "instances"}
    assert changed["seedbed.networks.deeplab"] == {"classifier", "segmenter"}  # amn ends as it does


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("seedbed/learning/loop.py", 'do="raise its micro_batches', 'do="please raise its parts'),  # a message of what trains
        ("seedbed/learning/loop.py", "s are left, and a checkpoint", "s remain, and a checkpoint"),  # a remark while it trains
        ("seedbed/run/progress.py", "left", "remaining"),
        ("seedbed/report/export.py", '"step"', '"number"'),  # a column of a training's log
        ("seedbed/networks/pinned_files.py", 'found="no such file"', 'found="nothing"'),
        ("seedbed/cli.py", "Check what is on disk", "Look at what is on disk"),
        ("seedbed/tools/components.py", "components: ", "these components: "),
        ("seedbed/report/charts.py", 'BAR = "#', 'BAR = "#1'),
        ("seedbed/errors.py", "class", "class  # another\nclass"),
    ],
)
def test_what_is_said_to_people_retrains_nothing(copied: Copy, file: str, old: str, new: str) -> None:
    with copied.replaced(file, old, new) as found:
        assert not found


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("maps[index] = _cut(", "maps[index] = 0.5 * _cut("),  # class maps
        ("slice(0, height)", "slice(0, height - 1)"),
        ('"patches", image_id).astype(np.float32)', '"patches", image_id).astype(np.float16)'),
        ("block[corner] = entry", "block[corner] = entry // 2"),
    ],
)
def test_how_artifacts_are_decoded_counts_everywhere(copied: Copy, old: str, new: str) -> None:
    with copied.replaced("seedbed/reads.py", old, new) as found:
        assert found == {*copied.before}
