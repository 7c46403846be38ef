"""What others left where a file should be: told in words, never waited for."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from seedbed.errors import DataError
from seedbed.store import raw


def make_socket(path: Path) -> None:
    """A socket that nobody listens to; names of sockets must be short."""
    before = Path.cwd()
    os.chdir(path.parent)
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(path.name)
    os.chdir(before)


NO_FILES: dict[str, Callable[[Path], object]] = {
    "no such file": lambda path: None,
    "a folder": Path.mkdir,
    "a pipe": os.mkfifo,
    "a socket": make_socket,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a link to nothing": lambda path: path.symlink_to("nowhere"),
    "a link that leads in a circle": lambda path: path.symlink_to(path.name),
}


def refused(act: Callable[[], object]) -> str:
    with pytest.raises(DataError) as raised:
        act()
    return str(raised.value)


def without_permission(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """Let a file or folder be one that may not be read, which whoever is root can otherwise not try."""

    def forbidding(function: Callable[..., object]) -> Callable[..., object]:
        def guarded(name: object, *arguments: object, **options: object) -> object:
            if isinstance(name, str | os.PathLike) and os.fspath(name) == str(path):
                raise PermissionError(errno.EACCES, "Permission denied", str(path))
            return function(name, *arguments, **options)

        return guarded

    access = os.access
    monkeypatch.setattr(os, "access", lambda name, mode: os.fspath(name) != str(path) and access(name, mode))
    for module, name in ((os, "scandir"), (os, "listdir"), (Path, "read_bytes")):
        monkeypatch.setattr(module, name, forbidding(getattr(module, name)))


@pytest.mark.parametrize("found", NO_FILES)
def test_what_is_no_file_is_called_by_its_name_and_not_opened(tmp_path: Path, found: str) -> None:
    path = tmp_path / "labels.csv"
    NO_FILES[found](path)
    assert raw.kind(path) == found
    assert refused(lambda: raw.read(path)) == f"{path}: found {found}; expected a file; replace it, or check its permissions"
    assert refused(lambda: raw.text(path, where="labels.csv")).startswith(f"labels.csv: found {found}; expected a file; ")


def test_files_are_read_through_links(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"content")
    (tmp_path / "b").symlink_to("a")
    assert raw.kind(tmp_path / "b") == raw.FILE
    assert raw.read(tmp_path / "b") == b"content"


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000, "\ud800", "file/below", "no/such/folder"])
def test_names_that_no_file_can_have(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    assert raw.kind(tmp_path / name) == raw.NOTHING


def test_a_file_larger_than_any_image_or_table_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    with path.open("wb") as file:
        file.truncate(raw.MOST_BYTES + 1)  # takes no room
    assert "labels.csv: found a file of 2,000,000,001 bytes, more than 2,000,000,000; " in refused(lambda: raw.read(path))


def test_a_file_that_may_not_be_read_or_finds_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(b"12345")
    without_permission(monkeypatch, path)
    assert "labels.csv: found a file that cannot be read: Permission denied; " in refused(lambda: raw.read(path))

    def fail(path: Path) -> bytes:
        raise MemoryError

    monkeypatch.setattr(Path, "read_bytes", fail)
    assert "labels.csv: found a file of 5 bytes, too large for the available memory; " in refused(lambda: raw.read(path))


def test_text_is_utf_8_with_or_without_a_mark(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    for content in ("köttur\n".encode(), b"\xef\xbb\xbf" + "köttur\n".encode()):
        path.write_bytes(content)
        assert raw.text(path) == "köttur\n"
    path.write_bytes("köttur".encode("cp1252"))
    expected = "found bytes that are not UTF-8: invalid start byte, at 1; expected UTF-8 text; save it as UTF-8"
    assert refused(lambda: raw.text(path)) == f"{path}: {expected}"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Files in two folders, and a link to a folder elsewhere."""
    root = tmp_path / "own"
    for name in ("own/b/2.txt", "own/b/1.txt", "own/a/3.png", "own/0.txt", "elsewhere/4.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    return root


def test_everything_below_a_folder_in_order(tree: Path) -> None:
    assert [file.relative_to(tree).as_posix() for file in raw.below(tree)] == ["0.txt", "a/3.png", "b/1.txt", "b/2.txt"]
    assert list(raw.below(tree / "c")) == []
    assert raw.matching(tree / "b", "*.txt") == [tree / "b" / "1.txt", tree / "b" / "2.txt"]
    assert raw.matching(tree / "0.txt", "*") == raw.matching(tree / "c", "*") == []


def test_a_folder_that_cannot_be_looked_into_is_no_empty_one(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_permission(monkeypatch, tree / "b")
    expected = f"{tree}/b: found a folder that cannot be opened: Permission denied; expected a readable folder; check its permissions"
    assert refused(lambda: list(raw.below(tree))) == refused(lambda: raw.matching(tree / "b", "*")) == expected


def test_links_to_folders_are_named_because_dvc_does_not_look_there(tree: Path) -> None:
    assert raw.check(tree) == ["linked"]
    expected = "links to folders, in which DVC sees no change: linked; after one, run `dvc repro --force --single-item dataset`"
    assert raw.describe_links(["linked"]) == expected
    assert raw.check(tree / "nothing") == []


def test_all_that_dvc_would_stumble_over_is_told_at_once(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tree / "a" / "pipe")
    (tree / "a" / "gone").symlink_to("nowhere")
    (tree / "a" / "round").symlink_to("round")
    os.close(os.open(os.fsencode(tree) + b"/k\xf6ttur.png", os.O_CREAT | os.O_WRONLY))
    without_permission(monkeypatch, tree / "b")
    expected = (
        "found 5 paths that DVC cannot read: k\\udcf6ttur.png: a name that is not UTF-8; a/gone: a link to nothing; a/pipe: a pipe; "
        "a/round: a link that leads in a circle; b: a folder that cannot be opened: Permission denied; "
        "expected only readable files and folders; remove or rename them, or check their permissions"
    )
    assert refused(lambda: raw.check(tree)) == f"{tree}: {expected}"


def test_a_file_that_may_not_be_read_is_told_before_anything_is(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_permission(monkeypatch, tree / "b" / "1.txt")
    assert "found 1 paths that DVC cannot read: b/1.txt: a file that cannot be read; " in refused(lambda: raw.check(tree))


@pytest.mark.parametrize("found", [one for one in NO_FILES if one not in ("a folder", "no such file", "a link to nothing")])
def test_a_root_that_is_no_folder(tmp_path: Path, found: str) -> None:
    NO_FILES[found](tmp_path / "own")
    expected = f"found {found}; expected a folder of raw data; correct dataset.root in params.yaml"
    assert refused(lambda: raw.check(tmp_path / "own")) == f"{tmp_path}/own: {expected}"


def test_which_folders_hold_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "project" / "data" / "raw").mkdir(parents=True)
    (tmp_path / "link").symlink_to("project")
    monkeypatch.chdir(tmp_path / "project")
    for folder in (".", "data", "..", "/", tmp_path / "link"):
        assert raw.holds_project(Path(folder)), folder
    for folder in ("data/raw", "data/raw/own", tmp_path / "other"):
        assert not raw.holds_project(Path(folder)), folder
