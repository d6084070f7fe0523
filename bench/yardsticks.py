"""The yardsticks of the pipeline: unavoidable work on the same bytes, and other programs."""

import gzip
import json
import os
import subprocess
from collections.abc import Sequence
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from isal import igzip

from bench import peer_programs
from metaclip.archive.batches import BATCH_BYTES
from metaclip.archive.decompress import Inflater

CC2DATASET = "BENCH_CC2DATASET_PYTHON"
"""The environment variable that names a Python with cc2dataset, which pins old libraries and so needs its own."""
PEERS = "BENCH_PEERS_PYTHON"
"""The environment variable that names a Python with other programs, which are no dependencies of this project."""


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


def decompress_libdeflate(files: Sequence[Path]) -> None:
    """Decompress all members by libdeflate, as extraction does it, and use nothing of them: the limit of its speed."""
    room = _room(2 * BATCH_BYTES)
    for path in files:
        members = 0
        with path.open("rb", buffering=0) as source, closing(Inflater(source)) as inflater:
            while not inflater.ended:
                filled = inflater.fill(room, 0, len(room))
                members += len(inflater.starts)
                if inflater.blocked and not filled:
                    room = _room(2 * len(room))
        if not members:
            raise RuntimeError(f"{path}: libdeflate decompressed nothing of it, so it is no yardstick here")


@cache
def _room(size: int) -> npt.NDArray[np.uint8]:
    return np.zeros(size, np.uint8)  # the same each time: new memory takes longer to get than to fill


def run_program(python: str, program: str, files: Sequence[Path]) -> dict[str, Any]:
    """Run one of `bench.peer_programs`; return its CPU seconds and how many pairs it found.

    Raises:
        RuntimeError: it failed; with its standard error.
    """
    command = [python, "-I", peer_programs.__file__, program, *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{program} failed with {python}:\n{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def cc2dataset_seconds(files: Sequence[Path]) -> tuple[float, int] | None:
    """Return CPU seconds and links of cc2dataset's extraction from WAT; None if it is not installed."""
    python = os.environ.get(CC2DATASET)
    if not python:
        return None
    found = run_program(python, "cc2dataset", files)
    return found["cpu_seconds"], found["pairs"]
