"""What every training shares: the loop, optimisers, views and batches, checkpoints.

Methods that train, stages and tools import it; it knows no method.
"""
