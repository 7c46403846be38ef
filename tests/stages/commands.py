"""Commands of `seedbed`, as a user types them in a project."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

import typer.testing

from seedbed import cli
from tests.stages.miniature import CHECKOUT, Project


@dataclass(frozen=True)
class Said:
    """How a command ended."""

    status: int
    out: str
    error: str


def said(project: Project, *arguments: str) -> Said:
    """Run a command in this process."""
    with contextlib.chdir(project.root):
        result = typer.testing.CliRunner().invoke(cli.app, list(arguments), catch_exceptions=False)
    return Said(result.exit_code, result.stdout, result.stderr)


def program(project: Project, *arguments: str, prepare: Callable[[], None] | None = None) -> Said:
    """Run a command as a process of its own.

    prepare: done by the new process before anything else.
    """
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), "COLUMNS": "200", "TERM": "dumb"}
    command = [sys.executable, "-m", "seedbed.cli", *arguments]
    done = subprocess.run(
        command,
        cwd=project.root,
        env=environment,
        preexec_fn=prepare,
        capture_output=True,
        text=True,
        errors="backslashreplace",
        check=False,
    )
    return Said(done.returncode, done.stdout, done.stderr)
