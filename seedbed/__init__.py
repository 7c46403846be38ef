"""Seedbed: semantic segmentation from image-level labels, as a pipeline of cached stages."""

from seedbed import fingerprint as fingerprint  # the first, so that it knows what the process began with

__version__ = "0.1.0"
