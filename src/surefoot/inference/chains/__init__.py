"""Draws on disk: written in shards, resumed after a kill, read one shard at a time."""
