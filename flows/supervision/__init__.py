"""Runs of a work pool: those of one pool take turns, and ranges of shards are runs of their own, which are watched."""
