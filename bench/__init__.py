"""Measurements: each script prints JSON, with ratios measured in one run."""
