"""What is on disk: schemas, artifacts, the store of computed entries, and raw files.

Every room may import it; an edit here recomputes nothing, for what artifacts hold is decoded in `seedbed/reads.py`.
"""
