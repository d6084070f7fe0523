"""All measurements, one after the other: `python -m bench`."""

import json

from bench import balance, language, matching, metadata, pipeline, rebalance

for script in (matching, language, balance, metadata, pipeline, rebalance):
    print(json.dumps({script.__name__: script.measure()}, indent=1), flush=True)
