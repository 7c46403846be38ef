"""One picture, in a file or in the terminal."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage
from typer.testing import CliRunner

from seedbed import cli
from seedbed.errors import SeedbedError
from seedbed.report import drawing
from seedbed.report.palette import make_palette, make_thing_colours
from seedbed.tools.show import Wanted, draw_picture
from tests.support.looking import CONFIDENCE, IDS, LABELS, OBJECTS, REGIONS, THINGS, write_run

PALETTE = make_palette(2)


@pytest.fixture
def inside(run: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(run)
    return "."


def test_labels_lie_over_the_photograph_with_a_legend(inside: str) -> None:
    drawn = draw_picture(Wanted("refinement", IDS[0]))
    assert [(one.name, one.number) for one in drawn.legend] == [("cat", 1), ("猫", 2), ("no label", -1)]
    assert [one.colour for one in drawn.legend] == [tuple(PALETTE[1].tolist()), tuple(PALETTE[2].tolist()), (128, 128, 128)]
    plain = draw_picture(Wanted("refinement", IDS[0], plain=True))
    assert np.array_equal(plain.picture, drawing.draw_labels(LABELS[0], PALETTE)) and not np.array_equal(plain.picture, drawn.picture)
    assert [one.name for one in plain.legend] == ["background", "cat", "猫", "no label"]


def test_everything_that_a_schema_shows_is_drawn(inside: str) -> None:
    confidence = draw_picture(Wanted("refinement", IDS[0], array="confidence", plain=True))
    assert np.array_equal(confidence.picture[..., 1], CONFIDENCE[0]) and confidence.legend == ()
    maps = draw_picture(Wanted("cams", IDS[0], plain=True))
    assert maps.picture[2, 3].tolist() == (PALETTE[1] * (64 / 255) + PALETTE[2] * (191 / 255)).astype(int).tolist()
    assert [one.name for one in maps.legend] == ["cat", "猫"]
    regions = draw_picture(Wanted("superpixels", IDS[0])).picture
    assert regions.shape == (*REGIONS.shape, 3) and (regions == (255, 255, 0)).all(axis=-1).any()
    assert draw_picture(Wanted("features", IDS[0], plain=True)).picture.shape == (6, 8, 3)
    likeliest = draw_picture(Wanted("predictions", IDS[1], plain=True))
    assert [one.name for one in likeliest.legend] == ["background", "cat", "猫"]


def test_objects_are_light_and_what_is_unknown_is_half_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(write_run(tmp_path / "run", only=["saliency"]))
    drawn = draw_picture(Wanted("saliency", IDS[0], array="objects", plain=True))
    assert np.array_equal(drawn.picture[..., 0], np.select([OBJECTS == 1, OBJECTS == 255], [255, 127])) and drawn.legend == ()


def test_things_have_colours_of_their_own_with_class_and_score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(write_run(tmp_path / "run", only=["instances"]))
    drawn = draw_picture(Wanted("instances", IDS[0], plain=True))
    assert [(one.name, one.number) for one in drawn.legend] == [("1: dog 1.00", 2), ("2: cat 0.62", 1)]
    assert [one.colour for one in drawn.legend] == [tuple(one) for one in make_thing_colours(2)[1:3].tolist()]
    assert np.array_equal(drawn.picture, make_thing_colours(2)[THINGS[0]])
    over = draw_picture(Wanted("instances", IDS[0]))
    assert over.legend == drawn.legend and not np.array_equal(over.picture, drawn.picture)
    assert draw_picture(Wanted("instances", IDS[1])).legend == ()


def test_a_map_of_one_class(inside: str) -> None:
    drawn = draw_picture(Wanted("cams", IDS[0], class_name="cat", plain=True))
    assert [one.name for one in drawn.legend] == ["cat"]
    assert np.unique(drawn.picture.reshape(-1, 3), axis=0).tolist() == [(PALETTE[1] * (64 / 255)).astype(int).tolist()]
    drawn = draw_picture(Wanted("predictions", IDS[1], class_name="background", plain=True))
    assert drawn.picture.max() == 0, "background is black"
    assert draw_picture(Wanted("cams", IDS[1])).legend == (), "of an image without class maps"


def test_without_the_photograph_the_layer_stands_alone_and_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_run(tmp_path / "run", only=["refinement"])
    monkeypatch.chdir(root)
    file = root / "data/raw/tiny/images/0.png"
    alone = drawing.draw_labels(LABELS[0], PALETTE)
    PillowImage.new("RGB", (16, 12)).save(file)
    drawn = draw_picture(Wanted("refinement", IDS[0]))
    assert np.array_equal(drawn.picture, alone) and "background" in [one.name for one in drawn.legend]
    [remark] = drawn.remarks
    assert remark.startswith("without the photograph: data/raw/tiny/images/0.png: found ")
    file.unlink()
    drawn = draw_picture(Wanted("refinement", IDS[0]))
    assert np.array_equal(drawn.picture, alone) and drawn.remarks[0].startswith(
        "without the photograph: data/raw/tiny/images/0.png: found "
    )


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (Wanted("beauty", IDS[0]), "beauty: found no such artifact; expected one of: dataset, features, superpixels"),
        (Wanted("../x", IDS[0]), "../x: found no such artifact"),
        (Wanted("seeds", "x"), "seeds: found no image 'x'; expected one of its `ids`; correct it; `seedbed view` lists images"),
        (Wanted("dataset", IDS[0]), "dataset: found nothing that can be seen; expected an array over images; name another artifact"),
        (Wanted("seeds", IDS[0], array="size"), "seeds, --array: found size; expected one of: labels; choose one"),
        (Wanted("seeds", IDS[0], class_name="cat"), "seeds.labels, --class: found cat; expected an array with a map for each class"),
        (
            Wanted("cams", IDS[0], class_name="cow"),
            "cams.maps, --class: found cow; expected one of: cat, 猫; choose one that the image has",
        ),
        (Wanted("cams", IDS[1], class_name="cat"), "cams.maps, --class: found cat; expected nothing: the image has no class map"),
    ],
)
def test_what_cannot_be_shown_is_told_in_one_line(inside: str, wanted: Wanted, said: str) -> None:
    with pytest.raises(SeedbedError) as raised:
        draw_picture(wanted)
    assert str(raised.value).startswith(said)


def test_a_file_has_the_picture_enlarged_and_the_legend_below(inside: str, tmp_path: Path) -> None:
    file = tmp_path / "new" / "seen.png"
    done = CliRunner().invoke(cli.app, ["show", "refinement", IDS[0], "--plain", "--to", str(file)])
    assert done.exit_code == 0 and done.stdout == f"wrote {file}\n", done.output
    with PillowImage.open(io.BytesIO(file.read_bytes())) as opened:
        picture = np.asarray(opened)
    assert picture.shape[1] == 480 and picture.shape[0] > 360
    assert np.array_equal(picture[30:360:60, 30::60], drawing.draw_labels(LABELS[0], PALETTE))
    assert (picture[360:] == PALETTE[1]).all(axis=-1).any()


def test_a_terminal_shows_blocks_and_names(inside: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    done = CliRunner().invoke(cli.app, ["show", "refinement", IDS[0]], env={"FORCE_COLOR": "1", "COLUMNS": "16", "TERM": "xterm"})
    *blocks, names = done.stdout.splitlines()
    assert done.exit_code == 0 and len(blocks) == 6 and {line.count("▀") for line in blocks} == {16}
    assert "cat" in names and "猫" in names and "no label" in names


def test_no_colours_no_picture(inside: str) -> None:
    done = CliRunner().invoke(cli.app, ["show", "refinement", IDS[0]], env={"NO_COLOR": "1"})
    expected = "error: seedbed show: found NO_COLOR, which asks for none; expected colours; name a file, as with --to picture.png\n"
    assert done.exit_code == 2 and done.stderr == expected and done.stdout == ""
