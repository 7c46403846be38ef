"""Pictures for people, and the files that they go into."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image as PillowImage

from seedbed.report import drawing, export
from seedbed.report.drawing import GAP, TITLE_HEIGHT
from seedbed.report.palette import make_thing_colours
from seedbed.store.schemas import SHOWN
from seedbed.types import ClassMaps

PALETTE = np.array([[0, 0, 0], [255, 0, 0], [0, 0, 255]], np.uint8)


def flat(height: int, width: int, colour: tuple[int, int, int]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.full((height, width, 3), colour, np.uint8)


def test_labels_have_the_colours_of_their_classes_and_missing_ones_are_grey() -> None:
    picture = drawing.draw_labels(np.array([[0, 1, 2], [255, 2, 0]], np.uint8), PALETTE)
    assert picture.dtype == np.uint8
    assert picture.tolist() == [[[0, 0, 0], [255, 0, 0], [0, 0, 255]], [[128, 128, 128], [0, 0, 255], [0, 0, 0]]]
    assert PALETTE.tolist() == [[0, 0, 0], [255, 0, 0], [0, 0, 255]]


def test_errors_have_a_colour_for_each_way_of_being_wrong_and_void_has_none() -> None:
    truth = np.array([[0, 0, 0, 1], [1, 1, 1, 255]], np.uint8)
    labels = np.array([[0, 2, 255, 1], [0, 2, 255, 2]], np.uint8)
    picture = drawing.draw_errors(flat(2, 4, (100, 100, 100)), labels, truth)
    false, missed, confused = drawing.ERRORS.values()
    right, void = (40, 40, 40), drawing.VOID_COLOUR
    assert [[tuple(pixel) for pixel in row] for row in picture.tolist()] == [
        [right, false, missed, right],
        [missed, confused, missed, void],
    ]


def test_the_colours_of_errors_differ_in_light_too() -> None:
    """So that who sees no colours, or prints without any, tells them apart, and from what is right."""
    light = sorted(float(np.dot((0.299, 0.587, 0.114), colour)) for colour in drawing.LEGEND.values())
    assert min(np.diff([255 * drawing.DIM, *light])) > 15


def test_class_maps_light_up_in_the_colour_of_their_class() -> None:
    maps = np.zeros((1, 4, 6), np.float32)
    maps[0, 1, 2] = 1
    picture = drawing.draw_class_maps(flat(4, 6, (100, 100, 100)), ClassMaps(classes=(2,), maps=maps), PALETTE)
    assert picture[0, 0].tolist() == [35, 35, 35]
    assert picture[1, 2].tolist() == [35, 35, 239]


def test_an_image_without_a_class_is_dark() -> None:
    picture = drawing.draw_class_maps(flat(4, 6, (100, 50, 0)), ClassMaps(classes=(), maps=np.zeros((0, 4, 6), np.float32)), PALETTE)
    assert np.unique(picture.reshape(-1, 3), axis=0).tolist() == [[35, 17, 0]]


def test_regions_are_divided_by_lines() -> None:
    regions = (np.arange(9) >= 4).astype(np.int32) + np.zeros((6, 1), np.int32)
    picture = drawing.draw_regions(flat(6, 9, (10, 20, 30)), regions)
    assert picture[0, 0].tolist() == picture[0, 8].tolist() == [10, 20, 30]
    assert np.flatnonzero((picture[2] == (255, 255, 0)).all(axis=-1)).tolist() in ([3], [4])


def test_a_sheet_has_a_row_per_image_and_a_column_per_name() -> None:
    rows = [
        {"image": flat(10, 20, (1, 1, 1)), "masks": flat(10, 20, (2, 2, 2))},
        {"image": flat(14, 8, (3, 3, 3)), "masks": flat(14, 8, (4, 4, 4))},
    ]
    sheet = drawing.arrange_sheet(rows)
    assert sheet.shape == (TITLE_HEIGHT + (10 + GAP) + (14 + GAP), 2 * (20 + GAP), 3)
    top, left = TITLE_HEIGHT + 10 + GAP, 20 + GAP
    assert sheet[TITLE_HEIGHT, 0, 0] == 1 and sheet[TITLE_HEIGHT, left, 0] == 2
    assert sheet[top, 0, 0] == 3 and sheet[top, left, 0] == 4
    assert (sheet[top : top + 14, 8:left] == 255).all()  # beside a narrow image is paper


def test_a_sheet_leaves_room_where_an_image_lacks_a_picture() -> None:
    truth = flat(10, 20, (9, 9, 9))
    for rows in (
        [{"image": flat(10, 20, (1, 1, 1)), "truth": truth}, {"image": flat(10, 20, (2, 2, 2))}],
        [{"image": flat(10, 20, (2, 2, 2))}, {"image": flat(10, 20, (1, 1, 1)), "truth": truth}],
    ):
        sheet = drawing.arrange_sheet(rows)
        assert sheet.shape[1] == 2 * (20 + GAP)
        assert (sheet == 9).all(axis=-1).sum() >= 200


def test_a_sheet_has_captions_above_its_rows_and_a_legend_above_all() -> None:
    rows = [{"image": flat(10, 90, (1, 1, 1))}, {"image": flat(14, 80, (2, 2, 2))}]
    sheet = drawing.arrange_sheet(rows, captions=["first", "second"], legend={"wrong": (9, 8, 7)})
    assert sheet.shape == (2 * TITLE_HEIGHT + (TITLE_HEIGHT + 10 + GAP) + (TITLE_HEIGHT + 14 + GAP), 90 + GAP, 3)
    colour = (sheet == (9, 8, 7)).all(axis=-1)
    assert colour[:TITLE_HEIGHT].any() and not colour[TITLE_HEIGHT:].any()
    first = 3 * TITLE_HEIGHT
    second = first + 10 + GAP + TITLE_HEIGHT
    assert (sheet[first : first + 10, :90] == 1).all() and (sheet[second : second + 14, :80] == 2).all()
    for caption in (sheet[first - TITLE_HEIGHT : first], sheet[second - TITLE_HEIGHT : second]):
        assert caption.min() < 100


def test_a_picture_is_saved_in_red_green_blue(tmp_path: Path) -> None:
    export.write_picture(flat(4, 6, (255, 128, 0)), tmp_path / "new" / "a.png")
    read = cv2.imread(str(tmp_path / "new" / "a.png"))
    assert read is not None and read[0, 0].tolist() == [0, 128, 255]


def test_figures_are_json_that_dvc_reads(tmp_path: Path) -> None:
    export.write_figures({"masks": {"miou": 0.5, "iou": {"cat": None}}}, tmp_path / "new" / "evaluation.json")
    assert json.loads((tmp_path / "new" / "evaluation.json").read_text()) == {"masks": {"miou": 0.5, "iou": {"cat": None}}}


def test_tables_are_csv_that_dvc_reads(tmp_path: Path) -> None:
    export.write_table(["kind", "iou"], [("masks", 0.5), ('odd, "name"', 1)], tmp_path / "new" / "iou.csv")
    content = (tmp_path / "new" / "iou.csv").read_bytes()
    assert b"\r" not in content
    assert list(csv.reader(content.decode().splitlines())) == [["kind", "iou"], ["masks", "0.5"], ['odd, "name"', "1"]]


def test_sheets_are_written_as_png(tmp_path: Path) -> None:
    export.write_picture(drawing.arrange_sheet([{"image": flat(10, 20, (1, 1, 1))}]), tmp_path / "new" / "sheet.png")
    read = cv2.imread(str(tmp_path / "new" / "sheet.png"))
    assert read is not None and read.shape == (TITLE_HEIGHT + 10 + GAP, 20 + GAP, 3)


def test_a_chart_is_written_as_png_in_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        export.write_picture(flat(4, 6, (255, 128, 0)), tmp_path / "new" / name)
    first, second = ((tmp_path / "new" / name).read_bytes() for name in ("a.png", "b.png"))
    assert first == second and first.startswith(b"\x89PNG")


# --- Whatever lies over an image ---

CONTENT: dict[str, np.ndarray[Any, np.dtype[Any]]] = {
    "labels": np.array([[0, 1, 2], [255, 1, 2]], np.uint8),
    "regions": np.array([[0, 0, 1], [0, 0, 1]], np.int32),
    "confidence": np.array([[0, 51, 255], [0, 0, 0]], np.uint8),
    "scores": np.array([[[0, 51, 255], [0, 0, 0]], [[0, 0, 255], [0, 0, 0]]], np.uint8),
    "probabilities": np.array([[0, 1, 2], [0, 1, 2]], np.uint8),
    "things": np.array([[0, 1, 2], [0, 13, 255]], np.uint8),
    "objects": np.array([[0, 127, 255], [0, 0, 0]], np.uint8),
    "features": np.full((2, 3, 3), (10, 20, 30), np.uint8),
    "light": np.array([[0, 51, 255], [0, 0, 0]], np.uint8),
    "ways": np.full((2, 3, 3), (10, 20, 30), np.uint8),
    "merges": np.array([[0, 0, 1], [0, 0, 1]], np.int32),
    "selections": np.array([[0, 0, 1], [0, 0, 1]], np.int32),
}


def test_every_way_of_being_shown_is_drawn_alone_and_over_an_image() -> None:
    photo = flat(2, 3, (100, 100, 100))
    for shown in SHOWN:
        for image in (None, photo):
            picture = drawing.draw_layer(CONTENT[shown], shown, PALETTE, image=image, classes=(1, 2) if shown == "scores" else None)
            assert picture.shape == (2, 3, 3) and picture.dtype == np.uint8 and not np.array_equal(picture, photo), shown
    assert (photo == 100).all(), "an image stays as it is"


def test_layers_alone_have_their_colours() -> None:
    def draw(shown: str, **given: Any) -> list[Any]:
        return [pixel.tolist() for pixel in drawing.draw_layer(CONTENT[shown], shown, PALETTE, **given)[0]]

    assert draw("labels") == draw("probabilities") == PALETTE[[0, 1, 2]].tolist()
    assert draw("confidence") == draw("light") == [[0, 0, 0], [51, 51, 51], [255, 255, 255]]
    assert draw("objects") == [[0, 0, 0], [127, 127, 127], [255, 255, 255]]
    assert draw("features") == draw("ways") == [[10, 20, 30]] * 3
    assert draw("things") == make_thing_colours(len(PALETTE) - 1)[[0, 1, 2]].tolist()
    both = np.minimum(PALETTE[1].astype(int) + PALETTE[2], 255).tolist()
    assert draw("scores", classes=(1, 2)) == [[0, 0, 0], (PALETTE[1] / 5).astype(int).tolist(), both]
    single = drawing.draw_layer(CONTENT["confidence"][None], "probabilities", PALETTE, classes=(2,))
    assert single[0, 2].tolist() == PALETTE[2].tolist()
    assert drawing.draw_layer(np.zeros((0, 2, 3), np.uint8), "scores", PALETTE, classes=()).max() == 0


def test_layers_over_an_image_let_it_through() -> None:
    photo = flat(2, 3, (100, 100, 100))
    assert np.array_equal(
        drawing.draw_layer(CONTENT["labels"], "labels", PALETTE, image=photo), drawing.draw_overlay(photo, CONTENT["labels"], PALETTE)
    )
    over = drawing.draw_things(CONTENT["things"].repeat(5, axis=0).repeat(5, axis=1), 2, image=flat(10, 15, (100, 100, 100)))
    assert over[0, 0].tolist() == [100, 100, 100] and over[0, 4].tolist() == [255, 255, 0], "a border"
    assert over[2, 7].tolist() == np.rint(50 + make_thing_colours(2)[1] / 2).astype(int).tolist()
    light = drawing.draw_layer(CONTENT["confidence"], "confidence", PALETTE, image=photo)
    assert light[0, :, 0].tolist() == [20, 36, 100]
    maps = ClassMaps(classes=(1, 2), maps=np.asarray(CONTENT["scores"] / 255, np.float32))
    drawn = drawing.draw_layer(CONTENT["scores"], "scores", PALETTE, image=photo, classes=(1, 2))
    assert np.array_equal(drawn, drawing.draw_class_maps(photo, maps, PALETTE))


# --- Masks in files ---


def test_a_mask_has_numbers_and_shows_in_colours() -> None:
    labels = np.array([[0, 1, 2], [255, 1, 2]], np.uint8)
    content = export.encode_mask(labels, PALETTE, unlabelled=(1, 2, 3), note=("Software", "a test"))
    with PillowImage.open(io.BytesIO(content)) as opened:
        assert opened.mode == "P" and opened.info["Software"] == "a test" and np.array_equal(np.asarray(opened), labels)
        assert np.asarray(opened.convert("RGB"))[:, 0].tolist() == [PALETTE[0].tolist(), [1, 2, 3]]
        assert np.asarray(opened.convert("RGB"))[0].tolist() == PALETTE[[0, 1, 2]].tolist()
