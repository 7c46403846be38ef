"""Two runs beside each other: what differs, why, by how much, and what cannot be said."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from seedbed import cli
from seedbed.errors import ArtifactError
from seedbed.store.artifact import MadeBy
from seedbed.store.runs import Folder
from seedbed.tools.bootstrap import Difference, Resampling, compare_overlaps
from seedbed.tools.compare import Comparison, KindChange, ParameterChange, StageChange, compare
from seedbed.tools.comparison_tables import comparison_as_json, show_comparison
from seedbed.tools.pairing import Evaluated, pair
from tests.support.histories import Counted, History, cache, evaluate, lock, write, write_yaml
from tests.support.publishing import published

HOW = Resampling(resamples=50)
# Of 6 pixels of cat and background, by turns: all right, one of cat missed, all of cat missed; and another truth.
RIGHT, MISSED, LOST = ([[3, 0, 0, 0], [missed, 3 - missed, 0, 0], [0, 0, 0, 0]] for missed in (0, 1, 3))
OTHER = [[2, 0, 0, 0], [0, 4, 0, 0], [0, 0, 0, 0]]


@pytest.fixture
def comparing(tmp_path: Path) -> Callable[..., Comparison]:
    """Compare what lies in two folders, `before` and `after`."""

    def run(*, kind: str = "") -> Comparison:
        with Folder(tmp_path / "before", name="before") as before, Folder(tmp_path / "after", name="after") as after:
            return compare(before, after, HOW, kind=kind)

    for name in ("before", "after"):
        (tmp_path / name / "data").mkdir(parents=True)
    return run


def write_runs(folder: Path, before: Counted, after: Counted) -> None:
    for name, counted in {"before": before, "after": after}.items():
        evaluate(folder / name / "data", counted)


def test_images_gain_and_lose(tmp_path: Path, comparing: Callable[..., Comparison]) -> None:
    before = {"a": {"masks": RIGHT}, "b": {"masks": LOST}, "c": {"masks": MISSED}, "d": {"masks": RIGHT}}
    after = {"a": {"masks": MISSED}, "b": {"masks": RIGHT}, "c": {"masks": RIGHT}, "d": {"masks": RIGHT}}
    write_runs(tmp_path, before, after)
    found = comparing()
    missed = (3 / 4 + 2 / 3) / 2
    assert [image for image, _, _ in (*found.gained, *found.lost)] == ["b", "c", "a"]
    assert [was for _, was, _ in (*found.gained, *found.lost)] == pytest.approx([0.25, missed, 1])
    assert [now for _, _, now in (*found.gained, *found.lost)] == pytest.approx([1, 1, missed])
    (masks,) = found.kinds
    assert masks.pairs is not None and masks.pairs.images == ["a", "b", "c", "d"] and masks.pairs.complete
    assert (found.shown, found.remarks) == ("masks", [])
    # Of 12 pixels of cat four were missed, and one is; what is missed is taken for background.
    assert [masks.classes["cat"].before, masks.classes["cat"].after] == pytest.approx([8 / 12, 11 / 12])
    assert [masks.classes["background"].before, masks.classes["background"].after] == pytest.approx([12 / 16, 12 / 13])
    assert masks.miou.change == pytest.approx((11 / 12 + 12 / 13 - 8 / 12 - 12 / 16) / 2)
    assert list(masks.classes) == ["background", "cat"], "dog is nowhere"
    assert masks.miou.low < masks.miou.change < masks.miou.high


def test_intervals_are_of_the_images_that_are_paired(tmp_path: Path) -> None:
    """In whatever order and of whichever kinds the two evaluations have them."""
    first = {"a": {"masks": RIGHT}, "b": {"masks": LOST}, "c": {"masks": MISSED}, "x": {"masks": OTHER}, "y": {"predictions": LOST}}
    second = {"x": {"masks": RIGHT}, "c": {"masks": RIGHT}, "e": {"masks": RIGHT}, "b": {"seeds": LOST, "masks": MISSED}}
    evaluations = [evaluate(tmp_path / name, counted) for name, counted in {"before": first, "after": second}.items()]
    (pairs,) = pair(*map(Evaluated.of, evaluations))
    assert pairs.kind == "masks" and pairs.images == ["c", "b"]
    assert (pairs.only_before, pairs.only_after, pairs.other_truth, pairs.complete) == (1, 1, 1, False)
    assert pairs.before[:, :2].tolist() == [[[3, 4], [2, 3]], [[3, 6], [0, 3]]]
    assert pairs.after[:, :2].tolist() == [[[3, 3], [3, 3]], [[3, 4], [2, 3]]]
    assert pairs.compare(HOW)[:3] == compare_overlaps(pairs.before, pairs.after, HOW)[:3]


def test_images_that_are_not_paired_are_told_of(tmp_path: Path, comparing: Callable[..., Comparison]) -> None:
    write_runs(
        tmp_path, {"a": {"masks": RIGHT}, "b": {"masks": LOST}, "x": {"masks": OTHER}}, {"a": {"masks": LOST}, "x": {"masks": RIGHT}}
    )
    found = comparing()
    told = "masks: of 1 images that both have with the same truth; left out: 1 only in before, 1 with another truth"
    assert found.remarks == [told]
    assert (found.kinds[0].miou.before, found.kinds[0].miou.after) == (1, 0.25)


def test_kinds_that_do_not_differ_are_left_out(tmp_path: Path, comparing: Callable[..., Comparison]) -> None:
    write_runs(
        tmp_path,
        {"a": {"seeds": RIGHT, "first round": LOST, "masks": MISSED}},
        {"a": {"seeds": RIGHT, "first round": RIGHT, "masks": MISSED}},
    )
    found = comparing()
    assert [one.kind for one in found.kinds] == ["first round"] and found.shown == "first round"
    with pytest.raises(ArtifactError) as caught:
        comparing(kind="seeds")
    expected = "expected labels that differ: first round; leave it out"
    assert str(caught.value) == f"--kind seeds: found labels that do not differ, or that one of the runs lacks; {expected}"


def test_the_kind_that_is_listed_is_the_last_or_the_chosen(tmp_path: Path, comparing: Callable[..., Comparison]) -> None:
    write_runs(tmp_path, {"a": {"seeds": RIGHT, "masks": LOST}}, {"a": {"seeds": LOST, "masks": RIGHT}})
    assert (comparing().shown, len(comparing().gained), len(comparing().lost)) == ("masks", 1, 0)
    chosen = comparing(kind="seeds")
    assert (chosen.shown, len(chosen.gained), len(chosen.lost)) == ("seeds", 0, 1)


def test_ten_are_listed(tmp_path: Path, comparing: Callable[..., Comparison]) -> None:
    ids = [f"image {number:02}" for number in range(24)]
    before = {image: {"masks": RIGHT if image in ids[:12] else LOST} for image in ids}
    write_runs(tmp_path, before, {image: {"masks": MISSED} for image in ids})
    found = comparing()
    assert [image for image, _, _ in found.gained] == ids[12:22], "of equals, the data set's first"
    assert [image for image, _, _ in found.lost] == ids[:10]


def test_without_an_artifact_figures_are_compared_and_it_is_said_why(tmp_path: Path, comparing: Callable[..., Comparison]) -> None:
    write_runs(tmp_path, {"a": {"masks": RIGHT, "seeds": RIGHT}}, {"a": {"masks": LOST, "seeds": RIGHT}})
    shutil.rmtree(tmp_path / "before/data/evaluation.zarr")
    found = comparing()
    (masks,) = found.kinds
    assert (masks.kind, masks.miou.before, masks.miou.after, masks.pairs) == ("masks", 1, 0.25, None)
    assert (masks.classes["cat"].before, masks.classes["cat"].after) == (1, 0)
    assert np.isnan([masks.miou.low, masks.miou.high]).all() and (found.gained, found.lost, found.shown) == ([], [], "")
    where = tmp_path / "before/data/evaluation.zarr"
    missing = f"{where}: found nothing; expected the artifact of stage evaluation; run `dvc repro evaluation`"
    assert found.remarks == [f"no intervals, and no images: {missing}"]
    with pytest.raises(
        ArtifactError, match="--kind masks: found no images that both runs have; expected labels that differ: masks; no interv"
    ):
        comparing(kind="masks")


def test_other_classes_cannot_be_paired(tmp_path: Path, comparing: Callable[..., Comparison]) -> None:
    evaluate(tmp_path / "before/data", {"a": {"masks": RIGHT}})
    evaluate(tmp_path / "after/data", {"a": {"masks": LOST}}, classes=("background", "dog", "cat"))
    found = comparing()
    others = "background, cat, dog and background, dog, cat"
    assert found.remarks == [f"no intervals, and no images: the runs have other classes, {others}"]
    assert found.kinds[0].classes["cat"].before == 1 and np.isnan(found.kinds[0].classes["cat"].after)


def test_figures_of_another_run_than_the_artifact(tmp_path: Path, comparing: Callable[..., Comparison]) -> None:
    """As after `git checkout` without `dvc checkout`."""
    write_runs(tmp_path, {"a": {"masks": RIGHT}}, {"a": {"masks": LOST}})
    shutil.copy(tmp_path / "before/data/metrics/evaluation.json", tmp_path / "after/data/metrics")
    told = "after: data/metrics/evaluation.json says masks mIoU 1.0, data/evaluation.zarr 0.25: they are of different runs"
    assert comparing().remarks == [f"{told}; `dvc checkout` or `dvc repro` puts that right"]


def test_parameters_are_told_apart_by_whether_anything_reads_them(tmp_path: Path, comparing: Callable[..., Comparison]) -> None:
    before = {
        "seeds": {"method": "threshold", "threshold": {"foreground": 0.5}, "superpixel_background": {"threshold": 0.7}},
        "cams": {"scales": 1},
        "of another version": {"a": 1},
    }
    after = {
        "seeds": {"method": "threshold", "threshold": {"background": [1]}, "superpixel_background": {"threshold": 0.8}},
        "cams": {"scales": 2},
        "of another version": {"a": 2},
    }
    for name, content in {"before": before, "after": after}.items():
        write_yaml(tmp_path / name / "params.yaml", content)
    assert sorted(comparing().parameters, key=lambda one: one.address) == [
        ParameterChange("cams.scales", 1, 2, read=True),
        ParameterChange("of another version.a", 1, 2, read=True),
        ParameterChange("seeds.superpixel_background.threshold", 0.7, 0.8, read=False),
        ParameterChange("seeds.threshold.background", None, [1], read=True),
        ParameterChange("seeds.threshold.foreground", 0.5, None, read=True),
    ]


def test_stages_differ_by_what_dvc_lock_says(tmp_path: Path, comparing: Callable[..., Comparison]) -> None:
    code = {"seedbed/images.py": "1", "seedbed/algorithms": "1", "stages/seeds.py": "1"}
    stages: dict[str, dict[str, Any]] = {
        "dataset": {"deps": {"data/raw/shapes": "1", **code}, "outs": {"data/dataset.zarr": "1"}},
        "cams": {
            "deps": {"data/dataset.zarr": "1", **code},
            "outs": {"data/cams.zarr": "1"},
            "params": {"cams.multiscale": {"scales": [1]}},
        },
        "seeds": {"deps": {"data/cams.zarr": "1", **code}, "outs": {"data/seeds.zarr": "1"}},
        "refinement": {"deps": code, "outs": {"data/refinement.zarr": "1"}},
        "same": {"deps": code},
        "gone": {},
    }
    later = {name: {**stage} for name, stage in stages.items()}
    later["dataset"] |= {"deps": {"data/raw/shapes": "2", **code}}
    later["cams"] |= {"params": {"cams.multiscale": {"scales": [1, 2]}}, "outs": {"data/cams.zarr": "2"}}
    later["seeds"] |= {"deps": {"data/cams.zarr": "2", **code, "seedbed/algorithms": "2", "stages/seeds.py": "2"}, "cmd": "y"}
    # Another method reads another file, which is no reason of its own; where no parameter says so, it is.
    stages["segmenter"] = {"deps": {"seedbed/segmenter/old.py": "1", **code}, "params": {"segmenter.method": "old"}}
    later["segmenter"] = {"deps": {"seedbed/segmenter/new.py": "1", **code, "stages/seeds.py": "2"}, "params": {"segmenter.method": "new"}}
    later["same"] = {"deps": {**code, "seedbed/types.py": "1"}}
    later["refinement"] |= {"outs": {"data/refinement.zarr": "2"}}
    del later["gone"]
    for name, content in {"before": stages, "after": later}.items():
        write_yaml(tmp_path / name / "dvc.lock", lock(**content))
        for stage in stages:
            (tmp_path / name / f"data/{stage}.zarr").mkdir()
    assert comparing().stages == [
        StageChange("dataset", "", True, (), (), ("data/raw/shapes",), ()),
        StageChange("cams", "", False, ("cams.multiscale.scales",), (), (), ()),
        StageChange("seeds", "", True, (), ("seedbed/algorithms", "stages/seeds.py"), ("cams",), ("another command",)),
        StageChange("refinement", "", False, (), (), (), ()),
        StageChange("segmenter", "", True, ("segmenter.method",), ("stages/seeds.py",), (), ()),
        StageChange("gone", "before", False, (), (), (), ()),
        StageChange("same", "", True, (), ("seedbed/types.py",), (), ()),
    ]


def test_without_a_lock_artifacts_say_what_made_them(tmp_path: Path, comparing: Callable[..., Comparison]) -> None:
    """Where one run has no lock: a copied `data`, say. Nothing is taken from a lock that the other has."""
    extents = {"y": 2, "x": 3}
    made: Mapping[str, Mapping[str, tuple[str, Mapping[str, Any], Mapping[str, str]]]] = {
        "before": {
            "superpixels": ("slic", {"size": 3}, {"dataset": "1"}),
            "seeds": ("threshold", {"tau": {"low": 1, "high": 2}}, {"cams": "1"}),
            "refinement": ("crf", {}, {"cams": "1"}),
        },
        "after": {
            "superpixels": ("lsc", {"size": 3}, {"dataset": "1"}),
            "seeds": ("threshold", {"tau": {"low": 1, "high": 3}}, {"cams": "2"}),
        },
    }
    for name, artifacts in made.items():
        for kind, (method, parameters, inputs) in artifacts.items():
            published(kind, tmp_path / name / "data", [], extents=extents, made_by=MadeBy(kind, method, parameters, inputs))
    write_yaml(tmp_path / "after/dvc.lock", lock(nothing={}))
    write_yaml(tmp_path / "after/params.yaml", {"nothing": 1})
    found = comparing()
    changed = ("superpixels.method", "superpixels.slic.size", "superpixels.lsc.size")
    assert found.stages == [
        StageChange("superpixels", "", False, changed, (), (), ()),
        StageChange("seeds", "", False, ("seeds.threshold.tau.high",), (), ("cams",), ()),
        StageChange("refinement", "before", False, (), (), (), ()),
    ]
    assert {one.address: (one.before, one.after) for one in found.parameters} == {
        "superpixels.method": ("slic", "lsc"),
        "superpixels.slic.size": (3, None),
        "superpixels.lsc.size": (None, 3),
        "seeds.threshold.tau.high": (2, 3),
        "refinement.method": ("crf", None),
    }


def test_a_difference_that_nothing_on_record_explains(tmp_path: Path, comparing: Callable[..., Comparison]) -> None:
    write_runs(tmp_path, {"a": {"masks": RIGHT}}, {"a": {"masks": LOST}})
    unknown = ("what artifacts do not tell: code, settings or packages",)
    assert comparing().stages == [StageChange("evaluation", "", False, (), (), (), unknown)]


def test_parameters_that_have_not_run_yet(tmp_path: Path, comparing: Callable[..., Comparison]) -> None:
    for name in ("before", "after"):
        write_yaml(tmp_path / name / "dvc.lock", lock(seeds={"params": {"seeds.threshold": {"foreground": 0.5}}}, cams={}))
    write_yaml(tmp_path / "before/params.yaml", {"seeds": {"threshold": {"foreground": 0.5}, "method": "threshold"}})
    write_yaml(tmp_path / "after/params.yaml", {"seeds": {"threshold": {"foreground": 0.6}, "method": "threshold"}})
    found = comparing()
    assert found.remarks[:-2] == ["after: seeds ran with other parameters than params.yaml has: figures are of what ran"]
    assert [one.address for one in found.parameters] == ["seeds.threshold.foreground"] and not found.stages


def test_other_figures(tmp_path: Path, comparing: Callable[..., Comparison]) -> None:
    before = {"classifier": {"mean_average_precision": 0.5, "images": 3}, "superpixels": {"mean_count": 4.5}, "masks": {"absent": []}}
    after = {"classifier": {"mean_average_precision": 0.75, "images": 3}, "seeds": {"coverage": 0.1}, "masks": {"absent": ["cat"]}}
    for name, figures in {"before": before, "after": after}.items():
        write(tmp_path / name / "data/metrics/evaluation.json", json.dumps(figures))
    assert [(one.kind, one.name, one.before, one.after, one.change) for one in comparing().figures] == [
        ("classifier", "mean_average_precision", 0.5, 0.75, 0.25),
        ("superpixels", "mean_count", 4.5, None, None),
        ("seeds", "coverage", None, 0.1, None),
    ]


# As it is typed.


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    """A commit whose artifact is in DVC's cache, and another run in the workspace; no test changes it."""
    made = History.begin(tmp_path_factory.mktemp("history") / "project")
    params: dict[str, Any] = {"refinement": {"method": "crf", "crf": {"background_power": 12}}}
    first = {
        "[red]a": {"seeds": RIGHT, "masks": LOST},
        "b/\u4e2d": {"seeds": RIGHT, "masks": RIGHT},
        "c": {"seeds": RIGHT, "masks": MISSED},
    }
    second = {
        "[red]a": {"seeds": RIGHT, "masks": RIGHT},
        "b/\u4e2d": {"seeds": RIGHT, "masks": MISSED},
        "c": {"seeds": LOST, "masks": MISSED},
    }
    evaluate(made.root / "data", first)
    made.write(params=params, recorded={"stages": {"evaluation": {"cmd": "x", "outs": [cache(made.root, "evaluation")]}}})
    made.commit()
    evaluate(made.root / "data", second)
    params["refinement"]["crf"] = {"background_power": 6}
    read = [{"path": "data/refinement.zarr", "md5": "2"}]
    made.write(params=params, recorded={"stages": {"evaluation": {"cmd": "x", "deps": read, "outs": [cache(made.root, "evaluation")]}}})
    return made


PRINTED = """\
before: HEAD   after: workspace

parameter                        before  after
refinement.crf.background_power  12      6

stage       result   why
evaluation  differs  input refinement

labels  images  mIoU before   after    change       95 % interval
seeds        3       1.0000  0.7083   -0.2917  FROM to TO
masks        3       0.6239  0.7980   +0.1740  FROM to TO

class, of masks  IoU before   after    change       95 % interval
background           0.6923  0.8182   +0.1259  FROM to TO
cat                  0.5556  0.7778   +0.2222  FROM to TO

change of IoU     seeds
background      -0.2500
cat             -0.3333

intervals are over the choice of images, and say nothing of other seeds; * leaves out 0

figure     of     before   after   change
precision  seeds  1.0000  0.8333  -0.1667
precision  masks  0.7778  0.8889  +0.1111

gained most, masks  mIoU before  after    lost most, masks  mIoU before  after
[red]a                    0.250  1.000    b/\u4e2d                    1.000  0.708"""


def seedbed(history: History, *arguments: str, columns: int = 100) -> tuple[int, str]:
    """Type a command."""
    with contextlib.chdir(history.root):
        done = CliRunner().invoke(cli.app, list(arguments), env={"COLUMNS": str(columns), "TERM": "dumb"})
    return done.exit_code, done.output


def test_what_is_printed(history: History) -> None:
    code, printed = seedbed(history, "compare", "--resamples", "20")
    assert code == 0
    lines = [re.sub(r"[+-]\S+ to [+-]\S+$", "FROM to TO", line.rstrip()) for line in printed.splitlines()]
    assert "\n".join(lines) == PRINTED
    assert max(map(len, printed.splitlines())) <= 100


def test_json_has_all_of_it(history: History) -> None:
    code, printed = seedbed(history, "compare", "HEAD", ".", "--json", "--resamples", "20", "--level", "0.5")
    content = json.loads(printed)
    assert code == 0 and list(content) == [
        *("before", "after", "remarks", "parameters", "stages", "figures", "intervals", "kinds", "images"),
    ]
    assert content["intervals"] == {"resamples": 20, "level": 0.5}
    assert [one["kind"] for one in content["kinds"]] == ["seeds", "masks"]
    assert content["kinds"][1]["paired"] == {"images": 3, "only_before": 0, "only_after": 0, "other_truth": 0}
    assert content["kinds"][1]["miou"].keys() == {"before", "after", "change", "low", "high"}
    assert content["images"]["gained"] == [{"image": "[red]a", "before": 0.25, "after": 1, "change": 0.75}]
    assert seedbed(history, "compare", "--json", "--resamples", "20", "--level", "0.5") == (0, printed), "the same each time"


def test_nothing_differs(history: History) -> None:
    assert seedbed(history, "compare", "HEAD", "main") == (0, "before: HEAD   after: main\nnothing differs\n")


def test_a_mistake_is_told_in_a_line(history: History) -> None:
    code, printed = seedbed(history, "compare", "maim")
    assert code == 2 and printed.startswith("error: maim: found nothing of that name; ") and printed.count("\n") == 1


def print_out(**found: Any) -> str:
    """What is printed of a comparison."""
    nothing = Comparison("a", "b", [], [], [], [], "", [], HOW)
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(show_comparison(dataclasses.replace(nothing, **found)))
    return "\n".join(line.rstrip() for line in console.export_text().splitlines())


def test_parameters_of_a_method_that_one_run_selects_are_counted_in_print() -> None:
    gone = [ParameterChange(f"segmenter.old.{name}", 1, None, read=True) for name in "abcd"]
    new = [ParameterChange(f"segmenter.new.{name}", None, [1], read=True) for name in "ab"]
    unread = [ParameterChange(f"seeds.other.{name}", 1, 2, read=False) for name in "abcde"]
    expected = """\
before: a   after: b

parameter        before        after
segmenter.old    4 parameters  -
segmenter.new.a  -             [1]
segmenter.new.b  -             [1]
not read by the methods that are selected: seeds.other.a, seeds.other.b, seeds.other.c,
seeds.other.d and 1 more"""
    assert print_out(parameters=[*gone, *new, *unread]) == expected


def test_reasons_of_stages_in_print() -> None:
    changes = [
        StageChange("cams", "", True, ("cams.multiscale.flip", "cams.method"), ("seedbed/a.py",), ("dataset",), ("x",)),
        StageChange("seeds", "b", False, (), (), (), ()),
    ]
    expected = """\
before: a   after: b
! [bold]odd

stage  result     why
cams   the same   parameters multiscale.flip, method; code seedbed/a.py; input dataset; x
seeds  only in b"""
    assert print_out(stages=changes, remarks=["[bold]odd"]) == expected


def test_what_is_sure_is_marked_and_what_is_not_known_is_left_out_in_print() -> None:
    sure, unsure, unknown = (
        Difference(0.5, 0.25, -0.5, -0.125),
        Difference(0.5, 0.75, -0.5, 1),
        Difference(float("nan"), 0.5, *[float("nan")] * 2),
    )
    kinds = [
        KindChange("seeds", None, unknown, {"cat": unknown, "dog": unsure}),
        KindChange("masks", None, sure, {"cat": unsure, "fly": unknown}),
    ]
    expected = """\
before: a   after: b

labels  images  mIoU before   after    change
seeds                        0.5000
masks                0.5000  0.2500  -0.2500*  -0.5000 to -0.1250

class, of masks  IoU before   after    change
cat                  0.5000  0.7500   +0.2500  -0.5000 to +1.0000
fly                          0.5000

change of IoU     seeds
cat
dog             +0.2500"""
    assert print_out(kinds=kinds) == expected


def test_plain_data_has_no_nan(tmp_path: Path, comparing: Callable[..., Comparison]) -> None:
    write_runs(tmp_path, {"a": {"masks": RIGHT}}, {"a": {"masks": LOST}})
    shutil.rmtree(tmp_path / "before/data/evaluation.zarr")
    content = json.loads(json.dumps(comparison_as_json(comparing()), allow_nan=False))
    assert content["kinds"][0]["miou"] == {"before": 1, "after": 0.25, "change": -0.75, "low": None, "high": None}
    assert content["kinds"][0]["paired"] is None
