"""The stages: one module each, a job that knows its key and how to compute its output."""
