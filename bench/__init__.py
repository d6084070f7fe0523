"""Measurements: each script prints JSON, with ratios that were measured in one run."""
