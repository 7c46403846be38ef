"""The commands `view` and `click`: open the runs that are looked at, and have the page served."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlencode

from seedbed.errors import ArtifactError, ParamsError, join_names
from seedbed.params import Params
from seedbed.store.runs import WORKSPACE, open_run
from seedbed.tools.photographs import find_raw_root
from seedbed.tools.plan import PIPELINE, plan_stages
from seedbed.view.app import Pending, Viewer
from seedbed.view.clicking import list_sections
from seedbed.view.library import Library
from seedbed.view.server import serve


def look(run: str, against: str, *, host: str, port: int, announce: Callable[[str], None]) -> None:
    """Serve the page until interrupted.

    run, against: as `seedbed compare` names them; the latter may be empty.
    """
    with ExitStack() as stack:
        runs = [stack.enter_context(open_run(name)) for name in ((run, against) if against else (run,))]
        is_planned = runs[0].name == WORKSPACE and Path(PIPELINE).is_file()
        libraries = [Library(one, find_raw_root(one)) for one in runs]
        serve(Viewer(*libraries, find_pending=find_pending if is_planned else list), host=host, port=port, announce=announce)


def look_by_clicks(image: str, section: str, corrections: Path, *, host: str, port: int, announce: Callable[[str], None]) -> None:
    """Serve the page that selects things of an image by clicks, until interrupted.

    section: of params.yaml, which says what answers; empty takes the first.
    corrections: the file in which selections are kept that somebody wants to keep.
    """
    with open_run("") as run:
        known = list_sections(Params.read())
        if not known or (section and section not in known):
            raise ParamsError(
                "params.yaml",
                found=repr(section) if section else "no section that answers clicks",
                expected=f"one of: {join_names(known)}" if known else "a section `clicks`",
                do="name one of these" if known else "run this in a pipeline that has one, such as pipelines/mis",
            )
        library = Library(run, find_raw_root(run))
        if image not in library.data:
            raise ArtifactError(
                str(library.data.path),
                found=f"no image {image!r}",
                expected="the id of an image",
                do="see `seedbed view` for their ids",
            )
        if not corrections.parent.is_dir():
            raise ParamsError("--corrections", found=f"no folder {str(corrections.parent)!r}", expected="one that is there", do="make it")
        asked = urlencode({"id": image, "click": section or known[0]})
        viewer = Viewer(library, corrections=corrections)
        serve(viewer, host=host, port=port, announce=lambda address: announce(f"{address}{'&' if '?' in address else '?'}{asked}"))


def find_pending() -> list[Pending]:
    """What `seedbed plan` says of the workspace, but for stages with nothing to do."""
    return [Pending(one.stage, one.verdict, one.reasons) for one in plan_stages(Params.read()) if one.verdict != "nothing to do"]
