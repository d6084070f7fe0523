"""`python -m metaclip`, the same as the command `metaclip`."""

import runpy
import sys

# Python looks for modules in the current folder first, which may hold a `flows.py` or a `queue.py`.
if not sys.flags.safe_path and sys.path[0] != __file__.rpartition("/metaclip/")[0]:
    del sys.path[0]

runpy.run_module("flows", run_name="__main__", alter_sys=True)
