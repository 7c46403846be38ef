"""Files that are named together with their digest."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from seedbed.errors import WeightsError
from seedbed.networks.pinned_files import check_unused, read_pinned


@pytest.mark.parametrize(("file", "sha256"), [("a.pth", ""), ("", "5" * 64), ("a.pth", "5" * 64)])
def test_neither_a_file_nor_a_digest_may_stand_where_no_use_is_made_of_it(file: str, sha256: str) -> None:
    with pytest.raises(ValueError, match=r"^no file and no sha256 unless source is file$"):
        check_unused(file=file, sha256=sha256, setting="source")
    check_unused(file="", sha256="", setting="source")


def test_a_file_is_read_where_its_digest_is_the_one_that_is_named(tmp_path: Path) -> None:
    file = tmp_path / "a.bin"
    file.write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    assert read_pinned(str(file), digest, block="initial_weights", expected="weights") == b"weights"
    for other in ("", "0" * 64):
        message = f"{file}: found sha256 {digest}; expected {other or 'a digest'}; set initial_weights.sha256 to what was found"
        with pytest.raises(WeightsError, match=re.escape(message)):
            read_pinned(str(file), other, block="initial_weights", expected="weights")


@pytest.mark.parametrize(("name", "where"), [("missing.bin", "missing.bin"), ("", "initial_weights.file"), (".", "initial_weights.file")])
def test_a_file_that_is_missing_is_named_or_the_parameter_that_names_none(name: str, where: str) -> None:
    message = f"{where}: found no such file; expected weights; correct initial_weights.file in params.yaml"
    with pytest.raises(WeightsError, match=f"^{re.escape(message)}"):
        read_pinned(name, "0" * 64, block="initial_weights", expected="weights")
