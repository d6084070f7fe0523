"""All measurements that take a few minutes together, one after the other: `python -m bench`.

It prints JSON to standard output and tables to standard error. With names (`python -m bench dedup balance`)
it runs only these. docs/bench.md lists the measurements that take longer or start servers, which are run
one by one.
"""

import importlib
import json
import sys
import time
from typing import Any

SCRIPTS = ("extraction", "language", "matching", "dedup", "balance", "rebalance", "pipeline", "scaling", "limits")

found: dict[str, Any] = {}
for name in sys.argv[1:] or SCRIPTS:
    script = importlib.import_module(f"bench.{name}")
    start = time.perf_counter()
    measured = script.measure(found) if name == "limits" else script.measure()
    found[name] = measured
    seconds = time.perf_counter() - start
    sys.stderr.write(f"== bench.{name} ({seconds:.0f} s)\n{script.show(measured)}\n")
    print(json.dumps({f"bench.{name}": measured}, indent=1), flush=True)
