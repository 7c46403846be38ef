"""Methods are found by file name, and one that cannot be used disturbs nobody else."""

from __future__ import annotations

import dataclasses
import importlib
import shutil
import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from seedbed import methods, packages, superpixels
from seedbed.errors import MethodError
from seedbed.methods import Declaration
from seedbed.params import Params

EVERY_METHOD = [(family, name) for family in methods.list_families() for name in methods.list_available(family)]
AVAILABLE = methods.list_available("superpixels")


@pytest.fixture
def family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, project: Path) -> Iterator[Path]:
    """The folder of the superpixels in a copy of the package, for methods that a test adds."""
    package = tmp_path / "seedbed"
    shutil.copytree(project / "seedbed", package, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(methods, "PACKAGE", package)
    monkeypatch.setattr(superpixels, "__path__", [*superpixels.__path__, str(package / "superpixels")])
    methods._parse.cache_clear()
    methods._declaration.cache_clear()
    yield package / "superpixels"
    methods._parse.cache_clear()
    methods._declaration.cache_clear()
    for name in [name for name in sys.modules if name.startswith("seedbed.superpixels.added")]:
        del sys.modules[name]


BLOCKS = '''"""Squares of one size.

Paper: none.

Differs from the paper: not applicable.
"""
{imports}
import numpy as np

from seedbed import superpixels
from seedbed.algorithms.crf import DenseCrf
from seedbed.methods import method
from seedbed.types import Image, PatchFeatures, RegionMap, cells


{mark}
class Blocks(superpixels.Method):
    edge: int  # of a square, in pixels
    crf: DenseCrf

    def segment(self, image: Image, patches: PatchFeatures) -> RegionMap:
        return np.zeros(image.shape[:2], np.int32)
'''


def test_a_new_file_is_a_new_method(family: Path, content: dict[str, Any]) -> None:
    (family / "added_blocks.py").write_text(BLOCKS.format(imports="", mark="@method"))
    assert methods.list_available("superpixels") == sorted([*AVAILABLE, "added_blocks"])
    kind = methods.load("superpixels", "added_blocks")
    assert kind.name == "added_blocks"
    assert methods.read_declaration("superpixels", "added_blocks").names() == ["edge", "crf"]
    crf = content["superpixels"]["dino"]["crf"]
    content["superpixels"] = {"method": "added_blocks", "added_blocks": {"edge": 4, "crf": crf}}
    assert isinstance(Params(content).method(superpixels.Method), kind)


def test_files_that_begin_with_an_underscore_are_no_methods(family: Path) -> None:
    (family / "_added.py").write_text("")
    assert methods.list_available("superpixels") == AVAILABLE


def test_a_missing_package_is_named_as_pip_names_it(family: Path) -> None:
    (family / "added_needy.py").write_text(BLOCKS.format(imports="import seedbed_has_no_such_package\n", mark="@method"))
    with pytest.raises(MethodError) as raised:
        methods.load("superpixels", "added_needy")
    message = str(raised.value)
    assert message.startswith("params.yaml: superpixels.method: found 'added_needy', which imports 'seedbed_has_no_such_package'")
    assert message.endswith("run `pip install seedbed_has_no_such_package`, or choose another method")


def test_a_missing_package_whose_import_name_differs_is_named_as_pip_names_it(family: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(packages.INSTALLED_AS, "seedbed_has_no_such_package", "seedbed-extra")
    (family / "added_needy.py").write_text(BLOCKS.format(imports="from seedbed_has_no_such_package.inner import x\n", mark="@method"))
    with pytest.raises(MethodError, match=r"run `pip install seedbed-extra`"):
        methods.load("superpixels", "added_needy")


def test_a_method_with_a_missing_package_disturbs_nobody_else(family: Path, content: dict[str, Any]) -> None:
    (family / "added_needy.py").write_text(BLOCKS.format(imports="import seedbed_has_no_such_package\n", mark="@method"))
    assert methods.list_available("superpixels") == sorted([*AVAILABLE, "added_needy"])
    assert methods.read_declaration("superpixels", "added_needy").names() == ["edge", "crf"]
    content["superpixels"]["added_needy"] = {"edge": 4}
    params = Params(content)
    params.check()
    assert params.method(superpixels.Method).name == "dino"
    content["superpixels"]["added_needy"] = {"edgy": 4}  # even its parameters' names are checked
    with pytest.raises(Exception, match=r"superpixels\.added_needy\.edgy: found a name that nothing reads"):
        Params(content)


def test_a_file_without_a_marked_class_is_refused(family: Path) -> None:
    (family / "added_blocks.py").write_text(BLOCKS.format(imports="", mark=""))
    with pytest.raises(MethodError) as raised:
        methods.load("superpixels", "added_blocks")
    assert str(raised.value) == (
        "seedbed/superpixels/added_blocks.py: found no class marked @method; expected exactly one; see CONTRIBUTING.md, Adding a method"
    )


def test_a_mistake_of_our_own_is_no_missing_package(family: Path) -> None:
    (family / "added_blocks.py").write_text(BLOCKS.format(imports="from seedbed.algorithms.crf import NoSuchThing\n", mark="@method"))
    with pytest.raises(ImportError, match="NoSuchThing"):
        methods.load("superpixels", "added_blocks")


def test_an_unknown_method_is_answered_with_those_that_there_are() -> None:
    with pytest.raises(MethodError) as raised:
        methods.load("superpixels", "dinoo")
    message = str(raised.value)
    assert message.startswith("params.yaml: superpixels.method: found 'dinoo'; expected one of: ")
    assert "(nearest: dino)" in message


@pytest.mark.parametrize("family", methods.list_families())
def test_the_settings_that_are_declared_are_those_that_the_class_has(family: str) -> None:
    settings = methods.read_settings_declaration(family)
    module = importlib.import_module(f"seedbed.{family}")
    assert (settings is not None) == hasattr(module, "Settings")
    if settings is not None:
        assert_declares(settings, module.Settings)


# --- Every method that there is ---


def assert_declares(declaration: Declaration, kind: Any) -> None:
    """A declaration that was read from text is what the class really has, however deep."""
    fields = dataclasses.fields(kind)
    assert declaration.names() == [field.name for field in fields]
    for parameter, field in zip(declaration.parameters, fields, strict=True):
        is_block = dataclasses.is_dataclass(field.type) or dataclasses.is_dataclass(_resolved(kind, field.name))
        assert (parameter.nested is not None) == is_block, parameter.name
        if parameter.nested is not None:
            assert_declares(parameter.nested, _resolved(kind, field.name))


def _resolved(kind: Any, name: str) -> Any:
    return typing.get_type_hints(kind)[name]


def every_parameter(declaration: Declaration, address: str) -> Iterator[tuple[str, str]]:
    """Address and comment of every number, word and truth value of a declaration."""
    for parameter in declaration.parameters:
        if parameter.nested is None:
            yield f"{address}.{parameter.name}", parameter.comment
        else:
            yield from every_parameter(parameter.nested, f"{address}.{parameter.name}")


@pytest.mark.parametrize(("family", "name"), EVERY_METHOD)
def test_what_is_declared_is_what_the_class_has(family: str, name: str) -> None:
    try:
        kind = methods.load(family, name)
    except MethodError as error:
        pytest.skip(str(error))
    assert_declares(methods.read_declaration(family, name), kind)


@pytest.mark.parametrize(("family", "name"), EVERY_METHOD)
def test_every_method_says_its_paper_and_how_it_differs(family: str, name: str) -> None:
    declaration = methods.read_declaration(family, name)
    assert declaration.paper()
    assert "\nDiffers from the paper: " in declaration.docstring
    assert len(declaration.summary()) > 20


@pytest.mark.parametrize(("family", "name"), EVERY_METHOD)
def test_every_parameter_is_explained(family: str, name: str) -> None:
    unexplained = [
        address for address, comment in every_parameter(methods.read_declaration(family, name), f"{family}.{name}") if not comment
    ]
    assert unexplained == []


@pytest.mark.parametrize("family", methods.list_families())
def test_every_setting_is_explained(family: str) -> None:
    settings = methods.read_settings_declaration(family)
    unexplained = [address for address, comment in every_parameter(settings, family) if not comment] if settings else []
    assert unexplained == []


@pytest.mark.parametrize(("family", "name"), EVERY_METHOD)
def test_parameters_are_frozen_and_have_no_defaults(family: str, name: str, small_method: Any) -> None:
    made = small_method(family, name)
    for field in dataclasses.fields(made):
        assert field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(made, field.name, getattr(made, field.name))
