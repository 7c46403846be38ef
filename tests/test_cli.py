"""The commands as a user types them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from seedbed import cli, methods
from seedbed.tools import doctor, documentation
from seedbed.tools.doctor import Finding

PROJECT = Path(__file__).parents[1]
HEAVY = ("torch", "timm", "zarr", "dvc", "numpy", "cv2", "scipy", "skimage", "matplotlib", "pydantic")


def seedbed(*arguments: str, folder: Path = PROJECT) -> Result:
    """Type a command into this process, which has imported already what takes most of its time."""
    with contextlib.chdir(folder):
        done = CliRunner().invoke(cli.app, list(arguments), env={"COLUMNS": "200", "TERM": "dumb"})
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def test_help_names_every_command() -> None:
    """In a process of its own, as all the others would be."""
    typed = [sys.executable, "-m", "seedbed.cli", "--help"]
    environment = os.environ | {"COLUMNS": "200", "TERM": "dumb"}
    done = subprocess.run(typed, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    for command in (
        "methods",
        "init",
        "recipe",
        "doctor",
        "plan",
        "summary",
        "report",
        "view",
        "click",
        "show",
        "export",
        "compare",
        "runs",
        "verify",
        "gc",
    ):
        assert command in done.stdout


def test_help_imports_nothing_heavy() -> None:
    code = f"import sys, seedbed.cli; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_methods_lists_family_method_paper_and_parameters() -> None:
    done = seedbed("methods")
    assert done.exit_code == 0, done.stderr
    for family in methods.list_families():
        assert f"\n{family}\n" in f"\n{done.stdout}"
        for name in methods.list_available(family):
            assert f"  {name}  {methods.read_declaration(family, name).summary()}" in done.stdout
    assert "paper: Krähenbühl and Koltun" in done.stdout
    assert "parameters: background_power, crf" in done.stdout
    assert done.stdout.index("dataset") < done.stdout.index("superpixels") < done.stdout.index("evaluation"), "in the pipeline's order"


def test_methods_of_one_family_explains_nested_parameters() -> None:
    done = seedbed("methods", "superpixels")
    assert "threshold: paper: tau; cosine similarity above which a patch joins a region" in done.stdout
    assert "crf.iterations: rounds of mean-field inference" in done.stdout
    assert "classifier" not in done.stdout


def test_methods_runs_outside_a_project(tmp_path: Path) -> None:
    assert "superpixels" in seedbed("methods", folder=tmp_path).stdout


def test_methods_of_an_unknown_family() -> None:
    done = seedbed("methods", "superpixel")
    assert done.exit_code == 2
    assert done.stderr.startswith(
        "error: seedbed methods: found 'superpixel'; expected one of: dataset, pretraining, features, superpixels"
    )
    assert "(nearest: superpixels)" in done.stderr
    assert done.stderr.count("\n") == 1


def test_doctor_looks_at_everything() -> None:
    done = seedbed("doctor")
    for what in ("python", "torch", "gpu", "crf", "opencv", "dvc links", "dvc locks", "disk"):
        assert f" {what}: " in done.stdout, done.stdout + done.stderr
    assert done.exit_code == (2 if "!!" in done.stdout else 0)


def test_doctor_says_what_is_wrong_outside_a_project(tmp_path: Path) -> None:
    done = seedbed("doctor", folder=tmp_path)
    assert "!! dvc links: " in done.stdout
    assert done.exit_code == 2
    assert "Traceback" not in done.stderr


def test_doctor_finds_a_lock_that_a_dead_process_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert doctor.dvc_locks() == Finding("dvc locks", True, "none held")
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    lock = tmp_path / ".dvc/tmp/rwlock"
    lock.parent.mkdir(parents=True)
    lock.write_text(json.dumps({"write": {"data/x.zarr": {"pid": dead.pid, "cmd": "dvc repro"}}}), encoding="utf-8")
    monkeypatch.setattr(doctor, "examine", lambda: [doctor.dvc_locks()])
    said = seedbed("doctor", folder=tmp_path).stdout
    assert said == f"ok dvc locks: left by dead processes [{dead.pid}]\n   the next `dvc repro` removes them\n"
    lock.write_text(json.dumps({"write": {"data/x.zarr": {"pid": os.getpid(), "cmd": "dvc repro"}}}), encoding="utf-8")
    advice = "a second `dvc repro` fails until that one is done; leave .dvc/tmp/rwlock where it is"
    assert seedbed("doctor", folder=tmp_path).stdout == f"ok dvc locks: held by process {os.getpid()}: dvc repro\n   {advice}\n"


def test_summary_before_any_run(tmp_path: Path) -> None:
    done = seedbed("summary", folder=tmp_path)
    assert done.exit_code == 2
    assert done.stderr == "error: data/metrics/evaluation.json: found no such file; expected the figures of a run; run `dvc repro`\n"


def test_stale_pages_are_found_and_written_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wherever it runs: what is read of the code is that of this project."""

    def check() -> tuple[int | str | None, str]:
        """What `--check` ends with, and what it says."""
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["documentation", "--check"])
        with pytest.raises(SystemExit) as ended:
            documentation.main()
        return ended.value.code, capsys.readouterr().out

    pages = {name: (PROJECT / name).read_text(encoding="utf-8") for name in ("docs/methods.md", "docs/artifacts.md", "dvc.yaml")}
    monkeypatch.chdir(tmp_path)
    Path("docs").mkdir()
    for name, text in pages.items():
        Path(name).write_text(text, encoding="utf-8")
    assert check() == (0, "")
    for name, text in pages.items():
        assert "seedbed/images.py" in text or name != "dvc.yaml"
        Path(name).write_text(text.replace("seedbed/images.py", "seedbed/pictures.py") if name == "dvc.yaml" else "old", encoding="utf-8")
    code, told = check()
    assert (code, set(told.splitlines())) == (1, {f"{name} is stale: run `make docs`" for name in pages})
    monkeypatch.setattr(sys, "argv", ["documentation"])
    documentation.main()
    assert {name: Path(name).read_text(encoding="utf-8") for name in pages} == pages


def test_summary_of_broken_figures(tmp_path: Path) -> None:
    figures = tmp_path / "data/metrics/evaluation.json"
    figures.parent.mkdir(parents=True)
    figures.write_text("<<<<<<< HEAD", encoding="utf-8")
    done = seedbed("summary", folder=tmp_path)
    assert done.exit_code == 2
    assert done.stderr.startswith("error: data/metrics/evaluation.json: found a file that is not JSON: ")
    assert done.stderr.count("\n") == 1


def test_summary_of_clicks_in_a_pipeline_that_has_them(tmp_path: Path) -> None:
    figures = tmp_path / "data/metrics/clicks.json"
    figures.parent.mkdir(parents=True)
    figures.write_text(json.dumps({"clicks": {"images": 4, "things": 9, "clicks_to_80": 3.5, "failures_at_80": 1}}), encoding="utf-8")
    lines = seedbed("summary", folder=tmp_path).stdout.splitlines()
    assert lines[1].split() == ["clicks", "4", "things", "9", "clicks", "to", "80", "3.5", "failures", "at", "80", "1"]
    figures.with_name("clicks_network.json").write_text(json.dumps({"clicks_network": {"images": 4, "things": 9}}), encoding="utf-8")
    both = [line.split() for line in seedbed("summary", folder=tmp_path).stdout.splitlines()[1:3]]
    assert both == [lines[1].split(), ["clicks_network", "4", "things", "9"]]


def test_summary_names_the_oracle_as_what_it_is(tmp_path: Path) -> None:
    figures = tmp_path / "data/metrics/evaluation.json"
    figures.parent.mkdir(parents=True)
    class_maps = {
        "images": 4,
        "miou": 0.4,
        "boundary_miou": 0.2,
        "coverage": 1.0,
        "precision": 0.7,
        "oracle": {"threshold": 0.17, "miou": 0.5},
    }
    superpixels = {"images": 4, "mean_count": 9.5, "boundary_recall": 0.6, "boundary_precision": None}
    void = {"images": 4, "miou": None, "oracle": {"threshold": None, "miou": None}}
    counts, precision = {"images": 4, "images_with_truth": 3, "things": 9, "true_things": 7}, {"ap": 0.31, "ap50": 0.5, "ap75": None}
    things = counts | precision
    content = {"class_maps": class_maps, "superpixels": superpixels, "seeds": void, "instances": things}
    content["saliency"] = {"images": 4, "object_iou": 0.71, "unknown": 0.05}
    figures.write_text(json.dumps(content), encoding="utf-8")
    lines = seedbed("summary", folder=tmp_path).stdout.splitlines()
    shown = {line.split()[0]: " ".join(line.split()[2:]) for line in lines[1:6]}
    assert shown == {
        "class_maps": "miou 0.4 boundary miou 0.2 coverage 1.0 precision 0.7 oracle (best threshold by the truth): miou 0.5 at 0.17",
        "superpixels": "mean count 9.5 boundary recall 0.6",
        "seeds": "",
        "instances": "things 9 true things 7 ap 0.31 ap50 0.5",
        "saliency": "object iou 0.71 unknown 0.05",
    }


def test_plan_misses_a_section_in_our_words(tmp_path: Path) -> None:
    text = (PROJECT / "params.yaml").read_text(encoding="utf-8")
    (tmp_path / "params.yaml").write_text(text.partition("seeds:")[0], encoding="utf-8")
    shutil.copy(PROJECT / "dvc.yaml", tmp_path)
    done = seedbed("plan", folder=tmp_path)
    assert done.exit_code == 2
    assert re.match(r"error: params.yaml: affinity: found nothing; expected a section for this stage; .*\n$", done.stderr)
