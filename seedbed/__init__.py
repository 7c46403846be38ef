"""Seedbed: semantic segmentation from image-level labels, as a pipeline of cached stages."""

__version__ = "0.1.0"
