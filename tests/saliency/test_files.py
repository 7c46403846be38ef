"""Maps of a detector, and their correction by class maps."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from seedbed.errors import ParamsError
from seedbed.run.slots import NO_PATH
from seedbed.saliency import Correction, check_folder
from seedbed.saliency.files import Files
from seedbed.saliency.none import Nothing
from seedbed.types import ClassMaps
from tests.support.evidence import evidence


def correct(adds_above: float, doubts_below: float, objects: list[list[int]], maps: list[list[list[float]]]) -> list[list[int]]:
    """What a correction makes of objects."""
    classes = ClassMaps(classes=tuple(range(1, 1 + len(maps))), maps=np.array(maps, np.float32).reshape(len(maps), *np.shape(objects)))
    made: list[list[int]] = (
        Correction(adds_above=adds_above, doubts_below=doubts_below).correct(np.array(objects, np.uint8), classes).tolist()
    )
    return made


def test_the_truth_table_of_a_correction() -> None:
    """Below, between and above the thresholds, of background and of object."""
    maps = [[[0.1, 0.5, 1.0], [0.1, 0.5, 1.0]]]
    assert correct(0.8, 0.3, [[0, 0, 0], [1, 1, 1]], maps) == [[0, 0, 1], [255, 1, 1]]
    assert correct(0.8, 0.0, [[0, 0, 0], [1, 1, 1]], maps) == [[0, 0, 1], [1, 1, 1]]
    assert correct(1.0, 0.3, [[0, 0, 0], [1, 1, 1]], maps) == [[0, 0, 0], [255, 1, 1]]
    assert correct(1.0, 0.0, [[0, 0, 0], [1, 1, 1]], maps) == [[0, 0, 0], [1, 1, 1]]


def test_at_a_threshold_nothing_is_corrected() -> None:
    assert correct(0.5, 0.5, [[0, 1, 0]], [[[0.5, 0.5, 1.0]]]) == [[0, 1, 1]]


def test_each_class_is_measured_by_its_own_maximum() -> None:
    weak = [[[0.0, 0.02, 0.01]], [[1.0, 0.1, 0.2]]]
    assert correct(0.8, 0.3, [[0, 0, 0], [1, 1, 1]], [[one[0], one[0]] for one in weak]) == [[1, 1, 0], [1, 1, 1]]


@pytest.mark.parametrize("maps", [[], [[[0.0, 0.0]]]])
def test_where_no_class_is_seen_objects_are_doubted_and_background_stays(maps: list[list[list[float]]]) -> None:
    assert correct(0.8, 0.3, [[0, 1]], maps) == [[0, 255]]


def test_no_saliency_and_saliency_everywhere() -> None:
    maps = [[[0.2, 0.9, 0.5, 1.0]]]
    assert correct(0.8, 0.3, [[0, 0, 0, 0]], maps) == [[0, 1, 0, 1]] and correct(0.8, 0.3, [[1, 1, 1, 1]], maps) == [[255, 1, 1, 1]]


def test_the_whole_written_down_pixel_by_pixel() -> None:
    method = Files(threshold=0.35, correction=Correction(adds_above=0.6, doubts_below=0.45))
    random = np.random.default_rng(0)
    maps, detected = random.random((2, 5, 7), np.float32) * np.float32(0.7), random.random((5, 7), np.float32)
    made = method.find(evidence(np.zeros((5, 7, 3), np.uint8), ClassMaps(classes=(2, 3), maps=maps)), detected)
    seen = set()
    for row, column in itertools.product(range(5), range(7)):
        strongest = max(one[row, column] / one.max() for one in maps)
        expected = int(detected[row, column] > 0.35)
        if expected == 0 and strongest > 0.6:
            expected = 1
        elif expected == 1 and strongest < 0.45:
            expected = 255
        assert made.objects[row, column] == expected
        seen.add((detected[row, column] > 0.35, expected))
    assert seen == {(False, 0), (False, 1), (True, 1), (True, 255)} and np.array_equal(made.scores, detected)
    assert method.unread == ("superpixels", "features")


def test_class_maps_are_enlarged_to_the_size_of_the_image() -> None:
    method = Files(threshold=0.5, correction=Correction(adds_above=0.9, doubts_below=0.3))
    maps = ClassMaps(classes=(1,), maps=np.array([[[0.0, 0.5]]], np.float32))
    made = method.find(evidence(np.zeros((2, 8, 3), np.uint8), maps), np.full((2, 8), 0.6, np.float32))
    assert made.objects.tolist() == [[255, 255, 255, 1, 1, 1, 1, 1]] * 2


def test_a_folder_is_named_where_files_are_read_and_nowhere_else() -> None:
    files, nothing = Files(threshold=0.5, correction=Correction(adds_above=1, doubts_below=0)), Nothing()
    check_folder("saliency", "maps", files)
    check_folder("saliency", NO_PATH, nothing)
    with pytest.raises(ParamsError) as caught:
        check_folder("saliency_second", NO_PATH, files)
    told = (
        "params.yaml: saliency_second.folder: found 'data/none.zarr'; expected a folder of maps, one for each image; correct one of the two"
    )
    assert str(caught.value) == told
    with pytest.raises(ParamsError) as caught:
        check_folder("saliency", "maps", nothing)
    told = "params.yaml: saliency.folder: found 'maps'; expected data/none.zarr, because none reads no files; correct one of the two"
    assert str(caught.value) == told
