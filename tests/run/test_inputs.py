"""What a run began with: another value of it by now is told, and what is not its own is not looked at."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from seedbed import packages
from seedbed.errors import ChangedError, DataError, MachineError, ParamsError
from seedbed.params import Params
from seedbed.run import fingerprint
from seedbed.run.fingerprint import Code, running
from seedbed.run.inputs import Inputs
from seedbed.run.listing import Listing

TEXT = """
dataset: {method: shapes, root: data/raw/shapes}
superpixels: # a comment
  method: dino
  dino:
    threshold: 0.5
    crf: {iterations: 5}
seeds:
  method: threshold
  threshold: {foreground: 0.5}
  superpixel_background: {threshold: 0.7}
classifier:
  method: cam
  split: train
  maps: {}
"""
AGAIN = "run `dvc repro` again: what was computed stays in the store"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with parameters, which is the current one."""
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(TEXT)
    return tmp_path


def begun(stage: str = "superpixels") -> Inputs:
    """A run that has just begun."""
    inputs = Inputs(stage, Params.read())
    inputs.check()
    return inputs


def edit(old: str, new: str) -> None:
    """Change params.yaml."""
    file = Path("params.yaml")
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))


# --- Settings ---


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# a comment", "# another"),
        ("0.5", "0.50"),
        ("iterations: 5", "iterations: 5.0"),  # DVC compares values too
        ("{iterations: 5}", "\n      iterations: 5"),
        ("split: train", "split: val"),
        ("  maps: {}", "  maps: {}\n  and: a typing error"),
        ("method: shapes", "method: folder"),
        ("data/raw/shapes", "data/raw/mine"),
    ],
)
def test_what_is_no_setting_of_the_stage_may_change(project: Path, old: str, new: str) -> None:
    inputs = begun()
    edit(old, new)
    inputs.check()


def test_a_method_that_is_not_selected_may_change(project: Path) -> None:
    inputs = begun("seeds")
    edit("0.7", "0.8")
    inputs.check()
    edit("  superpixel_background: {threshold: 0.8}\n", "")
    inputs.check()
    edit("foreground: 0.5", "foreground: 0.6")
    with pytest.raises(ChangedError, match=r"^params.yaml: seeds.threshold.foreground: found 0\.6; expected 0\.5, as when"):
        inputs.check()


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("threshold: 0.5", "threshold: 0.6", "superpixels.dino.threshold: found 0.6; expected 0.5"),
        ("iterations: 5", "iterations: 6", "superpixels.dino.crf.iterations: found 6; expected 5"),
        (
            "{iterations: 5}",
            "{}",
            "superpixels.dino.crf.iterations: found nothing (and params.yaml: superpixels.dino.crf, now {}); expected 5",
        ),
        ("    threshold: 0.5\n", "", "superpixels.dino.threshold: found nothing; expected 0.5"),
        (
            "    threshold",
            "    limit",
            "superpixels.dino.threshold: found nothing (and params.yaml: superpixels.dino.limit, now 0.5); expected 0.5",
        ),
        ("threshold: 0.5", "threshold: null", "superpixels.dino.threshold: found None; expected 0.5"),
    ],
)
def test_a_setting_of_the_stage_is_told_with_both_values(project: Path, old: str, new: str, told: str) -> None:
    inputs = begun()
    edit(old, new)
    for _ in range(2):
        with pytest.raises(ChangedError) as raised:
            inputs.check()
    assert str(raised.value).startswith(f"params.yaml: {told}, as when this stage began")
    assert str(raised.value).endswith(f"; {AGAIN}")
    edit(new, old) if new else Path("params.yaml").write_text(TEXT)
    inputs.check()


def test_another_method_is_told_first(project: Path) -> None:
    inputs = begun()
    edit("method: dino", "method: slic")
    with pytest.raises(
        ChangedError, match=r"^params.yaml: superpixels.method: found 'slic' \(and params.yaml: superpixels.dino.threshold,"
    ):
        inputs.check()


def test_settings_of_a_family_are_the_stages_own(project: Path) -> None:
    inputs = begun("classifier")
    edit("maps: {}", "maps: {regions: superpixels}")
    edit("split: train", "split: val")
    with pytest.raises(ChangedError) as raised:
        inputs.check()
    others = "(and params.yaml: classifier.maps, now nothing, params.yaml: classifier.maps.regions, now 'superpixels')"
    assert str(raised.value).startswith(f"params.yaml: classifier.split: found 'val' {others}; expected 'train', as when")


@pytest.mark.parametrize(("content", "found"), [("a: [", "a mistake in the YAML"), (None, "no such file"), ("dataset: {}", "nothing")])
def test_parameters_that_cannot_be_read_any_more(project: Path, content: str | None, found: str) -> None:
    inputs = begun()
    Path("params.yaml").unlink() if content is None else Path("params.yaml").write_text(content)
    with pytest.raises(ParamsError, match=f"found {found}"):
        inputs.check()


def test_parameters_that_come_from_no_file_do_not_change(project: Path) -> None:
    Inputs("superpixels", Params({})).check()


def test_where_the_raw_data_lie_counts_for_who_reads_all_of_them(project: Path) -> None:
    inputs = begun()
    inputs.watch(Path("data/raw/shapes"))
    edit("data/raw/shapes", "data/raw/mine")
    with pytest.raises(ChangedError, match=r"params.yaml: dataset.root: found 'data/raw/mine'; expected 'data/raw/shapes', as when"):
        inputs.check()


def test_settings_are_read_again_only_from_another_file(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = begun()

    def refuse(*_: object, **__: object) -> Params:
        raise AssertionError("read again")

    monkeypatch.setattr(Params, "read", refuse)
    inputs.check()
    Path("params.yaml").write_text(f"# a comment\n{TEXT}")
    with pytest.raises(AssertionError, match="read again"):
        inputs.check()


# --- Code and packages ---


def test_code_that_changed_is_told_and_comments_are_not(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = begun()
    inputs.codes.add(running(("seedbed.algorithms.crf",)))
    file, on_disk = fingerprint.ROOT / "seedbed/algorithms/crf.py", fingerprint._present_content
    for content, told in {b"# a comment\n%b": "", b"%b\nX = 1\n": "other code", b"%b\nhalf of (": "other code", b"": "other code"}.items():
        now = content % file.read_bytes() if content else content
        monkeypatch.setattr(fingerprint, "_present_content", lambda one: now if one == file else on_disk(one))  # noqa: B023 (used in this turn)
        if not told:
            inputs.check()
            continue
        with pytest.raises(ChangedError) as raised:
            inputs.check()
        assert str(raised.value) == f"seedbed/algorithms/crf.py: found {told}; expected the same code as when this stage began; {AGAIN}"


def test_code_that_no_stage_of_this_run_uses_may_change(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = begun()
    monkeypatch.setitem(fingerprint._AT_FIRST, fingerprint.ROOT / "seedbed/superpixels/used_by_none.py", b"X = 1\n")
    inputs.check()


def test_a_package_that_was_upgraded_is_told(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = begun()
    inputs.codes.add(running(("seedbed.algorithms.crf",)))
    monkeypatch.setattr(packages, "_find_installed", lambda package, changed: (package, "99.0+cpu"))
    with pytest.raises(ChangedError, match=r"^numpy: found version 99\.0 \(and .*expected \d[\d.]+, as when this stage began; run"):
        inputs.check()


def test_what_was_computed_with_other_packages_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    code = running(("seedbed.algorithms.crf",))
    fingerprint.check_running(code)
    old = Code(code.modules, code.digest, code.whole, (("numpy", "1.0"), *code.packages[1:]))
    with pytest.raises(MachineError, match=r"found other packages than when it began: numpy \d\S+ instead of 1\.0; expected"):
        fingerprint.check_running(old)


# --- Raw data ---


@pytest.fixture
def raw(project: Path) -> Path:
    """A folder with two images and a table."""
    root = Path("data/raw/mine")
    (root / "images").mkdir(parents=True)
    for name in ("images/a.png", "images/b.png", "labels.csv"):
        (root / name).write_text(name)
    return root


def test_raw_data_that_stay_as_they_are(raw: Path) -> None:
    inputs = begun()
    inputs.watch(raw)
    (raw / "images/a.png").read_text()
    (raw / "an empty folder").mkdir()
    inputs.check()


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda root: (root / "images/c.png").touch(), "images/c.png: found a new file; expected none, as when this stage began"),
        (
            lambda root: (root / "images/a.png").unlink(),
            "images/a.png: found no such file; expected the same file as",
        ),
        (lambda root: (root / "labels.csv").write_text("more text"), "labels.csv: found another file; expected the same file as"),
        (lambda root: os.utime(root / "labels.csv", ns=(0, 5)), "labels.csv: found another file; expected the same file as"),
        (
            lambda root: (root / "images").rename(root / "photos"),
            "images/a.png: found no such file (and data/raw/mine/images/b.png, now no such file, "
            "data/raw/mine/photos/a.png, now a new file, data/raw/mine/photos/b.png, now a new file); expected the same file as",
        ),
    ],
)
def test_raw_data_that_changed_are_told(raw: Path, harm: Callable[[Path], None], told: str) -> None:
    inputs = begun()
    inputs.watch(raw)
    harm(raw)
    with pytest.raises(ChangedError) as raised:
        inputs.check()
    assert str(raised.value).startswith(f"data/raw/mine/{told}") and str(raised.value).endswith(AGAIN)


def test_a_single_file_is_watched_and_not_what_lies_beside_it(raw: Path) -> None:
    inputs = begun()
    inputs.watch(raw / "labels.csv")
    (raw / "images/a.png").unlink()
    inputs.check()
    (raw / "labels.csv").write_text("more text")
    with pytest.raises(ChangedError, match=r"^data/raw/mine/labels\.csv: found another file; expected the same file as"):
        inputs.check()


def test_many_changes_are_counted(raw: Path) -> None:
    inputs = begun()
    inputs.watch(raw)
    for number in range(10):
        (raw / f"{number}.png").touch()
    with pytest.raises(ChangedError, match=r"^data/raw/mine/0\.png: found a new file \(and .*/4\.png, now a new file, 5 more\); expected"):
        inputs.check()


def test_a_listing_follows_links_and_comes_to_an_end(raw: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/c.png").touch()
    (raw / "linked").symlink_to(tmp_path / "elsewhere")
    (raw / "images/up").symlink_to(raw.absolute())
    (raw / "nowhere").symlink_to("gone")
    os.mkfifo(raw / "pipe")
    assert set(Listing.of(raw).files) == {"images/a.png", "images/b.png", "labels.csv", "linked/c.png", "pipe"}
    assert Listing.of(Path("gone")).files == {}


def test_a_reader_that_draws_reads_again(raw: Path) -> None:
    inputs, turns = begun(), iter("dr")

    def read(root: Path) -> list[str]:
        if next(turns) == "d":
            (root / "drawn.png").touch()
        return sorted(file.name for file in root.iterdir())

    assert inputs.read_settled(raw, read) == ["drawn.png", "images", "labels.csv"]
    assert next(turns, None) is None
    inputs.check()
    (raw / "drawn.png").unlink()
    with pytest.raises(ChangedError, match=r"drawn\.png: found no such file"):
        inputs.check()


def test_raw_data_that_never_settle_are_told(raw: Path) -> None:
    with pytest.raises(DataError) as raised:
        begun().read_settled(raw, lambda root: (root / "labels.csv").write_text((root / "labels.csv").read_text() + "x"))
    found = "found files that are changing: data/raw/mine/labels.csv, now another file; expected none; run `dvc repro` again"
    assert str(raised.value).startswith(f"data/raw/mine: {found}")
