"""What all trainings share: their contract, the loop, optimisers, augmentation, batches, checkpoints and logs.

Methods that train, stages and tools import it. It knows no method.
"""
