"""The stages of a pool's pairs: one module for each stage, each with its job."""
