"""timm can be imported whatever torch and torchvision are installed side by side."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def run(program: str, *, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program in a fresh interpreter, with modules of ours before all others."""
    before = f"import sys; sys.path.insert(0, {str(path)!r})\n" if path else ""
    return subprocess.run([sys.executable, "-c", before + program], capture_output=True, text=True, check=False)


def test_after_the_repair_torchvision_and_timm_import() -> None:
    program = """
from seedbed.networks import torchvision_repair
print(torchvision_repair.apply(), torchvision_repair.apply())
import timm, torchvision
print(timm.create_model("test_resnet").__class__.__name__)
"""
    done = run(program)
    assert done.returncode == 0, done.stderr
    applied, again, imported = done.stdout.split()
    assert applied == again and imported == "ResNet"  # where torchvision imports by itself, both are False


@pytest.mark.slow
def test_where_torchvision_imports_by_itself_nothing_is_declared(tmp_path: Path) -> None:
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text("here = True\n")
    program = """
from seedbed.networks import torchvision_repair
print(torchvision_repair.apply(), torchvision_repair.apply())
import torch, torchvision
print(torchvision.here, hasattr(torch.ops.torchvision, "nms"), torchvision_repair._declared)
"""
    done = run(program, path=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:2] == ["False False", "True False []"]


@pytest.mark.slow
def test_another_error_of_torchvision_is_not_hidden(tmp_path: Path) -> None:
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text("raise RuntimeError('something else')\n")
    done = run("from seedbed.networks import torchvision_repair; torchvision_repair.apply()", path=tmp_path)
    assert done.returncode == 1
    assert "RuntimeError: something else" in done.stderr


@pytest.fixture
def quick(tmp_path: Path) -> Path:
    """A torch that does nothing but keep what is declared, and a torchvision that misses operators until so many are."""
    for name, content in {
        "torch": """
from types import SimpleNamespace
declared, imported = [], []
library = SimpleNamespace(Library=lambda *_: SimpleNamespace(define=declared.append))
""",
        "torchvision": """
import os, torch, torchvision.part
if len(torch.declared) < int(os.environ["MISSING"]):
    raise RuntimeError("operator torchvision::one does not exist")
""",
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(content)
    (tmp_path / "torchvision" / "part.py").write_text("import torch; torch.imported.append('part')")
    return tmp_path


@pytest.mark.parametrize(("missing", "told"), [(0, "False 1"), (1, "True 2"), (2, "True 2")])
def test_operators_are_declared_where_they_are_missing(quick: Path, missing: int, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MISSING", str(missing))
    program = "from seedbed.networks.torchvision_repair import apply; print(apply(), end=' '); import torch; print(len(torch.imported))"
    done = run(program, path=quick)
    assert (done.returncode, done.stdout.strip()) == (0, told), f"whether it was needed, and how often all was imported: {done.stderr}"


def test_a_torchvision_that_misses_other_operators_is_not_called_repaired(quick: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MISSING", "3")
    done = run("from seedbed.networks import torchvision_repair; torchvision_repair.apply(); print('repaired')", path=quick)
    assert done.returncode == 1 and done.stdout == ""
    assert "RuntimeError: operator torchvision::one does not exist" in done.stderr
