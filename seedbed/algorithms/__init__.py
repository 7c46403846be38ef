"""Algorithms that several methods share: the dense CRF, Ward merging, normalised cuts, principal components, resizing.

Methods, `networks`, `learning`, stages and tools import it; arrays go in and arrays come out.
"""
