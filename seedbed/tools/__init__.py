"""The commands of `seedbed`, a file each, and what several of them share (checks, preflight, provenance, editing).

They may import everything; only `seedbed/cli.py` imports them, so the pipeline runs without them.
"""
