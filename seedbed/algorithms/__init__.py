"""Algorithms that several methods share: the dense CRF, principal components, resizing.

Methods, `networks`, `learning`, stages and tools import it; arrays go in and arrays come out.
"""
