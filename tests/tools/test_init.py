"""`seedbed init` makes a project of whatever folder it is shown, and touches nothing that is the user's."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage
from ruamel.yaml import YAML
from typer.testing import CliRunner, Result

from seedbed.cli import app
from tests.stages.miniature import CHECKOUT
from tests.support import layouts


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project as it is in git."""
    root = tmp_path / "project"
    root.mkdir()
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(CHECKOUT / name, root)
    monkeypatch.chdir(root)
    return root


def init(path: Path | str) -> Result:
    return CliRunner().invoke(app, ["init", str(path)])


def section(project: Path) -> dict[str, Any]:
    """What params.yaml says of the data set."""
    content: dict[str, Any] = YAML(typ="safe").load(project / "params.yaml")["dataset"]
    return content


def picture(file: Path, size: tuple[int, int] = (20, 30)) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    PillowImage.fromarray(np.zeros((*size, 3), np.uint8)).save(file)


@pytest.mark.parametrize(
    ("reader", "found"),
    [
        ("folder", "found 4 images (2 in train, 3 in val), 3 of them with labels, of 2 classes"),
        ("voc", "found 4 images (1 in train, 2 in train_aug, 2 in val), 3 of them with labels, of 20 classes"),
        ("coco", "found 4 images (2 in train, 2 in val), 4 of them with labels, of 2 classes"),
    ],
)
def test_layouts_are_recognised(project: Path, reader: str, found: str) -> None:
    layouts.LAYOUTS[reader](project / "data" / "raw" / "own") if reader != "voc" else layouts.voc(made(project / "data" / "raw" / "own"))
    done = init("data/raw/own")
    assert done.exit_code == 0, done.output
    assert found in done.output and done.output.endswith("next: run `seedbed plan`, then `dvc repro`\n")
    values = section(project)
    assert (values["method"], values["root"], values["max_size"], values["larger"]) == (reader, "data/raw/own", [64, 64], "refuse")
    assert values["folder"]["classes"] == ["cat", "dog"]


def made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def test_photographs_are_told_of_a_recipe_for_them(project: Path) -> None:
    shutil.copytree(CHECKOUT / "recipes", project / "recipes")
    layouts.folder(project / "data" / "raw" / "own")
    hint = "for photographs run `seedbed recipe quick`, then this command again\nnext: run `seedbed plan`"
    assert hint in init("data/raw/own").output
    assert CliRunner().invoke(app, ["recipe", "quick"]).exit_code == 0
    done = init("data/raw/own")
    assert done.exit_code == 0 and "found 4 images" in done.output and "for photographs" not in done.output


def test_nothing_else_of_params_yaml_changes(project: Path) -> None:
    before = (project / "params.yaml").read_text().splitlines()
    layouts.folder(project / "data" / "raw" / "own")
    init("data/raw/own")
    changed = [line for line in (project / "params.yaml").read_text().splitlines() if line not in before]
    assert [line.split("#")[0].strip() for line in changed] == ["method: folder", "root: data/raw/own", "max_size: [64, 64]"]


def test_images_are_found_however_the_folder_is_called(project: Path) -> None:
    """Names that begin with a dot hide what is below the folder, not the folder."""
    picture(project.parent / ".own" / "cat" / "1.png", size=(70, 90))
    picture(project.parent / ".own" / "dog" / "2.png")
    picture(project.parent / ".own" / ".thumbnails" / "1.png", size=(900, 900))
    done = init(f"../{(project.parent / '.own').name}")
    assert done.exit_code == 0 and "found 2 images" in done.output, done.output
    assert section(project)["max_size"] == [96, 96]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES])
def test_a_table_is_written_whole_or_not_at_all(project: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    picture(project / "data" / "raw" / "own" / "1.png")

    def write(_self: Path, _text: str, **_: Any) -> None:
        raise OSError(code, "cannot", "labels.csv")

    monkeypatch.setattr(Path, "write_text", write)
    done = init("data/raw/own")
    assert done.exit_code == 2 and ("permissions" in done.stderr) == (code == errno.EACCES), done.stderr
    assert not (project / "data" / "raw" / "own" / "labels.csv").exists()


def test_a_folder_elsewhere_is_linked(project: Path, tmp_path: Path) -> None:
    layouts.folder(tmp_path / "elsewhere")
    assert init(tmp_path / "elsewhere").exit_code == 0
    assert (project / "data" / "raw" / "elsewhere").resolve() == tmp_path / "elsewhere"
    assert section(project)["root"] == "data/raw/elsewhere"
    assert init("../elsewhere").exit_code == 0  # the same again
    (tmp_path / "other" / "elsewhere").mkdir(parents=True)
    layouts.folder(tmp_path / "other" / "elsewhere")
    done = init(tmp_path / "other" / "elsewhere")
    assert done.exit_code == 2 and "data/raw/elsewhere: found another file or folder; expected nothing, or a link to" in done.stderr


def test_subfolders_are_labels(project: Path) -> None:
    for number in range(10):
        picture(project / "data" / "raw" / "pets" / ("cat", "dog")[number % 2] / f"{number}.jpg")
    done = init("data/raw/pets")
    assert "10 of them with labels, of 2 classes" in done.output
    assert "next: check that the names of the subfolders say everything that their images show: cat, dog" in done.output
    table = (project / "data" / "raw" / "pets" / "labels.csv").read_text().splitlines()
    assert len(table) == 11 and sum(row.startswith("cat/") and ",cat," in row for row in table) == 5
    assert [sum(row.endswith(f",{animal},val") for row in table) for animal in ("cat", "dog")] == [1, 1]
    again = init("data/raw/pets")
    assert again.exit_code == 0 and (project / "data" / "raw" / "pets" / "labels.csv").read_text().splitlines() == table


def test_images_without_any_label_get_a_table_to_fill_in(project: Path) -> None:
    for number in range(10):
        picture(project / "data" / "raw" / "mine" / "images" / f"{number}.png", (20, 2000))
    picture(project / "data" / "raw" / "mine" / "masks" / "0.png")
    done = init("data/raw/mine")
    assert "found 10 images " in done.output and ", 0 of them with labels, of 2 classes" in done.output
    assert "next: write into data/raw/mine/labels.csv what each image shows" in done.output
    values = section(project)
    assert (values["max_size"], values["larger"]) == ([32, 1024], "shrink")
    assert "1.png,," in (project / "data" / "raw" / "mine" / "labels.csv").read_text()


def test_folders_of_splits_are_splits(project: Path) -> None:
    for split in ("train", "valid"):
        for animal in ("cat", "dog"):
            picture(project / "data" / "raw" / "pets" / split / animal / "0.jpg")
    assert "found 4 images (2 in train, 2 in val), 4 of them with labels, of 2 classes" in init("data/raw/pets").output


def test_masks_are_no_images(project: Path) -> None:
    root = project / "data" / "raw" / "pets"
    for name in ("img/0.jpg", "img/1.jpg", "mask/0.png", "instances/0.png", "Annotations/0.png", "img/1_mask.png", ".thumbs/0.jpg"):
        picture(root / name)
    done = init("data/raw/pets")
    assert "found 2 images" in done.output
    assert "next: left out, because they look like masks:  Annotations; img/1_mask.png; instances; mask" in done.output


def test_what_the_user_has_filled_in_stays(project: Path) -> None:
    layouts.folder(project / "data" / "raw" / "own")
    init("data/raw/own")
    content = YAML(typ="safe").load(project / "params.yaml")
    content["dataset"] |= {"classes": ["dog"], "max_size": [48, 48]}
    content["dataset"]["folder"] = {"classes": ["dog", "cat", "horse"], "complete": True}
    YAML(typ="safe").dump(content, project / "params.yaml")
    done = init("data/raw/own")
    assert "wrote params.yaml: only missing settings, because it already names data/raw/own" in done.output
    assert YAML(typ="safe").load(project / "params.yaml") == content


def test_another_folder_takes_nothing_of_the_first(project: Path) -> None:
    layouts.folder(project / "data" / "raw" / "own")
    init("data/raw/own")
    content = YAML(typ="safe").load(project / "params.yaml")
    content["dataset"]["folder"]["complete"] = True
    YAML(typ="safe").dump(content, project / "params.yaml")
    picture(project / "data" / "raw" / "new" / "0.jpg")
    assert ", 0 of them with labels" in init("data/raw/new").output


def test_params_yaml_in_the_layout_of_dvc(project: Path) -> None:
    from dvc.utils.serialize import modify_yaml

    with modify_yaml("params.yaml") as content:
        content["dataset"] |= {"max_size": [64, 64], "classes": ["dog"]}
    layouts.folder(project / "data" / "raw" / "own")
    done = init("data/raw/own")
    assert done.exit_code == 0, done.output
    assert (section(project)["max_size"], section(project)["classes"], section(project)["shapes"]["num_train"]) == ([64, 64], [], 400)


@pytest.mark.parametrize(
    ("rows", "classes"),
    [
        (['a.png,"cat, golden retriever"', "b.png,golden retriever"], "cat, golden retriever"),
        (["a.png,cat dog", "b.png,dog"], "cat, dog"),
    ],
)
def test_names_of_classes_with_spaces(project: Path, rows: list[str], classes: str) -> None:
    root = project / "data" / "raw" / "own"
    for name in ("a.png", "b.png"):
        picture(root / "images" / name)
    (root / "labels.csv").write_text("\n".join(["image,labels", *rows, ""]))
    assert f"in the order of their numbers in your masks: {classes}\n" in init("data/raw/own").output


def test_a_folder_beside_the_project_is_linked(project: Path, tmp_path: Path) -> None:
    layouts.folder(tmp_path / "beside")
    assert init("../beside/").exit_code == 0
    assert section(project)["root"] == "data/raw/beside"


def test_splits_of_other_names_are_told(project: Path) -> None:
    root = project / "data" / "raw" / "own"
    layouts.folder(root)
    (root / "labels.csv").write_text("image,labels,split\none.png,cat,learn\n")
    assert "next: there is no split train and no val: let classifier.split, segmenter.split" in init("data/raw/own").output


def refusal(path: Path | str) -> str:
    """The one line that `seedbed init` says."""
    done = init(path)
    assert done.exit_code == 2 and not isinstance(done.exception, OSError), done.exception
    [line] = done.stderr.splitlines()
    return line


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (Path.touch, "a file; expected a folder with images"),
        (os.mkfifo, "a pipe; expected a folder with images"),
        (lambda path: path.symlink_to("nowhere"), "a link to nothing; expected a folder with images"),
        (lambda path: path.symlink_to(path.name), "a link that leads in a circle; expected a folder with images"),
        (lambda path: path.symlink_to("."), "no images; expected files that end in"),
    ],
)
def test_what_is_no_folder(project: Path, make: Any, found: str) -> None:
    made(project / "data" / "raw")
    make(project / "data" / "raw" / "own")
    assert refusal("data/raw/own").startswith(f"error: data/raw/own: found {found}")


def test_the_project_itself_is_no_data(project: Path) -> None:
    for path in (".", "..", "/", project):
        assert refusal(path) == f"error: {path}: found the project itself; expected a folder with images; name one below data/raw"


@pytest.mark.parametrize("reader", layouts.LAYOUTS)
def test_what_dvc_cannot_read_is_told_before_anything_is_written(project: Path, reader: str) -> None:
    root = made(project / "data" / "raw" / "own")
    layouts.LAYOUTS[reader](root)
    os.mkfifo(root / "pipe.jpg")
    os.close(os.open(os.fsencode(root) + b"/k\xf6ttur.jpg", os.O_CREAT))
    before = (project / "params.yaml").read_text()
    expected = "error: data/raw/own: found 2 paths that DVC cannot read: k\\udcf6ttur.jpg: a name that is not UTF-8; pipe.jpg: a pipe; "
    assert refusal("data/raw/own").startswith(expected)
    assert (project / "params.yaml").read_text() == before


def test_a_folder_whose_name_is_not_utf_8(project: Path) -> None:
    name = os.fsdecode(b"data/raw/k\xf6ttur")
    picture(project / name / "0.png")
    assert refusal(name) == (
        "error: data/raw/k\\udcf6ttur: found a name that is not UTF-8; expected a name that params.yaml can hold; rename it"
    )


@pytest.mark.parametrize("table", ["labels.csv", "labels.jsonl"])
def test_a_table_that_is_none(project: Path, table: str) -> None:
    root = project / "data" / "raw" / "own"
    picture(root / "0.png")
    (root / table).mkdir()
    assert refusal("data/raw/own").startswith(f"error: data/raw/own/{table}: found a folder; expected a file; ")


def test_links_to_folders_are_told_of_because_dvc_sees_no_change_there(project: Path, tmp_path: Path) -> None:
    root = project / "data" / "raw" / "own"
    layouts.folder(root)
    (root / "images").rename(tmp_path / "images")
    (root / "images").symlink_to(tmp_path / "images")
    done = init("data/raw/own")
    assert done.exit_code == 0, done.output
    assert "next: mind links to folders, in which DVC sees no change: images; after one, run `dvc repro --force" in done.output


def test_a_link_below_data_raw_that_leads_in_a_circle(project: Path, tmp_path: Path) -> None:
    layouts.folder(tmp_path / "own")
    (made(project / "data" / "raw") / "own").symlink_to("own")
    assert refusal(tmp_path / "own").startswith("error: data/raw/own: found another file or folder; expected nothing, or a link to")


def test_pictures_of_which_pillow_cannot_tell_the_size(project: Path) -> None:
    root = project / "data" / "raw" / "own"
    picture(root / "0.png", (20, 2000))
    (root / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(50))
    (root / "2.jpg").touch()
    done = init("data/raw/own")
    assert "found 3 images " in done.output and section(project)["max_size"] == [32, 1024]


def test_what_is_no_start(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "empty").mkdir()
    picture(project / "twice" / "0.jpg")
    picture(project / "twice" / "0.png")
    picture(project / "odd" / "background" / "0.png")
    picture(project / "odd" / "cat" / "0.png")
    before = (project / "params.yaml").read_text()
    for path, message in (
        ("nothing", "nothing: found no such folder"),
        ("empty", "empty: found no images; expected files that end in .bmp"),
    ):
        done = init(path)
        assert done.exit_code == 2 and message in done.stderr
    assert (project / "params.yaml").read_text() == before and not list((project / "empty").iterdir())
    monkeypatch.chdir(tmp_path)
    done = init("project")
    assert done.exit_code == 2 and "found no params.yaml and dvc.yaml; expected a checkout of Seedbed" in done.stderr
