"""Pools in the store: their records, their runs, their state, and the removal of what none of them needs."""
