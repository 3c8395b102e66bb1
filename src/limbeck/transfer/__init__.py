"""Makers of transfer sets, one package for each place that images can come from: `select` takes them from the data."""
