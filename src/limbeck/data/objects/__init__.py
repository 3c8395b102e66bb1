"""Images that are handed over as objects of Python: arrays, tables, data sets of `datasets` and of torch, streams."""
