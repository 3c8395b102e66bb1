"""Scores of many images in a Parquet table: made shard by shard, read a million rows at a time, chosen from."""
