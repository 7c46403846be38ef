"""The identity of our code: what computes counts, what is written about it does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from seedbed import fingerprint
from seedbed.errors import MachineError
from seedbed.fingerprint import digest, running

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
        (ONE, '"""Nothing."""', "raise NotImplementedError"),
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
    assert digest(["seedbed.crf"]) != digest(["seedbed.metrics"])


def test_what_runs_is_what_is_on_disk() -> None:
    modules = ("seedbed.segmenter.pseudo_masks", "stages.segmenter")
    assert running(modules).digest == digest(modules)
    assert running(modules).whole != running(modules[:1]).whole


@pytest.mark.parametrize("file", ["seedbed/crf.py", "seedbed/store.py"])  # what computes, and what carries results
@pytest.mark.parametrize("before", [None, b"X = 1\n"])
def test_code_that_changed_in_a_running_process_is_refused(file: str, before: bytes | None, monkeypatch: pytest.MonkeyPatch) -> None:
    fingerprint.running.cache_clear()
    monkeypatch.setitem(fingerprint._AT_FIRST, fingerprint.ROOT / file, before)
    with pytest.raises(MachineError, match=rf"{file}: found code that was changed while process \d+ on .* was running; expected"):
        running(("seedbed.crf",))


def test_a_carrier_alone_is_nothing(checkout: Path) -> None:
    assert digest(["seedbed.errors", "stages"], root=checkout) == digest([], root=checkout)
