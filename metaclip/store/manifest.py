"""Manifests, references and keys: what an output consists of, and how it is identified."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import msgspec
from pydantic import BaseModel, ConfigDict

from metaclip.errors import StoreError

MANIFEST = "manifest.json"


class StoredFile(BaseModel):
    """One data file of an output."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    bytes: int
    sha256: str
    rows: int | None = None


class Manifest(BaseModel):
    """What an output consists of and what it was made from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stage: str
    version: int
    key: str
    config: dict[str, Any]
    inputs: list[str]
    files: list[StoredFile]
    statistics: dict[str, Any]
    code_version: str

    @property
    def rows(self) -> int:
        """The sum of the rows of all data files that state them."""
        return sum(file.rows or 0 for file in self.files)

    def file(self, name: str) -> StoredFile:
        """Return what the manifest states about a file.

        Raises:
            StoreError: if the output has no file of that name.
        """
        for file in self.files:
            if file.name == name:
                return file
        raise StoreError(f"{self.stage} output {self.key} has no file {name}; delete its folder and run again")


@dataclass(frozen=True)
class Reference:
    """What tasks exchange in place of data: the address of a manifest, its key and its rows."""

    manifest: str
    key: str
    rows: int

    @property
    def folder(self) -> str:
        """The output's folder, relative to the root."""
        return str(PurePosixPath(self.manifest).parent)


def stage_key(stage: str, version: int, config: Mapping[str, Any], inputs: Sequence[str]) -> str:
    """Return the key of an output: 32 hex digits of SHA-256 over what determines it.

    `inputs` are keys of other outputs, or fingerprints of files from outside the store.
    """
    parts = {"stage": stage, "version": version, "config": config, "inputs": list(inputs)}
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]


def json_bytes(value: object) -> bytes:
    """Return JSON as it is stored: indented, in UTF-8, with a line end at its end."""
    # The same bytes as json.dumps(value, indent=1) gives, which is ten times as slow: it leaves C for indenting.
    compact = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    return msgspec.json.format(compact, indent=1) + b"\n"
