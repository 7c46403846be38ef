"""The command `view`: opens the runs that are looked at, and has the page served."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from seedbed.store.runs import open_run
from seedbed.tools.photographs import find_raw_root
from seedbed.view.app import Viewer
from seedbed.view.library import Library
from seedbed.view.server import serve


def look(run: str, against: str, *, host: str, port: int, announce: Callable[[str], None]) -> None:
    """Serve the page until interrupted.

    run, against: as `seedbed compare` names them; the latter may be empty.
    """
    with ExitStack() as stack:
        runs = [stack.enter_context(open_run(name)) for name in ((run, against) if against else (run,))]
        serve(Viewer(*(Library(one, find_raw_root(one)) for one in runs)), host=host, port=port, announce=announce)
