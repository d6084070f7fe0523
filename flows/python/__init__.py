"""`metaclip.run`: a pool from a Python program or a notebook, with a Prefect server of its own where none is set."""
