"""Files that params.yaml names together with their SHA-256, so that the same parameters always mean the same content."""

from __future__ import annotations

import hashlib
from pathlib import Path

from seedbed.errors import WeightsError


def check_unused(*, file: str, sha256: str, setting: str) -> None:
    """Refuse a file or a digest that the other parameters of a block make no use of.

    setting: what would have to be `file` for that, for the message.
    """
    if file or sha256:
        raise ValueError(f"no file and no sha256 unless {setting} is file")


def read_pinned(file: str, sha256: str, *, block: str, expected: str) -> bytes:
    """Content of a file, refused if it is missing or has another digest.

    block: the parameters that name it; expected: what it should be. Both are for messages.
    """
    path = Path(file)
    if not path.is_file():
        where = str(path) if path.name else f"{block}.file"
        raise WeightsError(where, found="no such file", expected=expected, do=f"correct {block}.file in params.yaml")
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        do = f"set {block}.sha256 to what was found, if this is the right file"
        raise WeightsError(str(path), found=f"sha256 {digest}", expected=sha256 or "a digest", do=do)
    return content
