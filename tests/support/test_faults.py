"""Faults that the tests are tried with: one change each, of what computes, and programs still."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

import pytest

from tests.mutants import belonging, modules
from tests.support.equivalent import EQUIVALENT
from tests.support.faults import PROJECT, faults
from tests.support.one_by_one import exchange


@pytest.mark.parametrize(
    ("module", "before", "after"),
    [
        ("seedbed/algorithms/crf.py", "self.smooth_distance", "(1)"),
        ("seedbed/algorithms/crf.py", "self.colour_difference", "(self.colour_weight)"),
        ("seedbed/algorithms/crf.py", "self.smooth_distance", "(self.smooth_weight)"),
        ("seedbed/algorithms/crf.py", "80", "(81)"),
        ("seedbed/cams/__init__.py", "self.flip", "(False)"),
        ("seedbed/cams/__init__.py", "self.scales", "(self.scales[:1])"),
        ("seedbed/segmenter/region_growing.py", "method.foreground", "(method.background)"),
        ("seedbed/algorithms/label_growing.py", "highest_R > thresholds_R", "(highest_R >= thresholds_R)"),
        ("seedbed/scoring/metrics.py", "true + predicted - hit", "(true + predicted + hit)"),
        ("seedbed/superpixels/dino.py", "left[members] = False", "pass"),
    ],
)
def test_faults_are_those_that_one_makes(module: str, before: str, after: str) -> None:
    assert any((one.before, one.after) == (before, after) for one in faults(module))


def test_faults_that_change_nothing_are_of_lines_that_are_still_there() -> None:
    named = [(fault.partition(":")[0], fault.partition(" in `")[2].removesuffix("`")) for fault in EQUIVALENT]
    lines = {module: {line.strip() for line in (PROJECT / module).read_text(encoding="utf-8").splitlines()} for module, _ in named}
    assert named and [(module, line) for module, line in named if line not in lines[module]] == []


def test_every_fault_changes_one_place_and_leaves_a_program() -> None:
    module = "seedbed/seeds/threshold.py"
    text, found = (PROJECT / module).read_bytes(), faults(module)
    assert len(found) > 10
    for one in found:
        changed = one.put_into(text)
        assert changed[: one.begin] == text[: one.begin] and changed.endswith(text[one.end :])
        assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(text)), str(one)


def test_what_is_no_computation_is_left_alone() -> None:
    for one in faults("seedbed/algorithms/crf.py"):
        assert not any(word in one.before for word in ("Annotated", "raise", '"""')), str(one)


def test_a_first_value_is_not_taken_from_the_first_alone_nor_a_length_that_is_found_from_another() -> None:
    cut = [one.context for one in faults("seedbed/scoring/truth.py") if one.after == "(self.folders[:1])"]
    assert cut and not any("self.folders[0]" in one for one in cut)
    assert not any(one.before == "1" and one.context.startswith("vectors = ") for one in faults("seedbed/superpixels/merge.py"))


def test_tests_of_a_module_are_its_own_and_those_of_methods_that_use_it() -> None:
    assert belonging("seedbed/segmenter/region_growing.py") == [
        "tests/segmenter/test_region_growing.py",
        "tests/contracts/test_segmenter.py",
        "tests/contracts/test_alive.py::test_every_parameter_changes_the_result[segmenter-region_growing]",
    ]
    of_crf = belonging("seedbed/algorithms/crf.py")
    assert of_crf[0] == "tests/algorithms/test_crf.py" and "tests/superpixels/test_dino.py" in of_crf
    assert "seedbed/pretraining/dino.py" in modules() and "seedbed/dataset/folder.py" not in modules()


def test_every_module_that_computes_has_tests_to_run() -> None:
    assert [one for one in modules() if not belonging(one)] == []


def test_functions_take_the_code_of_another_text_where_it_differs(tmp_path: Path) -> None:
    file = tmp_path / "sums.py"
    file.write_text(
        "LARGE = 10\ndef add(a, b):\n    return a + b\nclass Sum:\n    def of(self, a):\n        return sum([one + 1 for one in a])\n"
    )
    spec = importlib.util.spec_from_file_location("sums", file)
    assert spec and spec.loader
    sums = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sums)
    functions, text = [sums.add, sums.Sum.of], file.read_bytes()
    assert not exchange(functions, text, file)
    assert not exchange(functions, text.replace(b"10", b"11"), file)  # of the module itself
    assert exchange(functions, text.replace(b"a + b", b"a - b"), file) and sums.add(3, 2) == 1
    assert exchange(functions, text.replace(b"one + 1", b"one + 2"), file) and sums.Sum().of([1]) == 3
    assert sums.add(3, 2) == 5, "what another fault changed is as it was"
