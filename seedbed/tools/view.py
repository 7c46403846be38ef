"""The command `view`: opens the runs that are looked at, and has the page served."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from seedbed.params import Params
from seedbed.store.runs import WORKSPACE, open_run
from seedbed.tools.photographs import find_raw_root
from seedbed.tools.plan import PIPELINE, plan_stages
from seedbed.view.app import Pending, Viewer
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


def find_pending() -> list[Pending]:
    """What `seedbed plan` says of the workspace, but for stages with nothing to do."""
    return [Pending(one.stage, one.verdict, one.reasons) for one in plan_stages(Params.read()) if one.verdict != "nothing to do"]
