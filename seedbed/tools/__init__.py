"""The commands of `seedbed`, a file each, and what they share.

They may import everything; only `seedbed/cli.py` imports them, so the pipeline runs without them.
"""
