"""A finished pool as Python programs and notebooks see it."""
