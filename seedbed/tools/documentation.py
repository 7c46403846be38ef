"""What is printed from the code: docs/methods.md, docs/artifacts.md, and in every dvc.yaml the code that stages depend on.

python -m seedbed.tools.documentation            write them
python -m seedbed.tools.documentation --check    exit with 1 where one is stale
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from rich.markup import escape

from seedbed import methods
from seedbed.errors import MethodError, join_names, nearest
from seedbed.methods import Declaration, Parameter
from seedbed.tools.dependencies import list_pipelines, render_pipeline

PAGES = Path("docs")
PRINTED = "<!-- Printed by `python -m seedbed.tools.documentation`; do not edit. -->"


def render_pages() -> dict[Path, str]:
    """Every file by its path."""
    pipelines = {file: render_pipeline(file) for file in list_pipelines()}
    return {PAGES / "methods.md": render_methods(), PAGES / "artifacts.md": render_artifacts(), **pipelines}


def list_methods(family: str) -> Iterator[str]:
    """Methods for a terminal, line by line: all of them in short, or one family with every parameter explained.

    family: its name, or empty for all.
    """
    known = order_families()
    if family and family not in known:
        raise MethodError(
            "seedbed methods", found=repr(family), expected=f"one of: {join_names(known)}{nearest(family, known)}", do="correct the name"
        )
    for one in [family] if family else known:
        yield f"[bold]{one}[/]"
        settings = methods.read_settings_declaration(one)
        if settings:
            yield f"  settings: {join_names(settings.names())}"
        for name in methods.list_available(one):
            declaration = methods.read_declaration(one, name)
            yield f"  [bold cyan]{name}[/]  {escape(declaration.summary())}"
            yield f"    paper: {escape(declaration.paper())}"
            if family:
                yield from (f"    {escape(line)}" for line in _list_addresses(declaration.parameters))
            else:
                yield f"    parameters: {join_names(declaration.names())}"


def order_families() -> list[str]:
    """Families in the order in which their stages run."""
    from seedbed.store.schemas import SCHEMAS

    return sorted(methods.list_families(), key=list(SCHEMAS).index)


def render_methods() -> str:
    """docs/methods.md."""
    lines = ["# Methods", "", PRINTED, "", "One file each, chosen in `params.yaml` by `<family>.method`.", ""]
    for family in order_families():
        lines += [f"## {family}", ""]
        settings = methods.read_settings_declaration(family)
        if settings:
            lines += [f"{settings.summary()}", "", *_render_parameters(family, settings), ""]
        for name in methods.list_available(family):
            declaration = methods.read_declaration(family, name)
            lines += [f"### {family}: {name}", "", declaration.docstring, "", *_render_parameters(f"{family}.{name}", declaration), ""]
    return "\n".join(lines).rstrip() + "\n"


def render_artifacts() -> str:
    """docs/artifacts.md."""
    from seedbed.store.schemas import DIMENSIONS, SCHEMAS

    lines = ["# Artifacts", "", PRINTED, ""]
    lines += ["Each stage leaves one zarr v3 group, `data/<stage>.zarr`. Open any of them with `zarr.open(path, mode='r')`."]
    lines += ["A second one of a kind has a word more in its name: `cams_second.zarr` holds what `cams.zarr` does.", ""]
    lines += ["| dimension | along it |", "|---|---|", *(f"| `{name}` | {meaning} |" for name, meaning in DIMENSIONS.items()), ""]
    for name, schema in SCHEMAS.items():
        lines += [f"## data/{name}.zarr", "", f"Schema {schema.version}. {schema.meaning}", ""]
        if schema.arrays:
            lines += ["| array | dimensions | type | padding | what it holds |", "|---|---|---|---|---|"]
        for array, spec in schema.arrays.items():
            padding = "" if not spec.dimensions or spec.dtype == "str" else f"{spec.fill}"
            extent = f"; true extent in `{spec.extent}`" if spec.extent else ""
            lines.append(f"| `{array}` | {', '.join(spec.dimensions) or '-'} | {spec.dtype} | {padding} | {spec.meaning}{extent} |")
        if schema.weights:
            lines.append(
                "| `weights/<entry>` | as the network has it | as the network has it | | one array per entry of the network's state |"
            )
        lines.append("")
    lines += [
        "Group attributes, under `seedbed`: `kind`, one of the above, as the artifact's name says; the version of its `schema`;",
        "`made_by` (stage, method, parameters, digests of the artifacts that it read);",
        "`files` (length and SHA-256 of every file); `digest` of all these. No time, host, user or path.",
    ]
    return "\n".join(lines) + "\n"


def _list_addresses(parameters: tuple[Parameter, ...], parent: str = "") -> Iterator[str]:
    for one in parameters:
        if one.nested:
            yield from _list_addresses(one.nested.parameters, f"{parent}{one.name}.")
        else:
            yield f"{parent}{one.name}: {one.comment}" if one.comment else f"{parent}{one.name}"


def _render_parameters(address: str, declaration: Declaration) -> list[str]:
    rows = list(_render_rows(declaration.parameters, address))
    return ["| parameter | type | meaning |", "|---|---|---|", *rows] if rows else ["No parameters."]


def _render_rows(parameters: tuple[Parameter, ...], parent: str) -> Iterator[str]:
    for one in parameters:
        if one.nested:
            yield from _render_rows(one.nested.parameters, f"{parent}.{one.name}")
        else:
            written = one.type.replace("|", "\\|")
            yield f"| `{parent}.{one.name}` | `{written}` | {one.comment} |"


def main() -> None:
    """Write the files, or check them."""
    stale = {path: text for path, text in render_pages().items() if not path.is_file() or path.read_text(encoding="utf-8") != text}
    if "--check" in sys.argv[1:]:
        for path in stale:
            print(f"{path} is stale: run `make docs`")
        sys.exit(1 if stale else 0)
    for path, text in stale.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path}")


if __name__ == "__main__":
    main()
