"""Pairs that are taken out of sets on request: lists of them, kept as hashes, and what they name in a pool."""
