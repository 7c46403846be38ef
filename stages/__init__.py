"""The stages of the pipeline, one thin file each: they connect what is on disk with the methods, and compute nothing."""

import os
import sys

from seedbed.run import interruption, launch, reuse

if sys.argv[0] == "-m":  # a stage that runs as a program has not begun yet, but to import what it needs, which takes seconds
    launched = launch.find() is not None
    interruption.leave_at_once(quiet=launched)
    if launched:  # then the first process says whether there is something to do
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # no warning from each process where all weights get a gradient
    else:
        reuse.leave_if_unchanged(sys.orig_argv)
