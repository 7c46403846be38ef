"""The project's recipes, and `seedbed recipe`."""

from __future__ import annotations

from typing import Any

from typer.testing import CliRunner, Result

from seedbed.cli import app
from seedbed.tools.recipe_files import list_blocks, list_recipes
from tests.conftest import PROJECT

FILES = PROJECT / "recipes"
RECIPES, BLOCKS = list_recipes(FILES), list_blocks(FILES)


def recipe(*names: str) -> Result:
    return CliRunner().invoke(app, ["recipe", *names])


def values(content: Any, address: str = "") -> dict[str, Any]:
    """Every value with its address; a list is one."""
    if not isinstance(content, dict) or not content:
        return {address: content}
    inner = (values(value, f"{address}.{name}" if address else name) for name, value in content.items())
    return {key: value for found in inner for key, value in found.items()}
