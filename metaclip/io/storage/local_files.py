"""Local files: written under a temporary name in their folder, then renamed."""

import os
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from metaclip.io.storage.any_files import AnyFiles
from metaclip.io.temporary import remove_leftovers, replaced, temporary_beside


class LocalFiles(AnyFiles):
    """Local files."""

    is_local = True

    def read_range(self, path: str, start: int, end: int) -> bytes:
        """Return the bytes from `start` to `end` of a file, fewer where it ends before."""
        with open(path, "rb", buffering=0) as source:  # noqa: PTH123 (the fastest way, for many small ranges)
            source.seek(start)
            parts = [source.read(end - start)]
            while parts[-1] and sum(map(len, parts)) < end - start:  # one call of the system reads 2 GB at most
                parts.append(source.read(end - start - sum(map(len, parts))))
            return b"".join(parts) if len(parts) > 1 else parts[0]

    def write(self, path: str, content: bytes) -> None:
        """Replace a small file as a whole."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        with replaced(target) as temporary, temporary.open("wb") as sink:
            sink.write(content)
            sink.flush()
            os.fsync(sink.fileno())

    def create_new(self, path: str, content: bytes) -> bool:
        """Create a small file, and return whether there was none."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        try:
            sink = Path(path).open("xb", buffering=0)  # noqa: SIM115 (closed below)
        except FileExistsError:
            return False
        try:
            with sink:
                sink.write(content)
        except OSError:  # the disk is full
            Path(path).unlink(missing_ok=True)
            raise
        return True

    def read(self, path: str) -> bytes:
        """Return a small file's content."""
        return Path(path).read_bytes()

    def temporary(self, path: str) -> Path:
        """Return a name in the folder of the path, which is made where it is missing."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(target.parent)
        return temporary_beside(target)

    def put(self, temporary: Path, path: str) -> None:
        """Move a finished file into place."""
        temporary.replace(path)

    def remove_empty_folders(self, folder: str, before: datetime) -> None:
        """Remove a folder and those within that hold nothing and have not changed since a time."""
        for path, _, _ in os.walk(folder, topdown=False):
            inner = Path(path)
            with suppress(FileNotFoundError):
                if inner.stat().st_mtime <= before.timestamp() and not any(inner.iterdir()):
                    inner.rmdir()
