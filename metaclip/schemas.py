"""The Arrow schemas of all Parquet files that stages exchange. Nobody else spells a column's type."""

import pyarrow as pa

UID = [pa.field("uid_hi", pa.uint64(), nullable=False), pa.field("uid_lo", pa.uint64(), nullable=False)]

ENTRY = pa.schema(
    [
        pa.field("entry_id", pa.uint32(), nullable=False),
        pa.field("entry", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
    ]
)
"""`metadata`: one entry in each row; `entry_id` is the row's position."""

PAIR = pa.schema(
    [
        *UID,
        pa.field("url", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("text_key", pa.string(), nullable=False),
        pa.field("page_url", pa.string(), nullable=False),
        pa.field("lang", pa.string(), nullable=False),
        pa.field("lang_score", pa.float32(), nullable=False),
    ]
)
"""`extract`: one image-text pair a row, sorted by (uid_hi, uid_lo), each uid once."""

ENTRY_IDS = pa.field("entry_ids", pa.list_(pa.field("element", pa.uint32(), nullable=False)), nullable=False)

MATCHED = PAIR.append(ENTRY_IDS)
"""`match` and `dedup`: a pair that contains at least one entry; ids ascend and are distinct."""

ENTRY_COUNT = pa.schema(
    [pa.field("entry_id", pa.uint32(), nullable=False), pa.field("count", pa.uint64(), nullable=False)]
)
"""`count`: one row for each entry of the metadata, counts of zero included, by entry_id."""

BALANCED = MATCHED.append(pa.field("min_t", pa.float64(), nullable=False))
"""`balance`: sorted by (min_t, uid_hi, uid_lo); the set for t is the prefix with min_t <= t."""

CURATED = pa.schema(
    [
        pa.field("uid", pa.string(), nullable=False),
        pa.field("url", pa.string(), nullable=False),
        pa.field("caption", pa.string(), nullable=False),
        pa.field("text_key", pa.string(), nullable=False),
        pa.field("page_url", pa.string(), nullable=False),
        pa.field("lang", pa.string(), nullable=False),
        pa.field("lang_score", pa.float32(), nullable=False),
        ENTRY_IDS,
        pa.field("min_t", pa.float64(), nullable=False),
    ]
)
"""`curate`: img2dataset's `url` and `caption`, with what a data card needs beside them."""

CURVE = pa.schema(
    [
        pa.field("group", pa.uint32()),
        pa.field("step", pa.uint32(), nullable=False),
        pa.field("count", pa.uint64(), nullable=False),
    ]
)
"""`curve`: where `group` is null the pairs whose min_t is of that step of t, else their matches of
that group of entries (`report/grid.py`)."""

HOST_COUNT = pa.schema([pa.field("host", pa.string(), nullable=False), pa.field("pairs", pa.uint64(), nullable=False)])
"""`survey`: hosts of image addresses, by falling number of pairs."""

SET_COUNT = ENTRY.append(pa.field("count", pa.uint64(), nullable=False)).append(
    pa.field("curated_count", pa.uint64(), nullable=False)
)
"""`report`: each entry with its matches in the pool and in the set."""

TEXT_COUNT = pa.schema([pa.field("text", pa.string(), nullable=False), pa.field("count", pa.uint64(), nullable=False)])
"""`ngrams` and `titles`: words, or titles, by code point, with how often they were met."""

PAIR_COUNT = pa.schema(
    [
        pa.field("first", pa.uint32(), nullable=False),
        pa.field("second", pa.uint32(), nullable=False),
        pa.field("count", pa.uint64(), nullable=False),
    ]
)
"""`ngrams`: pairs of neighbouring words, each a row of the words beside it, sorted."""

BUILT_ENTRY = ENTRY.append(pa.field("score", pa.float64()))
"""`metadata` where it was built from sources: the score within the source, none for WordNet."""

REPEATED = frozenset({"text_key", "page_url", "lang", "source", "count", "curated_count", "group", "first"})
"""Columns whose values mostly repeat: a dictionary of them is worth its time."""

CLIMBING = frozenset({"entry_id"})
"""Columns in which each value is a little more than the last: only the differences are stored."""


PAIRS = "pairs.parquet"
