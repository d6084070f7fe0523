"""A local file is read once for its fingerprint, and again as soon as it may be another one."""

import hashlib
import json
import multiprocessing
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from metaclip.io import fingerprint_log, fingerprints
from metaclip.io.fingerprints import local_fingerprint

PLAN = """
import json, sys
source, root = sys.argv[1:]
opened = []
sys.addaudithook(lambda event, of: opened.append(str(of[0])) if event == "open" else None)
from metaclip.config.loading import parse_config
from metaclip.demo import ENTRIES
from metaclip.prepare.jobs import check
config = {"pool": "p", "storage": root, "source": {"paths": [source]}, "metadata": {"entries": str(ENTRIES)}}
keys = [check(parse_config(config)).key for _ in range(2)]
assert keys[0] == keys[1]
print(json.dumps({"key": keys[0], "opened": sum(name.startswith(source) for name in opened)}))
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where fingerprints are remembered, empty at first."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr("tempfile.tempdir", None)
    return temporary / f"metaclip-fingerprints-{os.getuid()}"


def _write(path: Path, content: bytes, age: float = 3600) -> Path:
    """Write a file that changed so many seconds ago."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (time.time() - age,) * 2)
    return path


def _expected(content: bytes) -> str:
    return f"{len(content)}-{hashlib.sha256(content).hexdigest()}"


def _forget() -> None:
    """Go on as a new process would."""
    fingerprints._log.cache_clear()


def _plan(source: Path, root: Path) -> dict[str, object]:
    """Plan a run twice in a process of its own; return its key, and how often a file of pairs was opened."""
    done = subprocess.run([sys.executable, "-c", PLAN, source, root], capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


@pytest.mark.long
def test_pairs_are_read_once_over_two_runs_and_again_when_they_change(tmp_path: Path) -> None:
    source, root = tmp_path / "source", tmp_path / "pool"
    for name in ("a.jsonl", "b.jsonl"):
        _write(source / name, name.encode())
    first = _plan(source, root)
    assert first["opened"] == 2  # each once, though the run is planned twice
    assert _plan(source, root) == {**first, "opened": 0}
    _write(source / "a.jsonl", b"A.jsonl", age=1800)
    changed = _plan(source, root)
    assert changed["opened"] == 1
    assert changed["key"] != first["key"]
    _write(source / "a.jsonl", b"a.jsonl", age=900)
    assert _plan(source, root)["key"] == first["key"]


def test_a_file_that_changed_a_moment_ago_is_read_each_time(tmp_path: Path, folder: Path) -> None:
    path = _write(tmp_path / "a", b"abc", age=1)
    times = path.stat()
    assert local_fingerprint(str(path)) == _expected(b"abc")
    path.write_bytes(b"abd")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert local_fingerprint(str(path)) == _expected(b"abd")
    assert not (folder / "log").exists()
    # A time to come, by a clock that goes ahead, says nothing either.
    _write(path, b"abc", age=-100)
    assert local_fingerprint(str(path)) == _expected(b"abc")
    assert not (folder / "log").exists()


def test_what_changed_is_read_again_even_with_its_old_time_or_place(tmp_path: Path) -> None:
    path = _write(tmp_path / "a", b"abc")
    times = path.stat()
    assert local_fingerprint(str(path)) == _expected(b"abc")
    path.write_bytes(b"abd")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert local_fingerprint(str(path)) == _expected(b"abd")
    other = _write(tmp_path / "b", b"xyz")
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    other.replace(path)
    for _ in range(2):
        assert local_fingerprint(str(path)) == _expected(b"xyz")
        _forget()


@pytest.mark.slow
def test_a_file_that_changes_while_it_is_read_is_not_remembered(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _write(tmp_path / "a", b"abc")
    digest = hashlib.file_digest

    def slow(stream: object, name: str) -> object:
        found = digest(stream, name)  # type: ignore[arg-type]
        _write(path, b"abd")
        return found

    monkeypatch.setattr(hashlib, "file_digest", slow)
    local_fingerprint(str(path))
    monkeypatch.undo()
    assert local_fingerprint(str(path)) == _expected(b"abd")


@pytest.mark.parametrize("damage", ["cut", "altered", "empty", "binary", "other"])
def test_damage_is_passed_over(tmp_path: Path, folder: Path, damage: str) -> None:
    paths = [_write(tmp_path / name, name.encode()) for name in ("a", "b", "c")]
    for path in paths[:2]:
        local_fingerprint(str(path))
    log = folder / "log"
    whole = log.read_bytes()
    damaged = {
        "cut": whole[:-20],
        "altered": whole.replace(_expected(b"b").encode(), _expected(b"x").encode()),
        "empty": b"",
        "binary": b"\xff\xfe\n\n \n" + whole[:40] + bytes(100),
        "other": b"null\n{}\n0 1\n",
    }[damage]
    log.write_bytes(damaged)
    for _ in range(2):
        _forget()
        for path in paths:  # what is appended after the damage is found again
            assert local_fingerprint(str(path)) == _expected(path.name.encode())
    _forget()
    known = [fingerprints._recall(str(path), fingerprints._state(path.stat())) for path in paths]
    assert known == [_expected(name) for name in (b"a", b"b", b"c")]


def test_a_log_that_grew_too_large_is_started_anew(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fingerprint_log, "MAX_BYTES", 500)
    for number in range(20):
        local_fingerprint(str(_write(tmp_path / f"{number}", b"x" * number)))
        assert not (folder / "log").exists() or (folder / "log").stat().st_size <= 500
    _forget()
    for number in range(20):
        assert local_fingerprint(str(tmp_path / f"{number}")) == _expected(b"x" * number)


def test_names_of_any_bytes(tmp_path: Path, folder: Path) -> None:
    path = tmp_path / os.fsdecode(b"a\xff\n \xe4")
    _write(path, b"abc")
    for _ in range(2):
        assert local_fingerprint(str(path)) == _expected(b"abc")
        _forget()
    assert fingerprints._recall(str(path), fingerprints._state(path.stat())) == _expected(b"abc")


def test_without_a_folder_to_remember_in_the_file_is_read(tmp_path: Path, folder: Path) -> None:
    path = _write(tmp_path / "a", b"abc")
    folder.write_text("in the way")
    for _ in range(2):
        assert local_fingerprint(str(path)) == _expected(b"abc")
        _forget()


def test_nobody_else_reads_or_writes_what_is_remembered(tmp_path: Path, folder: Path) -> None:
    local_fingerprint(str(_write(tmp_path / "a", b"abc")))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def _look(path: str, times: int) -> str:
    for _ in range(times):
        _forget()
        found = local_fingerprint(path)
    return found


def test_processes_side_by_side(tmp_path: Path, folder: Path) -> None:
    content = os.urandom(200_000)
    path = _write(tmp_path / "a", content)
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        found = pool.starmap(_look, [(str(path), 50)] * 6)
    assert set(found) == {_expected(content)}


def _remember(folder: Path, first: int) -> None:
    log = fingerprint_log.FingerprintLog(folder / "log")
    for number in range(first, first + 300):
        log.add(f"/{number}" * 20, fingerprint_log.FileState(number, 1, 2, 3), f"1-{number}")


def test_no_line_is_lost_where_processes_append_side_by_side(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        pool.starmap(_remember, [(tmp_path, first) for first in range(0, 1800, 300)])
    log = fingerprint_log.FingerprintLog(tmp_path / "log")
    for number in range(1800):
        assert log.find(f"/{number}" * 20, fingerprint_log.FileState(number, 1, 2, 3)) == f"1-{number}"


def test_links_are_known_by_what_they_name_now(tmp_path: Path) -> None:
    for name in ("a", "b"):
        _write(tmp_path / name, name.encode())
        (tmp_path / "link").unlink(missing_ok=True)
        (tmp_path / "link").symlink_to(name)
        assert local_fingerprint(str(tmp_path / "link")) == _expected(name.encode())
