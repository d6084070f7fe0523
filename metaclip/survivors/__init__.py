"""Lists of the pairs that came through something outside, and the pool that is left of them."""
