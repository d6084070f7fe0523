"""The yardsticks of the pipeline: unavoidable work on the same bytes, and other programs."""

import gzip
import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from isal import igzip

CC2DATASET = "BENCH_CC2DATASET_PYTHON"
"""The environment variable that names a Python with cc2dataset, which pins old libraries and so needs its own."""

_CC2DATASET = """
import json, sys, time
from cc2dataset.main import extract_documents_from_wat
start, links = time.process_time(), 0
for path in sys.argv[1:]:
    with open(path, "rb") as stream:
        links += len(extract_documents_from_wat(stream, "image"))
print(json.dumps({"cpu_seconds": time.process_time() - start, "links": links}))
"""


def decompress_zlib(files: Sequence[Path]) -> None:
    for path in files:
        with gzip.open(path) as stream:
            while stream.read(1 << 20):
                pass


def decompress_isal(files: Sequence[Path]) -> None:
    for path in files:
        with igzip.open(path) as stream:
            while stream.read(1 << 20):
                pass


def cc2dataset_seconds(files: Sequence[Path]) -> tuple[float, int] | None:
    """Return CPU seconds and links of cc2dataset's extraction from WAT; None if it is not installed."""
    python = os.environ.get(CC2DATASET)
    if not python:
        return None
    command = [python, "-c", _CC2DATASET, *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    return found["cpu_seconds"], found["links"]
