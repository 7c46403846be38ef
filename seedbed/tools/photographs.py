"""Where the raw images of a run lie, which need not be the workspace's."""

from __future__ import annotations

from pathlib import Path

from seedbed.params import Params
from seedbed.store.runs import Snapshot


def find_raw_root(run: Snapshot) -> Path:
    """The folder of a run's raw images: within its own project if that has it, else within this one.

    Digests tell whether what lies there is what the run saw.
    """
    root = Params(run.params, source=f"params.yaml of {run.name}", checked=False).raw_root() if run.params else Params.read().raw_root()
    own = run.project / root
    return own if own.is_dir() else root
