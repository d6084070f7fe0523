"""A small file that several processes change: no change is lost, and a lock that was left is taken over."""

import json
import multiprocessing
import os
import signal
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from metaclip.errors import StoreError
from metaclip.io.storage import locked
from metaclip.io.storage.files import Files
from metaclip.io.storage.s3_files import S3Files
from metaclip.store.store import Store

SPAWN = multiprocessing.get_context("spawn")


def _one_more(content: bytes | None) -> bytes:
    return str(int(content or b"0") + 1).encode()


def _count(root: str, times: int) -> None:
    files = Files(root)
    for _ in range(times):
        files.update("counted/n.json", _one_more)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_processes_that_count_together_count_right(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    root = str(tmp_path) if kind == "folder" else f"{request.getfixturevalue('bucket')}/base"
    writers = [SPAWN.Process(target=_count, args=(root, 15)) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
        assert writer.exitcode == 0
    assert Files(root).read("counted/n.json") == b"60"


def test_threads_that_count_in_memory_count_right() -> None:
    root = f"memory://{uuid.uuid4().hex}"
    threads = [threading.Thread(target=_count, args=(root, 50)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Files(root).read("counted/n.json") == b"400"


def _hold(root: str, ready: str) -> None:
    def change(content: bytes | None) -> bytes:
        Path(ready).touch()
        time.sleep(60)
        return b"never"

    Files(root).update("n.json", change)


@pytest.mark.slow
def test_a_lock_of_a_killed_process_is_taken_over_at_once(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    holder = SPAWN.Process(target=_hold, args=(str(tmp_path), str(ready)))
    holder.start()
    while not ready.exists():
        time.sleep(0.01)
    assert holder.pid is not None
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    assert (tmp_path / ".n.json.lock").exists()
    begun = time.monotonic()
    Files(str(tmp_path)).update("n.json", _one_more)
    assert time.monotonic() - begun < 5
    assert (tmp_path / "n.json").read_bytes() == b"1"
    assert not (tmp_path / ".n.json.lock").exists()


@pytest.mark.parametrize("content", [b"", b'{"host": "elsewhere", "space": "", "pid": 1, "started": 1}', b"[3]"])
def test_a_lock_of_elsewhere_holds_for_a_while_and_not_for_ever(
    tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locked, "STALE_SECONDS", 0.5)
    (tmp_path / ".n.json.lock").write_bytes(content)
    begun = time.monotonic()
    Files(str(tmp_path)).update("n.json", _one_more)
    assert time.monotonic() - begun > 0.5
    assert (tmp_path / "n.json").read_bytes() == b"1"


def test_a_lock_that_is_held_for_too_long_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locked, "WAIT_SECONDS", 0.3)
    (tmp_path / ".n.json.lock").write_bytes(b"held elsewhere")
    with pytest.raises(StoreError, match=r"n\.json\.lock: others have held this lock"):
        Files(str(tmp_path)).update("n.json", _one_more)


def test_who_has_lost_the_lock_writes_nothing_and_begins_again(tmp_path: Path) -> None:
    files, seen = Files(str(tmp_path)), []

    def change(content: bytes | None) -> bytes:
        if not seen:  # another process takes the lock over, and has changed the file and gone
            (tmp_path / ".n.json.lock").unlink()
            (tmp_path / "n.json").write_bytes(b"7")
        seen.append(content)
        return _one_more(content)

    files.update("n.json", change)
    assert (seen, (tmp_path / "n.json").read_bytes()) == ([None, b"7"], b"8")


def test_what_fails_meanwhile_leaves_no_lock(tmp_path: Path) -> None:
    files = Files(str(tmp_path))

    def fail(content: bytes | None) -> bytes:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        files.update("n.json", fail)
    assert list(tmp_path.iterdir()) == []


def test_an_object_that_was_removed_meanwhile_is_made_anew(bucket: str) -> None:
    files, seen = Files(bucket), []
    files.write_whole("n.json", b"3")

    def change(content: bytes | None) -> bytes:
        if not seen:
            files.remove("n.json")
        seen.append(content)
        return _one_more(content)

    files.update("n.json", change)
    assert (seen, files.read("n.json")) == ([b"3", None], b"1")


class _Careless(MemoryFileSystem):
    """A file system that says nothing of how it creates files, and whose files others see."""

    protocol = "careless"

    def pipe_file(self, path: str, value: Any, mode: str = "overwrite", **_: Any) -> None:
        super().pipe_file(path, value)


class _Old(MemoryFileSystem):
    """A file system of a library without such a way of creating files."""

    protocol = "old"

    def pipe_file(self, path: str, value: Any) -> None:
        super().pipe_file(path, value)


@pytest.mark.parametrize("kind", [_Careless, _Old])
def test_a_storage_without_the_means_is_refused_before_any_work(kind: type[MemoryFileSystem]) -> None:
    fsspec.register_implementation(kind.protocol, kind, clobber=True)
    with pytest.raises(StoreError, match="cannot create a file only if there is none"):
        Store(f"{kind.protocol}://pool").check()


def test_an_s3_store_that_heeds_no_conditions_is_refused_before_any_work(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(bucket)
    store.check()
    put: Callable[..., bool] = S3Files._put_if
    monkeypatch.setattr(S3Files, "_put_if", lambda self, bucket, key, content, _: put(self, bucket, key, content, {}))
    with pytest.raises(StoreError, match="does not heed the conditions"):
        Store(bucket).check()
    marker = store.read("layout.json")
    assert marker is not None
    assert json.loads(marker) == {"layout": 1}
