"""Manifests, references and keys: what an output consists of, and how it is identified."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Annotated, Any, Self

import msgspec
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from metaclip.errors import StoreError
from metaclip.io.hashing import BLOCK_BYTES, DIGITS
from metaclip.store.statistics import Statistics, check_statistics

MANIFEST = "manifest.json"

_Hex64 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_KEY_DIGITS = 32


class StoredFile(BaseModel):
    """One data file of an output."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: str
    bytes: int = Field(ge=0)
    sha256: _Hex64
    rows: int | None = Field(default=None, ge=0)
    blocks: str | None = Field(default=None, pattern=r"^[0-9a-f]*$")
    """The XXH3 of each `io.hashing.BLOCK_BYTES` of the file; files of earlier versions have none."""

    @model_validator(mode="after")
    def _all_blocks(self) -> Self:
        if self.blocks is not None and len(self.blocks) != -(-self.bytes // BLOCK_BYTES) * DIGITS:
            raise ValueError("`blocks` are not those of a file of this size")
        return self


class Manifest(BaseModel):
    """What an output consists of and what it was made from."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    stage: str
    version: int
    key: str
    config: dict[str, Any]
    inputs: list[str]
    files: list[StoredFile] = Field(min_length=1)
    statistics: dict[str, Any]
    code_version: str
    inputs_compared: bool = False
    """Whether all that was read of other outputs was compared with their manifests; earlier versions did not."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [file.name for file in self.files]
        for name in names:
            if name in ("", ".", "..", MANIFEST) or "/" in name or "\\" in name or "\0" in name:
                raise ValueError(f"{name!r} is no name of a file in the output's folder")
        if len(set(names)) != len(names):
            raise ValueError("a file is listed twice")
        if self.key != stage_key(self.stage, self.version, self.config, self.inputs):
            raise ValueError("stage, version, config and inputs are not those of the key")
        check_statistics(self.statistics)
        whose = f"{self.stage}-v{self.version}/{self.key}"
        self.__dict__["statistics"] = Statistics(self.statistics, whose)
        return self

    @classmethod
    @lru_cache(maxsize=64)  # a process reads the metadata's manifest for every shard
    def parse(cls, address: str, content: bytes | str) -> Self:
        """Read the manifest that stands at an address relative to a root.

        Raises:
            ValueError: in one line, if it is none, or is the manifest of another output.
        """
        try:
            found = cls.model_validate_json(content)
        except ValidationError as error:
            raise ValueError(one_line(error)) from error
        path = PurePosixPath(address)
        # The manifest of a part lies in the folder of its set.
        if path.name == MANIFEST and len(path.parent.name) == _KEY_DIGITS and path.parent.name != found.key:
            raise ValueError(f"it is the manifest of another output, {found.key}")
        return found

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


def one_line(error: ValidationError) -> str:
    """Return the first mistake that a model found, where it is, and how many more there are."""
    faults = error.errors(include_url=False)
    place = ".".join(str(part) for part in faults[0]["loc"])
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return " ".join(f"{place}: {faults[0]['msg']}{more}".removeprefix(": ").split())[:300]


def json_bytes(value: object) -> bytes:
    """Return JSON as it is stored: indented, in UTF-8, with a line end at its end."""
    # The same bytes as json.dumps(value, indent=1) gives, which is ten times as slow: it leaves C for indenting.
    compact = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    return msgspec.json.format(compact, indent=1) + b"\n"
