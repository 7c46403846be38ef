"""The page of `seedbed view`: every cached array over its image, what a parameter would change, one run against another.

Reads and never writes; the command alone imports it, and an edit here recomputes nothing.
"""
