"""The drawn world: the same from the same parameters, honest in its labels, and careful with what is not its own."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image as PillowImage
from pydantic import ValidationError
from ruamel.yaml import YAML

from seedbed.dataset import _drawing, shapes
from seedbed.dataset._textures import GROUNDS, MEADOW, WATER
from seedbed.dataset._things import CLUTTER, HOMES, SPECIES, draw_no_mark
from seedbed.dataset.shapes import Shapes
from seedbed.errors import DataError

# Digests of the frozen world's pixels, labels and splits. Whoever changes what is drawn raises DRAWING_VERSION, calibrates the world
# anew by benchmarks/world.py, and replaces docs/world.md and these.
FROZEN_VERSION = 4  # of the same images and masks as 3, which did not tell animals apart
FROZEN_BEGINNING = "7715bb3d7086fa4acb44ad189e483a502af0db268eeda4931a322c1412a22744"
FROZEN_WHOLE = "acc2ca67bd8cef08069964152ed582d7ae19b4434ef70333b7bd37cec2bb2b11"


def world(*, num_train: int = 3, num_val: int = 2, seed: int = 1, min_side: int = 64, max_side: int = 80) -> Shapes:
    return Shapes(num_train=num_train, num_val=num_val, seed=seed, min_side=min_side, max_side=max_side)


def contents(root: Path) -> dict[str, bytes]:
    return {file.relative_to(root).as_posix(): file.read_bytes() for file in sorted(root.rglob("*")) if file.is_file()}


def times(root: Path) -> dict[Path, int]:
    return {file: file.stat().st_mtime_ns for file in root.rglob("*")}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A world that no test changes."""
    root = tmp_path_factory.mktemp("drawn") / "shapes"
    world(num_train=40, num_val=20).read(root)
    return root


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A small world to do harm to."""
    root = tmp_path / "shapes"
    world().read(root)
    return root


def test_index_lists_every_image_in_order(own: Path) -> None:
    index = world().read(own)
    assert index.class_names == ("fish", "lizard", "bee", "tiger", "cow", "snail")
    assert [entry.id for entry in index.entries] == ["train_0000", "train_0001", "train_0002", "val_0000", "val_0001"]
    assert [entry.splits for entry in index.entries] == [{"train"}] * 3 + [{"val"}] * 2


def test_same_parameters_give_the_same_bytes(own: Path, tmp_path: Path) -> None:
    world().read(tmp_path / "again")
    assert contents(tmp_path / "again") == contents(own)


def frozen() -> dict[str, int]:
    content: dict[str, int] = YAML(typ="safe").load(Path("params.yaml"))["dataset"]["shapes"]
    return content


def digest(root: Path, **changed: int) -> str:
    """Of pixels, not of files, because another version of a library may compress them differently."""
    total = hashlib.sha256()
    for entry in Shapes(**(frozen() | changed)).read(root).entries:
        image, mask = cv2.imread(str(root / entry.file), cv2.IMREAD_UNCHANGED), classes(root / "masks" / f"{entry.id}.png")
        assert image is not None
        total.update(
            f"{entry.id} {sorted(entry.splits)} {sorted(entry.labels or ())} {image.shape}\n".encode() + image.tobytes() + mask.tobytes()
        )
    return total.hexdigest()


def test_the_beginning_of_the_calibrated_world_is_frozen(tmp_path: Path) -> None:
    assert (shapes.DRAWING_VERSION, digest(tmp_path, num_train=16, num_val=8)) == (FROZEN_VERSION, FROZEN_BEGINNING)


@pytest.mark.slow
def test_the_calibrated_world_is_frozen(tmp_path: Path) -> None:
    assert (shapes.DRAWING_VERSION, digest(tmp_path)) == (FROZEN_VERSION, FROZEN_WHOLE)


def test_the_frozen_world_has_a_few_hundred_images_of_unequal_sizes() -> None:
    assert frozen() == {"num_train": 400, "num_val": 100, "seed": 0, "min_side": 96, "max_side": 192}


def test_bodies_are_shared_in_pairs_and_marks_are_not() -> None:
    surfaces = [animal.surface for animal in SPECIES.values()]
    assert [surfaces.count(surface) for surface in surfaces] == [2] * len(SPECIES)
    assert len({animal.mark for animal in SPECIES.values()}) == len(SPECIES)
    assert draw_no_mark not in {animal.mark for animal in SPECIES.values()}
    assert all(not thing.home and thing.mark is draw_no_mark for thing in CLUTTER)


def test_two_animals_have_a_home_of_their_own() -> None:
    assert HOMES == (WATER, MEADOW)
    assert not set(HOMES) & set(GROUNDS)


def test_enough_of_every_animal_is_seen() -> None:
    """Where two meet, where clutter lies over them, and at the border."""
    generator = np.random.default_rng(0)
    whole = _drawing.cut_out(generator, SPECIES["fish"], (90, 80))
    while not whole.is_recognisable():
        whole = _drawing.cut_out(generator, SPECIES["fish"], (90, 80))
    hidden = dataclasses.replace(whole, mark=np.zeros_like(whole.mark))
    cut = dataclasses.replace(whole, body=whole.body & (np.cumsum(whole.body).reshape(whole.body.shape) < 0.6 * whole.body_size))
    assert not hidden.is_recognisable() and not cut.is_recognisable()
    assert not whole.hide_behind(whole).is_recognisable()


def test_another_seed_gives_other_images(own: Path, tmp_path: Path) -> None:
    world(seed=2).read(tmp_path / "other")
    other = contents(tmp_path / "other")
    assert all(other[name] != content for name, content in contents(own).items() if name.startswith("images/"))


def test_an_image_does_not_depend_on_how_many_there_are(own: Path, drawn: Path) -> None:
    small, large = contents(own), contents(drawn)
    pictures = [name for name in small if name.endswith(".png")]
    assert len(pictures) == 15
    assert all(small[name] == large[name] for name in pictures)


def classes(mask: Path) -> npt.NDArray[np.uint8]:
    """Numbers of a mask, which a viewer shows in the colours of its palette."""
    with PillowImage.open(mask) as opened:
        assert opened.mode == "P"
        return np.asarray(opened, np.uint8)


def test_labels_are_the_classes_of_the_mask(drawn: Path) -> None:
    seen: set[str] = set()
    for entry in world(num_train=40, num_val=20).read(drawn).entries:
        mask = classes(drawn / "masks" / f"{entry.id}.png")
        assert mask.dtype == np.uint8 and mask.ndim == 2
        pixels = np.bincount(mask.ravel(), minlength=len(SPECIES) + 1)
        assert pixels.size == len(SPECIES) + 1  # nothing beyond the classes
        assert entry.labels is not None and set(entry.labels) == {name for name, count in zip(SPECIES, pixels[1:], strict=True) if count}
        assert 1 <= len(entry.labels) <= 3
        assert pixels[0] > 0
        assert pixels[pixels > 0].min() >= _drawing.MIN_PIXELS
        seen |= entry.labels
    assert seen == set(SPECIES)


def test_every_animal_has_a_number_of_its_own(drawn: Path) -> None:
    """Of a class, in the mask, wherever one is; and where two of a kind meet, they are told apart."""
    most = 0
    for file in (drawn / "masks").iterdir():
        mask, numbers = classes(file), classes(drawn / "instances" / file.name)
        assert np.array_equal(numbers > 0, mask > 0)
        found = np.unique(numbers[numbers > 0]).tolist()
        assert found == list(range(1, len(found) + 1))
        kinds = [np.unique(mask[numbers == number]).tolist() for number in found]
        assert all(len(kind) == 1 for kind in kinds)
        most = max(most, *(kinds.count(kind) for kind in kinds))
        assert min((numbers == number).sum() for number in found) >= _drawing.MIN_PIXELS
    assert most == 2


def test_images_are_in_colour_not_square_and_of_the_size_of_their_masks(drawn: Path) -> None:
    sizes = set()
    for file in (drawn / "images").iterdir():
        image = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        mask = classes(drawn / "masks" / file.name)
        assert image is not None
        height, width, channels = image.shape
        assert channels == 3 and mask.shape == (height, width)
        assert height != width and min(height, width) >= 64 and max(height, width) <= 80
        sizes.add((height, width))
    assert len(sizes) > 20


def test_animals_with_a_home_are_nearly_always_there() -> None:
    generator = np.random.default_rng(0)
    casts = [_drawing.choose_cast(generator) for _ in range(1000)]
    fish = list(SPECIES).index("fish") + 1
    with_fish = [_drawing.choose_ground(generator, cast) is WATER for cast in casts if fish in cast]
    without_fish = [_drawing.choose_ground(generator, cast) is WATER for cast in casts if fish not in cast]
    assert 0.85 < np.mean(with_fish) < 0.95
    assert 0 < np.mean(without_fish) < 0.1
    for number in range(1, len(SPECIES) + 1):
        assert 0.22 < np.mean([number in cast for cast in casts]) < 0.35


def test_second_read_draws_nothing(own: Path) -> None:
    before = times(own)
    world().read(own)
    assert times(own) == before


@pytest.mark.parametrize("victim", ["images/train_0002.png", "masks/val_0001.png", "instances/val_0001.png", "labels.csv"])
def test_a_world_that_lost_a_file_is_redrawn(own: Path, victim: str) -> None:
    before = contents(own)
    (own / victim).unlink()
    world().read(own)
    assert contents(own) == before


@pytest.mark.parametrize("victim", ["images/train_0002.png", "masks/val_0001.png", "labels.csv", "world.json"])
def test_a_world_of_which_a_file_was_edited_is_redrawn(own: Path, victim: str) -> None:
    before = contents(own)
    (own / victim).write_bytes(before[victim][:-1])
    world().read(own)
    assert contents(own) == before


def test_without_its_record_a_world_is_not_known_to_be_ours(own: Path) -> None:
    (own / "world.json").unlink()
    with pytest.raises(DataError, match=r"expected an empty folder, or one with a world\.json"):
        world().read(own)


def test_changed_parameters_replace_the_world(own: Path) -> None:
    index = world(num_train=2, num_val=1, seed=7).read(own)
    assert [entry.id for entry in index.entries] == ["train_0000", "train_0001", "val_0000"]
    assert [len(list((own / folder).iterdir())) for folder in shapes.FOLDERS] == [3, 3, 3]


def test_another_version_of_the_drawing_replaces_the_world(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes, "DRAWING_VERSION", shapes.DRAWING_VERSION + 1)
    before = times(own)
    world().read(own)
    assert times(own)[own / "labels.csv"] != before[own / "labels.csv"]


@pytest.mark.parametrize(("module", "name"), [(shapes, "_write_png"), (shutil, "move")])
def test_an_interrupted_drawing_is_done_again(tmp_path: Path, own: Path, module: object, name: str) -> None:
    root = tmp_path / "interrupted"
    undisturbed: Callable[[object, object], object] = getattr(module, name)
    calls = 0

    def stop(first: object, second: object) -> None:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise KeyboardInterrupt
        undisturbed(first, second)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, name, stop)
        with pytest.raises(KeyboardInterrupt):
            world().read(root)
    world().read(root)
    assert contents(root) == contents(own)
    assert not (tmp_path / "interrupted.drawing").exists()


def test_gitignore_is_kept_and_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / ".gitignore").write_text("*\n")
    (tmp_path / "shapes").symlink_to("elsewhere")
    world(num_train=1, num_val=1).read(tmp_path / "shapes")
    assert (tmp_path / "shapes").is_symlink()
    assert (tmp_path / "elsewhere" / ".gitignore").read_text() == "*\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", "shapes"]


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "mine"
    (root / "images").mkdir(parents=True)
    (root / "images" / "train_0000.png").write_bytes(b"my holidays")
    (root / "labels.csv").write_text("mine")
    before = contents(root)
    with pytest.raises(DataError) as caught:
        world().read(root)
    assert str(caught.value) == (
        f"{root}: found files that do not belong to a drawn world: images, labels.csv; expected an empty folder, or one with a world.json; "
        "set dataset.root to another folder, or select the dataset method that reads these files"
    )
    assert contents(root) == before
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "shapes").write_text("mine")
    with pytest.raises(DataError, match="found files that do not belong to a drawn world: a file"):
        world().read(tmp_path / "shapes")


def test_a_place_where_nothing_may_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, content: bytes) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(DataError) as raised:
        world().read(tmp_path / "shapes")
    assert str(raised.value) == (
        f"{tmp_path}/shapes: found that {tmp_path}/shapes.drawing/images/train_0000.png cannot be written: Permission denied; "
        "expected a folder to draw the world into; check its permissions, or set dataset.root to another folder"
    )


def test_a_full_disk_is_told_by_whoever_runs_the_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, content: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(OSError, match="No space left on device"):
        world().read(tmp_path / "shapes")


def test_files_added_to_a_world_survive_its_redrawing(own: Path) -> None:
    notes = [own / "notes.txt", own / "images" / "holidays.png", own / "masks" / "train_notes.png"]
    for note in notes:
        note.write_text("mine")
    before = times(own)
    world().read(own)
    assert times(own) == before
    world(seed=2).read(own)
    assert [note.read_text() for note in notes] == ["mine"] * 3


@pytest.mark.parametrize(("wrong", "message"), [({"max_side": 64}, "max_side above min_side, which is 64"), ({"num_train": 0}, "greater")])
def test_senseless_parameters_are_refused(wrong: dict[str, int], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        world(**wrong)
