"""Files that are named together with their digest."""

from __future__ import annotations

import pytest

from seedbed.networks.pinned_files import check_unused


@pytest.mark.parametrize(("file", "sha256"), [("a.pth", ""), ("", "5" * 64), ("a.pth", "5" * 64)])
def test_neither_a_file_nor_a_digest_may_stand_where_no_use_is_made_of_it(file: str, sha256: str) -> None:
    with pytest.raises(ValueError, match=r"^no file and no sha256 unless source is file$"):
        check_unused(file=file, sha256=sha256, setting="source")
    check_unused(file="", sha256="", setting="source")
