"""`croissant.json`: the set in the Croissant 1.0 format (https://docs.mlcommons.org/croissant/docs/croissant-spec.html).

Addresses are relative to the folder of this file, which has the set's Parquet files in `data`.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from metaclip.config.card import Card
from metaclip.report.figures import Figures
from metaclip.schemas import CURATED, CURATED_BY_LANGUAGE, with_kept
from metaclip.store.manifest import StoredFile

DATA = "data"
PARQUET = "application/x-parquet"
PAPER = "https://arxiv.org/abs/2309.16671"

_TYPES = {
    pa.string(): "sc:Text",
    pa.uint32(): "sc:Integer",
    pa.uint64(): "sc:Integer",
    pa.float32(): "sc:Float",
    pa.float64(): "sc:Float",
}
MEANINGS = {
    "uid": "128-bit hash of address and text, 32 hex digits; the first 16 are of the address alone",
    "url": "address of the image",
    "caption": "the text of the image",
    "text_key": "the attribute of the image, or the field of the file of pairs, that the text was in",
    "page_url": "a page that shows the image with this text, as far as it is known; else empty",
    "lang": "language of the text, as fastText's lid.176 tells it",
    "lang_score": "score of the language, 0 to 1",
    "entry_ids": "ids of the metadata entries that the text contains",
    "min_t": "smallest t at which the pair is in the set",
    "own_t": "the same as a t of the pair's own language",
    "language": "group of languages, whose list of entries the text was matched with",
    "entry_id": "position of the entry in the metadata",
    "entry": "the metadata entry",
    "source": "what the entry was taken from",
    "count": "unique pairs of the pool that contain the entry",
    "curated_count": "pairs of the set that contain the entry",
}
"""The meaning of the columns, for the card and for `croissant.json`."""


def meaning(field: pa.Field) -> str:
    """Return what a column of a set means."""
    return MEANINGS.get(field.name, "a column of the source's files, kept as it is there")


def _data_type(kind: pa.DataType) -> str:
    if pa.types.is_boolean(kind):
        return "sc:Boolean"
    return _TYPES.get(kind) or ("sc:Integer" if pa.types.is_integer(kind) else "sc:Float")


def croissant(figures: Figures, card: Card, files: Sequence[StoredFile], entry_counts: StoredFile) -> dict[str, Any]:
    """Describe a set of these Parquet files, and its file of entry counts."""
    described: dict[str, Any] = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": card.title,
        "description": (
            f"{figures.content['funnel']['curated']:,} image addresses with texts, balanced over metadata entries by"
            f" the MetaCLIP algorithm at t = {figures.content['t']}. The images themselves are not part of it."
        ),
        "license": card.licence,
        "citeAs": PAPER,
        "isLiveDataset": False,
        "distribution": list(_distribution(files, entry_counts)),
        "recordSet": [
            *([_records("pairs", curated_schema(figures), {"fileSet": {"@id": "pairs-files"}})] if files else []),
            _records("entry_counts", figures.entries.schema, {"fileObject": {"@id": entry_counts.name}}),
        ],
    }
    optional = {"url": card.address, "datePublished": card.published}
    return described | {name: value for name, value in optional.items() if value is not None}


def curated_schema(figures: Figures) -> pa.Schema:
    """Return the schema of the set's files, with columns that files of the source had of their own."""
    return with_kept(CURATED_BY_LANGUAGE if "by_language" in figures.content else CURATED, figures.kept)


def _distribution(files: Sequence[StoredFile], entry_counts: StoredFile) -> Iterator[dict[str, Any]]:
    for folder, file in [*((f"{DATA}/", file) for file in files), ("", entry_counts)]:
        yield {
            "@type": "cr:FileObject",
            "@id": file.name,
            "name": file.name,
            "contentUrl": folder + file.name,
            "contentSize": f"{file.bytes} B",
            "encodingFormat": PARQUET,
            "sha256": file.sha256,
        }
    if files:
        yield {
            "@type": "cr:FileSet",
            "@id": "pairs-files",
            "name": "pairs-files",
            "encodingFormat": PARQUET,
            # All files of this folder: mlcroissant 1.1 cannot read a file set of several file objects.
            "includes": f"{DATA}/*.parquet",
        }


def _records(name: str, schema: pa.Schema, files: dict[str, Any]) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "field": [_field(name, field, files) for field in schema],
    }


def _field(record_set: str, field: pa.Field, files: dict[str, Any]) -> dict[str, Any]:
    repeated = pa.types.is_list(field.type)
    described: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": f"{record_set}/{field.name}",
        "name": field.name,
        "description": meaning(field),
        "dataType": _data_type(field.type.value_type if repeated else field.type),
        "source": {**files, "extract": {"column": field.name}},
    }
    return described | ({"repeated": True} if repeated else {})


# The context in section "Appendix 1: JSON-LD context" of the specification.
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    **{
        name: f"cr:{name}"
        for name in (
            *("citeAs", "column", "equivalentProperty", "extract", "field", "fileObject", "fileProperty", "fileSet"),
            *("format", "includes", "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet"),
            *("references", "regex", "repeated", "replace", "samplingRate", "separator", "source", "subField"),
            "transform",
        )
    },
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
}
