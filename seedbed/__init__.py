"""Seedbed: semantic segmentation from image-level labels, as a pipeline of cached stages."""

import os

from seedbed.run import fingerprint as fingerprint  # the first, so that it knows what the process began with

# Threads that wait for work shall sleep: where they spin, and other programs want the processors too, a training takes many times longer.
# To be said before torch is loaded, and no matter of results.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

__version__ = "0.3.0"
