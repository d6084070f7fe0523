"""What the pairs of a pool go through: one module for each stage, each with its job."""
