"""Labels against the truth: the reader of pixel labels, boundaries, counts and scores.

The only room that sees pixel labels: evaluation, `report` and the check of a new data set import it, and nothing that makes labels or
learns from them.
"""
