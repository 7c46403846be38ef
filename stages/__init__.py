"""The stages of the pipeline, one thin file each: they connect what is on disk with the methods, and compute nothing."""
