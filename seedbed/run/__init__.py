"""What runs a stage: its inputs, its workers, its progress, and the decision whether a result can be reused.

Stages and tools import it, and `learning` and `networks` to report progress and to find their device; an edit here recomputes nothing.
"""
