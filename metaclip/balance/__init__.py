"""Algorithm 1 of the paper: counts, draws, and the smallest t at which a pair is kept."""
