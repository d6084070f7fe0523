"""Processes that this one starts: what they see of the current folder, and when they and this one end."""
