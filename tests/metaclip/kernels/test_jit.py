import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from metaclip.kernels.jit import frozen
from metaclip.language.identifier import LanguageIdentifier
from metaclip.language.model_file import find_model
from metaclip.matching.matcher import Matcher
from tests.examples import ROOT

MODULE = """
from metaclip.kernels.jit import kernel


@kernel
def twice(x):
    return 2 * x
"""


def run(script, folder, **environment):
    path = os.pathsep.join([str(folder), str(ROOT)])
    inherited = {key: value for key, value in os.environ.items() if key != "NUMBA_CACHE_DIR"}
    return subprocess.run(
        [sys.executable, "-c", script],
        env={**inherited, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        check=True,
    )


@pytest.mark.slow
def test_without_a_writable_folder_kernels_still_work(tmp_path):
    (tmp_path / "doubling.py").write_text(MODULE)
    blocked = tmp_path / "__pycache__"
    blocked.write_text("a file where the folder would be")
    ended = run("from doubling import twice; print(twice(21))", tmp_path, XDG_CACHE_HOME=str(blocked))
    assert ended.stdout == "42\n"
    assert "twice is compiled anew in every process" in ended.stderr


SHARED = """
import sys
from pathlib import Path
from metaclip.kernels import jit
jit.SHARED = (Path(sys.path[1], "shared.py"),)
from doubling import twice
twice(21)
print(*map(len, (twice.compiled.stats.cache_hits, twice.compiled.stats.cache_misses)))
"""


@pytest.mark.long
def test_kernels_are_compiled_anew_where_a_shared_file_changes(tmp_path):
    (tmp_path / "doubling.py").write_text(MODULE)
    (tmp_path / "shared.py").write_text("1")
    first, second = (run(SHARED, tmp_path).stdout for _ in range(2))
    (tmp_path / "shared.py").write_text("22")
    assert (first, second, run(SHARED, tmp_path).stdout) == ("0 1\n", "1 0\n", "0 1\n")


CALLING = (
    MODULE
    + """

@kernel
def fourfold(x):
    return twice(twice(x))
"""
)


@pytest.mark.long
def test_what_a_kernel_calls_is_a_part_of_its_machine_code(tmp_path):
    (tmp_path / "calling.py").write_text(CALLING)
    cache = tmp_path / "cache"

    def kept() -> set[str]:
        return {path.name.split(".")[1].split("-")[0] for path in cache.rglob("*.nbc")}

    def said(calls: str) -> str:
        return run(f"from calling import fourfold, twice; print({calls})", tmp_path, NUMBA_CACHE_DIR=str(cache)).stdout

    assert said("fourfold(21)") == "84\n"
    assert kept() == {"fourfold"}
    assert said("twice(21), fourfold(21), twice.compiled.stats.cache_misses.total()") == "42 84 1\n"
    assert kept() == {"fourfold", "twice"}


BARE = """
import sys
from typing import NamedTuple
import numpy as np
from metaclip.kernels.jit import kernel
from metaclip.kernels.memory import bare, unowned


class Parts(NamedTuple):
    first: np.ndarray
    second: np.ndarray


@kernel
def move(parts, n):
    parts = unowned(parts)
    first, second = bare(parts.first), bare(parts.second)
    total = 0
    for k in range(n):
        total += first[k] + parts.second[k]
        second[k] = first[k]
    return total


if __name__ == "__main__":
    parts = Parts(np.arange(9), np.ones(9, np.uint8))
    before = [sys.getrefcount(part) for part in parts]
    print(move(parts, 9), parts.second.tolist(), [sys.getrefcount(part) for part in parts] == before)
    try:
        move(parts, 10)
    except IndexError:
        print("out of bounds is noticed")
"""


@pytest.mark.slow
def test_arrays_without_owner_are_the_arrays(tmp_path):
    (tmp_path / "moving.py").write_text(BARE)
    script = "import runpy; runpy.run_module('moving', run_name='__main__')"
    ended = run(script, tmp_path, NUMBA_CACHE_DIR=str(tmp_path / "cache"), NUMBA_BOUNDSCHECK="1", NUMBA_OPT="0")
    assert ended.stdout == f"{36 + 9} {list(range(9))} True\nout of bounds is noticed\n"


@pytest.mark.long
def test_of_processes_that_start_together_one_compiles(tmp_path):
    (tmp_path / "doubling.py").write_text(MODULE)
    cache = tmp_path / "cache"
    script = """
import json
from doubling import twice
print("ready", flush=True)
twice(21)
print(json.dumps([sum(twice.compiled.stats.cache_hits.values()), sum(twice.compiled.stats.cache_misses.values())]))
"""
    where = "from doubling import twice; print(twice.compiled.stats.cache_path)"
    folder = Path(run(where, tmp_path, NUMBA_CACHE_DIR=str(cache)).stdout.strip())
    folder.mkdir(parents=True, exist_ok=True)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)]),
        "NUMBA_CACHE_DIR": str(cache),
    }
    with (folder / "doubling.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        command = [sys.executable, "-c", script]
        processes = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(3)]
        assert [process.stdout.readline() for process in processes] == ["ready\n"] * 3
    found = [json.loads(process.communicate()[0]) for process in processes]
    assert sorted(found) == [[0, 1], [1, 0], [1, 0]]


@pytest.mark.slow
def test_the_lock_does_not_stop_a_kernel_that_calls_another(tmp_path):
    nested = MODULE + "\n\n@kernel\ndef fourfold(x):\n    return twice(twice(x))\n"
    (tmp_path / "doubling.py").write_text(nested)
    script = "from doubling import fourfold, twice; print(fourfold(10), twice(1.5))"
    assert run(script, tmp_path, NUMBA_CACHE_DIR=str(tmp_path / "cache")).stdout == "40 3.0\n"


@pytest.mark.slow
def test_a_new_process_takes_the_matcher_from_disk():
    """Compiling takes some ten seconds; a worker process must not do it again."""
    Matcher(["a b"]).match(["a b"])
    script = """
import json
from metaclip.matching import table_kernel as match_table
from metaclip.matching.matcher import Matcher
Matcher(["a b"]).match(["a b"])
stats = match_table.match.compiled.stats
print(json.dumps([sum(stats.cache_hits.values()), sum(stats.cache_misses.values())]))
"""
    environment = {key: os.environ[key] for key in ("NUMBA_CACHE_DIR",) if key in os.environ}
    assert json.loads(run(script, ROOT, **environment).stdout) == [1, 0]


@pytest.mark.slow
def test_a_new_process_takes_language_id_from_disk():
    LanguageIdentifier(find_model()).identify(["a b"])
    script = """
import json
from metaclip.language import kernel as language_kernel
from metaclip.language.identifier import LanguageIdentifier
from metaclip.language.model_file import find_model
LanguageIdentifier(find_model()).identify(["a b"])
stats = [one.compiled.stats for one in (language_kernel.identify, language_kernel.fill_words)]
print(json.dumps([[sum(one.cache_hits.values()), sum(one.cache_misses.values())] for one in stats]))
"""
    environment = {key: os.environ[key] for key in ("NUMBA_CACHE_DIR",) if key in os.environ}
    assert json.loads(run(script, ROOT, **environment).stdout) == [[1, 0], [1, 0]]


def test_frozen_arrays_are_read_only_and_leave_the_original_alone():
    original = np.arange(4, dtype=np.int32)
    result = frozen(original, np.int32)
    assert np.shares_memory(result, original)
    assert not result.flags.writeable
    assert original.flags.writeable
    assert frozen(original, np.int64).tolist() == [0, 1, 2, 3]
    assert frozen(original[::2], np.int32).flags.c_contiguous
    with pytest.raises(TypeError, match="expected uint32, got int32"):
        frozen(original, np.uint32)
