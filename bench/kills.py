"""Kill a run again and again while its workers compute: `python -m bench.kills [--kills 30] [--s3]`.

`metaclip run` is started under one Prefect server and killed with all of its processes (SIGKILL) after it has made
outputs of its own and while a worker process computes; then it is started again, and at last it may end. Every data
file of the store must then have the bytes of a run that nobody disturbed, and nothing else may be there.
"""

import argparse
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import yaml

from bench.shards import _copies
from bench.timing import report
from metaclip.demo import ENTRIES
from metaclip.io.storage.files import Files
from metaclip.io.temporary import is_temporary
from tests.s3 import S3Server, free_ports, running

ROOT = Path(__file__).parents[1]
SHARDS_A_KILL = 8
SEED = 1
MOST_SECONDS = 300.0


def measure(kills: int = 30, *, s3: bool = False) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name, _servers(s3) as bucket:
        folder = Path(name)
        files = _copies(folder, SHARDS_A_KILL * kills)
        roots = [f"{bucket}/{each}" if bucket else str(folder / each) for each in ("whole", "killed")]
        configs = [_config(folder, files, root) for root in roots]
        assert _run(configs[0]).wait(MOST_SECONDS * 4) == 0
        chance = random.Random(SEED)
        done = [_kill(configs[1], roots[1], chance) for _ in range(kills)]
        last = _run(configs[1]).wait(MOST_SECONDS * 4)
        whole, killed = (_contents(root) for root in roots)
        return {
            "kills": sum(done),
            "ended_before_the_kill": len(done) - sum(done),
            "last_exit_code": last,
            "files": len(whole),
            "different": sorted(path for path in whole.keys() | killed.keys() if whole.get(path) != killed.get(path)),
        }


@contextmanager
def _servers(s3: bool) -> Iterator[str | None]:
    """Have a Prefect server, and an S3 server if that is asked for; yield a bucket."""
    from flows.cli.server.local import prefect_api

    os.environ |= {"DO_NOT_TRACK": "1", "PREFECT_HOME": tempfile.mkdtemp(prefix="kills-")}
    with prefect_api() as url:
        os.environ["PREFECT_API_URL"] = url
        if not s3:
            yield None
            return
        server = S3Server(free_ports(1)[0])
        os.environ |= server.environment
        with running(server):
            server.client().mkdir("kills")
            yield "s3://kills"


def _config(folder: Path, files: list[str], root: str) -> Path:
    path = folder / f"{root.rpartition('/')[2]}.yaml"
    tree = {
        "pool": "kills",
        "storage": root,
        "source": {"paths": files},
        "metadata": {"entries": str(ENTRIES)},
        "extract": {"max_failed_files": 1},
        "match": {"languages": []},
        "balance": {"t": 20},
        "execution": {"processes": 2},
    }
    path.write_text(yaml.safe_dump(tree))
    return path


def _run(config: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "metaclip", "run", str(config), "--json"]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _kill(config: Path, root: str, chance: random.Random) -> bool:
    """Run until there are new outputs and a worker computes, then kill; return whether it had not ended before."""
    before, process = _manifests(root), _run(config)
    wanted = chance.randint(1, SHARDS_A_KILL)
    deadline = time.monotonic() + MOST_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if _manifests(root) >= before + wanted and _computes(process.pid):
            break
        time.sleep(0.02)
    time.sleep(chance.random() * 0.2)
    if process.poll() is not None:
        return False
    parent = psutil.Process(process.pid)
    for each in [parent, *parent.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            each.kill()
    process.wait()
    return True


def _manifests(root: str) -> int:
    files = Files(root)
    return sum(file.path.endswith("manifest.json") for stage in _stages(files) for file in files.files(stage))


def _stages(files: Files) -> list[str]:
    return [folder for folder in files.folders() if folder not in ("pools", "runs")]


def _computes(run: int) -> bool:
    """Return whether a worker process of the run uses a core."""
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(run).children(recursive=True):
            if "spawn_main" in " ".join(child.cmdline()) and child.cpu_percent(0.05) > 20:
                return True
    return False


def _contents(root: str) -> dict[str, str]:
    """Return the SHA-256 of every data file of the stages by path; manifests have times in them."""
    files = Files(root)
    found = {}
    for stage in _stages(files):
        for file in files.files(stage):
            name = file.path.rpartition("/")[2]
            if not is_temporary(name):
                content = files.read(file.path) or b""
                if name.endswith(".json"):
                    content = (
                        json.dumps(sorted(each["sha256"] for each in json.loads(content)["files"])).encode()
                        if (name == "manifest.json")
                        else b""
                    )
                found[file.path] = hashlib.sha256(content).hexdigest()
    return found


def show(result: dict[str, Any]) -> str:
    """Return the figures as text."""
    return (
        f"{result['kills']} kills while workers computed ({result['ended_before_the_kill']} runs ended before):"
        f" {len(result['different'])} of {result['files']} files differ\n"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--s3", action="store_true")
    given = parser.parse_args()
    report(lambda: measure(given.kills, s3=given.s3), show)
