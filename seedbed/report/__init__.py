"""Figures, charts and pictures for people, drawn from what was computed.

Stages and tools import it; an edit here recomputes nothing.
"""
