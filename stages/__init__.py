"""The stages of the pipeline, one thin file each: they connect what is on disk with the methods, and compute nothing."""

import sys

from seedbed.run import interruption, reuse

if sys.argv[0] == "-m":  # a stage that runs as a program has not begun yet, but to import what it needs, which takes seconds
    interruption.leave_at_once()
    reuse.leave_if_unchanged(sys.orig_argv)
