"""Outputs under keys, each made to exist by its manifest."""
