"""The pages of results, into which benchmarks write their tables."""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks._places import CHECKOUT

DOCS = CHECKOUT / "docs"


def find_place(name: str) -> tuple[Path, re.Match[str]]:
    """The page that has a pair of marks, `<!-- name -->` and `<!-- end -->`, and where it has them."""
    for page in (DOCS / "results.md", *sorted((DOCS / "results").glob("*.md"))):
        if found := re.search(rf"(?<=<!-- {re.escape(name)} -->\n).*?(?=<!-- end -->)", page.read_text(encoding="utf-8"), re.DOTALL):
            return page, found
    raise SystemExit(f"no page of docs/results has <!-- {name} --> ... <!-- end -->")


def write_between(name: str, text: str) -> None:
    """Put text between marks, in place of what is there."""
    page, place = find_place(name)
    page.write_text(f"{place.string[: place.start()]}{text}\n{place.string[place.end() :]}", encoding="utf-8")
