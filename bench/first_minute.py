"""Measure what a newcomer waits for: `python -m bench.first_minute [--setup]`.

The command's start; the demo's pool on a machine whose cache of kernels is empty, and once they are compiled, with
each `execution.kernels`; and how long compiling takes. Every run has a store, a cache and a database of Prefect's of
its own. `--setup` clones the checkout and makes its environment too, which needs the package registry. Seconds are
by the wall unless a name says CPU, which is of the command and all that it starts.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from bench.timing import children_cpu, report, table

ROOT = Path(__file__).parents[1]
LIGHT = (("--help",), ("plan", "demo"), ("explain", "demo", "a dog on the beach"), ("status", "demo"))
TURNS = 5


def measure(setup: bool = False) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found: dict[str, Any] = {"setup": _setup(folder)} if setup else {}
        warm, runs = folder / "warm", {}
        runs["cold, auto"] = _run(folder, "auto", folder / "cold-auto")
        runs["cold, plain"] = _run(folder, "plain", folder / "cold-plain")
        runs["cold, compiled"] = _run(folder, "compiled", folder / "cold-compiled")
        compiling = _command(folder, warm, "warm", "--json")
        found["warm"] = {"cpu": compiling["cpu"], **json.loads(compiling["output"])}
        for way in ("auto", "plain", "compiled"):
            runs[f"warm, {way}"] = _run(folder, way, warm)
        found["runs"] = runs
        found["commands"] = {}
        for arguments in LIGHT:
            more = () if arguments == ("--help",) else ("--storage", str(folder / "pool-1"))
            turns = [_command(folder, warm, *arguments, *more)["cpu"] for _ in range(TURNS)]
            found["commands"][arguments[0]] = {"cpu": round(statistics.median(turns), 3)}
        return found


def _run(folder: Path, kernels: str, cache: Path) -> dict[str, float]:
    """Curate the demo's crawl in another store."""
    number = len(list(folder.glob("pool-*"))) + 1
    pool = folder / f"pool-{number}"
    crawl = folder / "crawl"
    if not crawl.exists():
        subprocess.run([sys.executable, "-m", "metaclip.demo", str(crawl)], check=True, capture_output=True, cwd=ROOT)
    changes = {
        "storage": str(pool),
        "source.paths": json.dumps([str(crawl / "demo.paths")]),
        "metadata.entries": str(ROOT / "metaclip/data/demo_entries.json.gz"),
        "execution.kernels": kernels,
    }
    options = [part for name, value in changes.items() for part in ("--set", f"{name}={value}")]
    begun = datetime.now(UTC)
    done = _command(folder, cache, "run", str(ROOT / "configs/demo.yaml"), *options, "--json")
    ended = datetime.now(UTC)
    states = [json.loads(path.read_text()) for path in pool.glob("runs/demo/*.json")]
    stages = [stage for state in states for stage in state["stages"].values()]
    first = min(datetime.fromisoformat(stage["started"]) for stage in stages)
    last = max(datetime.fromisoformat(stage["updated"]) for stage in stages)
    return {
        "seconds": done["seconds"],
        "cpu": done["cpu"],
        "to_first_task": round((first - begun).total_seconds(), 2),
        "after_last_task": round((ended - last).total_seconds(), 2),
    }


def _command(folder: Path, cache: Path, *arguments: str) -> dict[str, Any]:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache), "PREFECT_HOME": str(folder / "prefect")}
    environment.pop("PREFECT_API_URL", None)
    started, before = time.perf_counter(), children_cpu()
    done = subprocess.run(
        [sys.executable, "-m", "metaclip", *arguments], env=environment, cwd=ROOT, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"metaclip {' '.join(arguments)}: {done.stderr[-2000:]}")
    seconds = time.perf_counter() - started
    return {"seconds": round(seconds, 2), "cpu": round(children_cpu() - before, 3), "output": done.stdout}


def _setup(folder: Path) -> dict[str, float]:
    """Clone the checkout, and make its environment as the README says."""
    clone = folder / "clone"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    started = time.perf_counter()
    subprocess.run(["make", "setup"], cwd=clone, check=True, capture_output=True)
    return {"seconds": round(time.perf_counter() - started, 1)}


def show(result: dict[str, Any]) -> str:
    """Return the figures as text."""
    columns = ("seconds", "cpu", "to_first_task", "after_last_task")
    rows = [[name, *(one[column] for column in columns)] for name, one in result["runs"].items()]
    text = table("the demo's pool", ("", "seconds", "CPU s", "to the first task", "after the last"), rows)
    commands = [[f"metaclip {name}", one["cpu"]] for name, one in result["commands"].items()]
    text += table("commands", ("", "CPU s"), commands)
    warm = result["warm"]
    text += f"compiling {warm['kernels']} kernels: {warm['cpu']:.1f} CPU s\n"
    return text + (f"make setup: {result['setup']['seconds']} s\n" if "setup" in result else "")


if __name__ == "__main__":
    report(partial(measure, "--setup" in sys.argv[1:]), show)
