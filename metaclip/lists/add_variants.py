"""Write a list of entries with other spellings added at its end, so that the ids of its own entries stay."""

import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from metaclip.errors import ConfigError, InputError
from metaclip.io.temporary import write_whole
from metaclip.matching.spacing import can_match
from metaclip.matching.variants import case_variants, plurals, respacings
from metaclip.metadata.given_list import load_entries
from metaclip.schemas import ENTRY

FORMS = (".txt", ".json", ".parquet")


def write_variants(
    entries: str, to: str, *, case: bool = True, plural: bool = False, spacing: bool = False
) -> dict[str, Any]:
    """Write a list with variants of its entries added.

    A plural and another spacing are made of the entry as it is spelled, if it is in lower case, and get variants of
    case as well where these are wanted. In a Parquet list the source of a variant is that of its entry, with
    `+case`, `+plural` or `+spacing`.

    Args:
        entries: address of a list, as `metadata.entries` takes it.
        to: the new file; its name ends in `.txt`, `.json` or `.parquet`.
        case: add the spellings of `matching.variants.case_variants`.
        plural: add those of `plurals`.
        spacing: add those of `respacings`.

    Returns:
        JSON values: `given`, `entries`, `added` by kind, `never_match` and `to`.

    Raises:
        ConfigError: nothing to add is named, `to` exists already, or has another ending.
        InputError: the list cannot be read, or an entry has a line end and cannot be written as text.
    """
    target = Path(to)
    if not (case or plural or spacing):
        raise ConfigError("nothing to add: leave out --no-case, or add --plural or --spacing")
    if target.suffix not in FORMS:
        raise ConfigError(f"{to}: the name must end in {', '.join(FORMS)}, which says what form the list has")
    if target.exists():
        raise ConfigError(f"{to}: exists already; name another file, or remove it")
    if not target.parent.is_dir():
        raise ConfigError(f"{to}: there is no folder {target.parent}")
    loaded = load_entries(entries)
    strings, sources = list(loaded.entries), list(loaded.sources)
    known, added = set(strings), Counter[str]()
    for entry, source in zip(loaded.entries, loaded.sources, strict=True):
        for kind, variant in _variants(entry, case=case, plural=plural, spacing=spacing):
            if variant not in known:
                known.add(variant)
                strings.append(variant)
                sources.append(f"{source or 'list'}+{kind}")
                added[kind] += 1
    write_whole(target, _encoded(target.suffix, to, strings, sources))
    return {
        "given": len(loaded.entries),
        "entries": len(strings),
        "added": dict(added),
        "never_match": sum(not can_match(entry) for entry in strings),
        "to": to,
    }


def _variants(entry: str, *, case: bool, plural: bool, spacing: bool) -> Iterator[tuple[str, str]]:
    made = [*(("plural", other) for other in plurals(entry) if plural)]
    made += [("spacing", other) for other in respacings(entry) if spacing]
    if case:
        yield from (("case", variant) for variant in case_variants(entry))
    for kind, spelling in made:
        yield kind, spelling
        if case:
            yield from ((kind, variant) for variant in case_variants(spelling))


def _encoded(form: str, to: str, strings: list[str], sources: list[str]) -> bytes:
    if form == ".json":
        return msgspec.json.format(msgspec.json.encode(strings), indent=1)
    if form == ".txt":
        for entry in strings:
            if "\n" in entry or "\r" in entry or not entry.strip():
                raise InputError(
                    f"{to}: the entry {entry!r} cannot be written as a line; write a .json or .parquet list"
                )
        return "".join(f"{entry}\n" for entry in strings).encode()
    ids = pa.array(np.arange(len(strings), dtype=np.uint32))
    sink = io.BytesIO()
    pq.write_table(pa.table([ids, pa.array(strings), pa.array(sources)], schema=ENTRY), sink, compression="zstd")
    return sink.getvalue()
