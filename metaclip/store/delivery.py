"""A folder at any fsspec address that is filled once; the file that describes its content is written last."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from metaclip.errors import ConfigError, StoreError
from metaclip.io.hashing import HashingFile
from metaclip.store.manifest import StoredFile, json_bytes
from metaclip.store.store import Store
from metaclip.store.writer import hashed


class Target:
    """A folder for one content, which an `identity` identifies.

    Args:
        address: a folder, or an address such as s3://bucket/prefix.
        description: name of the JSON file that is written last; the content exists once it is there.
        identity: identifies the content; another content has another identity.

    Raises:
        StoreError: if the address names no known file system.
    """

    def __init__(self, address: str, description: str, identity: str) -> None:
        try:
            self._store = Store(address)
        except StoreError as error:
            raise StoreError(f"--to: {str(error).removeprefix('storage ')}") from error
        self.address = address
        self.description = description
        self.identity = identity
        self._started = description.removesuffix(".json") + ".started.json"

    def find(self) -> dict[str, Any] | None:
        """Return the description if the content is complete, else None.

        Raises:
            ConfigError: if the folder holds something else.
            StoreError: if it cannot be read.
        """
        with self._naming():
            found = self._read(self.description)
            started = found or self._read(self._started)
            if started is None:
                names = self._store.listing()
                if names:
                    raise ConfigError(
                        f"{self.address}: holds other files already ({', '.join(names[:3])});"
                        " name a new or empty folder"
                    )
                return None
            if started.get("identity") != self.identity:
                raise ConfigError(
                    f"{self.address}: holds another {self.description.removesuffix('.json')}, see"
                    f" {self.description if found else self._started} there; name another folder, or empty this one"
                )
            if found is None or not all(self._store.has(file["name"], file["bytes"]) for file in found["files"]):
                return None
            return found

    def begin(self) -> None:
        """Mark the folder as belonging to this content, so that an interrupted run can continue.

        Raises:
            StoreError: if it cannot be written.
        """
        with self._naming():
            self._store.write_json(self._started, {"identity": self.identity})

    @contextmanager
    def file(self, name: str, files: list[StoredFile]) -> Iterator[HashingFile]:
        """Write a file under a temporary name, move it into place, add it to `files`; the caller sets its `rows`."""
        with self._naming():
            temporary = self._store.temporary(name)
        try:
            with hashed(self._store, name, temporary, sync=False) as hashing:
                yield hashing
            with self._naming():
                self._store.put(temporary, name)
        finally:
            temporary.unlink(missing_ok=True)
        files.append(StoredFile(name=name, bytes=hashing.size, sha256=hashing.digest.hexdigest(), rows=hashing.rows))

    def finish(self, content: dict[str, Any], files: Sequence[StoredFile]) -> dict[str, Any]:
        """Write the description, which completes the content; return it."""
        described = {
            "identity": self.identity,
            **content,
            "files": [file.model_dump(exclude={"blocks"}) for file in sorted(files, key=lambda file: file.name)],
        }
        with self._naming():
            self._store.write_json(self.description, described)
            self._store.remove(self._started)
        return described

    def _read(self, name: str) -> dict[str, Any] | None:
        found = self._store.read_json(name)
        return dict(found) if isinstance(found, dict) else None

    @contextmanager
    def _naming(self) -> Iterator[None]:
        """Turn an error of the file system into one that names the target and the way out."""
        try:
            yield
        except OSError as error:
            raise StoreError(
                f"{self.address}: cannot be used: {type(error).__name__}: {error}. Check that it may be read and"
                " written, that there is room, and (object stores) the credentials in the environment"
            ) from error


def identity_of(content: dict[str, Any]) -> str:
    """Return 32 hex digits of the SHA-256 of what determines a content."""
    return hashlib.sha256(json_bytes(dict(sorted(content.items())))).hexdigest()[:32]
