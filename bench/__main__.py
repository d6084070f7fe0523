"""All measurements, one after the other: `python -m bench`. JSON to standard output, tables beside it."""

import json
import sys

from bench import balance, language, matching, metadata, pipeline, rebalance, scaling

for script in (matching, language, balance, metadata, pipeline, scaling, rebalance):
    measured = script.measure()
    if hasattr(script, "show"):
        sys.stderr.write(script.show(measured) + "\n")
    print(json.dumps({script.__name__: measured}, indent=1), flush=True)
