"""Queries on a finished pool: sizes of sets, entries, near misses, and why a pair is in a set or not."""
