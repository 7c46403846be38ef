"""What is written for people points at what is there."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from ruamel.yaml import YAML

import seedbed

PROJECT = Path(__file__).parents[2]
PAGES = [*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md"), PROJECT / "benchmarks/README.md", PROJECT / "data/raw/README.md"]
SOURCES = [
    *(PROJECT / name for name in ("Makefile", "params.yaml", "dvc.yaml")),
    *(file for folder in ("seedbed", "stages", "benchmarks") for file in (PROJECT / folder).rglob("*.py")),
    *(file for folder in ("recipes", "pipelines") for file in (PROJECT / folder).rglob("*.yaml")),
]


def read_prose(page: Path) -> str:
    """A page without its fenced code."""
    return re.sub(r"^ *(```|~~~).*?^ *\1", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def make_anchors(text: str) -> Iterator[str]:
    """What GitHub calls the headings of a page: words and hyphens in small letters, and a number for each that was there before."""
    seen: Counter[str] = Counter()
    for heading in re.findall(r"^ {0,3}#{1,6} +(.+?)(?: +#+)? *$", text, re.MULTILINE):
        words = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        anchor = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
        yield f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor
        seen[anchor] += 1


@cache
def find_anchors(page: Path) -> frozenset[str]:
    return frozenset(make_anchors(read_prose(page)))


def find_broken(page: Path) -> Iterator[str]:
    """Links of a page to a file that is not there, or to a heading that a page has not."""
    for link in re.findall(r"\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"", read_prose(page)):
        name, _, anchor = "".join(link).partition("#")
        target = page.parent / name if name else page
        if "://" in name or name.startswith("mailto:"):
            continue
        if not target.exists() or (anchor and (target.suffix != ".md" or anchor not in find_anchors(target))):
            yield "".join(link)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(PROJECT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    assert list(find_broken(page)) == []


def test_anchors_are_those_of_github() -> None:
    text = "# What is kept, and how\n## `seedbed view`: a_page\n### [Linked](x.md) - twice\n## What is kept, and how ##\n    # no heading\n"
    assert list(make_anchors(text)) == ["what-is-kept-and-how", "seedbed-view-a_page", "linked---twice", "what-is-kept-and-how-1"]


def test_broken_links_are_found(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# There\n```\n# Not there\n```\n", encoding="utf-8")
    page = tmp_path / "page.md"
    page.write_text(
        "# Here\n[a](#here) [b](other.md#there) [c](https://x.org/y.md#z) [d](#there) [e](other.md#not-there) [f](gone.md) "
        '<img src="gone.png">\n```\n[g](gone.md)\n```\n',
        encoding="utf-8",
    )
    assert list(find_broken(page)) == ["#there", "other.md#not-there", "gone.md", "gone.png"]


def test_pages_that_sources_name_are_there() -> None:
    named = {(file, name) for file in SOURCES for name in re.findall(r"docs/[\w/-]+\.md", file.read_text(encoding="utf-8"))}
    assert [f"{file.relative_to(PROJECT)}: {name}" for file, name in named if not (PROJECT / name).exists()] == []


def test_the_version_is_the_same_everywhere() -> None:
    released, day = re.findall(r"^## (\d+\.\d+\.\d+) - (\S+)$", (PROJECT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)[0]
    cited = YAML(typ="safe").load(PROJECT / "CITATION.cff")
    assert (released, day) == (cited["version"], cited["date-released"])
    assert released == seedbed.__version__


def test_the_licence_is_what_the_package_says() -> None:
    assert "Apache License" in (PROJECT / "LICENSE").read_text(encoding="utf-8")
    assert 'license = "Apache-2.0"' in (PROJECT / "pyproject.toml").read_text(encoding="utf-8")
