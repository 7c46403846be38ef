"""What is written for people points at what is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PAGES = [*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md"), PROJECT / "benchmarks/README.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(PROJECT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


def test_the_licence_is_what_the_package_says() -> None:
    assert "Apache License" in (PROJECT / "LICENSE").read_text(encoding="utf-8")
    assert 'license = "Apache-2.0"' in (PROJECT / "pyproject.toml").read_text(encoding="utf-8")
