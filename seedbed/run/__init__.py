"""What runs a stage: its inputs, its workers, its progress, and the decision whether a result can be reused.

Stages and tools import it; so does `learning`, for progress, devices and interruptions. An edit here recomputes nothing.
"""
