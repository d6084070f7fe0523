"""Lists of survivors (pairs that remain after an external step), and the pool that is made of them."""
