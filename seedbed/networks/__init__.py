"""Backbones, heads that several methods share, weights, and the running of trained networks.

Methods, `learning`, stages and tools import it. It knows no method.
"""
