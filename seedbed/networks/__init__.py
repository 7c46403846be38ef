"""Networks and their weights: backbones, heads that several methods share, and how trained networks are run.

Methods, `learning`, stages and tools import it; it knows no method.
"""
