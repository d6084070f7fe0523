"""Samples of a finished pool's pairs: of those that a set has, and of those that were left out, by reason."""
