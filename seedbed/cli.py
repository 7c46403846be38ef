"""The command `seedbed`: looking at methods, the machine, and what a run would do. Runs themselves are `dvc repro`.

Nothing heavy is imported before it is needed, so that `--help` answers at once.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import Annotated, ParamSpec

import typer

from seedbed.errors import USER_ERROR, SeedbedError

P = ParamSpec("P")
MARKS = {True: "[green]ok[/]", False: "[red]!![/]"}

app = typer.Typer(help="Semantic segmentation from image-level labels. Run the pipeline with `dvc repro`.", no_args_is_help=True)


def one_line_errors(command: Callable[P, None]) -> Callable[P, None]:
    """Say what the user can put right in one line, without a traceback."""

    @wraps(command)
    def wrapped(*arguments: P.args, **options: P.kwargs) -> None:
        try:
            command(*arguments, **options)
        except SeedbedError as error:
            print(f"error: {error}", file=sys.stderr)
            raise typer.Exit(USER_ERROR) from None

    return wrapped


@app.command()
@one_line_errors
def methods(family: Annotated[str, typer.Argument(help="Show one family, with every parameter.")] = "") -> None:
    """List the methods that each stage can use, and their parameters."""
    from rich.console import Console

    from seedbed import documentation

    console = Console(soft_wrap=True)
    for line in documentation.methods_listing(family):
        console.print(line, highlight=False)


@app.command()
@one_line_errors
def doctor() -> None:
    """Check the machine: packages, GPU, DVC, disk. Exit status 2 where something will not work."""
    from rich.console import Console

    from seedbed.doctor import examine

    findings = examine()
    console = Console(soft_wrap=True)
    for finding in findings:
        console.print(f"{MARKS[finding.good]} [bold]{finding.what}[/]: {finding.found}", highlight=False)
        if finding.advice:
            console.print(f"   {finding.advice}", highlight=False)
    if not all(finding.good for finding in findings):
        raise typer.Exit(USER_ERROR)


@app.command()
@one_line_errors
def plan() -> None:
    """Say which stages `dvc repro` would run, and why. Checks the whole of params.yaml first."""
    from rich.console import Console

    from seedbed.params import Params
    from seedbed.plan import planned, table

    Params.read().check()
    Console().print(table(planned()))


@app.command()
@one_line_errors
def summary() -> None:
    """Show the figures of the last run, and name what to open."""
    from rich.console import Console

    from seedbed.summary import figures_table, what_to_open

    console = Console(soft_wrap=True)
    console.print(figures_table())
    console.print(what_to_open(), highlight=False)


def main() -> None:
    """Entry point."""
    app()


if __name__ == "__main__":
    main()
