"""Images given as Python objects: arrays, tables, data sets of `datasets` and torch, streams."""
