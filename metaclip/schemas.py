"""The Arrow schemas of all Parquet files that stages exchange. Column types are defined only here."""

import pyarrow as pa

UID = [pa.field("uid_hi", pa.uint64(), nullable=False), pa.field("uid_lo", pa.uint64(), nullable=False)]

ENTRY = pa.schema(
    [
        pa.field("entry_id", pa.uint32(), nullable=False),
        pa.field("entry", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
    ]
)
"""`metadata`: one entry in each row; `entry_id` is the position of the row."""

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
"""`extract`: one image-text pair in each row, sorted by (uid_hi, uid_lo), each uid once."""

ENTRY_IDS = pa.field("entry_ids", pa.list_(pa.field("element", pa.uint32(), nullable=False)), nullable=False)

MATCHED = PAIR.append(ENTRY_IDS)
"""`match` and `dedup`: a pair whose text contains at least one entry; its ids are ascending and distinct."""

ENTRY_COUNT = pa.schema(
    [pa.field("entry_id", pa.uint32(), nullable=False), pa.field("count", pa.uint64(), nullable=False)]
)
"""`count`: one row for each entry of the metadata, also for counts of zero, sorted by entry_id."""

GROUP = pa.field("group", pa.string(), nullable=False)

GROUP_ENTRY_COUNT = pa.schema([GROUP, *ENTRY_COUNT])
"""`dedup` and `survive` in a pool by language: the counts of one partition, by group and entry_id."""

THRESHOLD = pa.schema(
    [
        GROUP,
        pa.field("count", pa.uint64(), nullable=False),
        pa.field("held", pa.uint64(), nullable=False),
        pa.field("reference_t", pa.uint64(), nullable=False),
    ]
)
"""`count` in a pool by language: each distinct count of a group, the matches of its entries with at most so many, and
the smallest t of the reference language that reaches it; sorted by group and count (`balance.reference_axis`)."""

BALANCED = MATCHED.append(pa.field("min_t", pa.float64(), nullable=False))
"""`balance`: sorted by (min_t, uid_hi, uid_lo); the set for t is the prefix with min_t <= t."""

OWN_T = pa.field("own_t", pa.float64(), nullable=False)
LANGUAGE = pa.field("language", pa.string(), nullable=False)

BALANCED_BY_LANGUAGE = BALANCED.append(OWN_T)
"""`balance` in a pool by language: `min_t` is a t of the reference language, `own_t` that of the pair's own."""

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
"""`curate`: img2dataset's `url` and `caption`, and the other columns that users of the set need."""

CURATED_BY_LANGUAGE = CURATED.append(OWN_T).append(LANGUAGE)
"""`curate` in a pool by language; `language` is the group that the pair's label and score belong to."""

_KNOWN = frozenset({*BALANCED_BY_LANGUAGE.names, *CURATED_BY_LANGUAGE.names})


def with_kept(schema: pa.Schema, found: pa.Schema) -> pa.Schema:
    """Return a schema of pairs with the columns that files had of their own (`source.keep_columns`) at its end."""
    return pa.schema([*schema, *kept_fields(found)])


def kept_fields(found: pa.Schema) -> list[pa.Field]:
    """Return the columns of pairs that are none of this module: those that files had of their own."""
    return [field for field in found if field.name not in _KNOWN]


def conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return a table of pairs with the columns of a schema of pairs, and after them those that files had."""
    wanted = with_kept(schema, table.schema)
    return table.select(wanted.names).cast(wanted)


CURVE = pa.schema(
    [
        pa.field("group", pa.uint32()),
        pa.field("step", pa.uint32(), nullable=False),
        pa.field("count", pa.uint64(), nullable=False),
    ]
)
"""`curve`: if `group` is null, the pairs that enter the set at this step of t, else their matches with
this group of entries (`report/curves.py`)."""

CURVE_BY_LANGUAGE = pa.schema([LANGUAGE, *CURVE])
"""`curve` in a pool by language: the same by language; groups of entries are of all lists together."""

HOST_COUNT = pa.schema([pa.field("host", pa.string(), nullable=False), pa.field("pairs", pa.uint64(), nullable=False)])
"""`survey`: hosts of image addresses, sorted by descending number of pairs."""

SET_COUNT = ENTRY.append(pa.field("count", pa.uint64(), nullable=False)).append(
    pa.field("curated_count", pa.uint64(), nullable=False)
)
"""`report`: each entry with its number of matches in the pool and in the set."""

SET_COUNT_BY_LANGUAGE = pa.schema([LANGUAGE, *SET_COUNT])
"""`report` in a pool by language; `entry_id` is the position in the list of the language."""

BROWSED = pa.schema([field for field in BALANCED if field.name != "entry_ids"])
"""`browse`: the rows of a segment of a balanced partition, in its order; their entry ids are in arrays beside them."""

BROWSED_TERM = pa.schema([pa.field("term", pa.string(), nullable=False), pa.field("end", pa.uint64(), nullable=False)])
"""`browse`: words, hosts and languages, each after the letter of its kind, ascending, and where its rows end."""

NEAR_MISS = pa.schema(
    [
        pa.field("entry_id", pa.uint32(), nullable=False),
        pa.field("cause", pa.string(), nullable=False),
        pa.field("texts", pa.uint64(), nullable=False),
        *UID,
        pa.field("example", pa.string(), nullable=False),
    ]
)
"""`near`: how many texts miss an entry for a cause (`matching.variants.CAUSES`), sorted by both, only those above 0;
the uid and the text, cut after 300 characters, of the pair with the smallest uid."""

GROUP_NEAR_MISS = pa.schema([pa.field("group", pa.string(), nullable=False), *NEAR_MISS])
"""`near` in a pool by language: the same for the list of each group, sorted by group first."""

TEXT_COUNT = pa.schema([pa.field("text", pa.string(), nullable=False), pa.field("count", pa.uint64(), nullable=False)])
"""`ngrams` and `titles`: words, or titles, sorted by code point, with their counts."""

PAIR_COUNT = pa.schema(
    [
        pa.field("first", pa.uint32(), nullable=False),
        pa.field("second", pa.uint32(), nullable=False),
        pa.field("count", pa.uint64(), nullable=False),
    ]
)
"""`ngrams`: pairs of neighbouring words, sorted; each word is a row number of the file of words."""

BUILT_ENTRY = ENTRY.append(pa.field("score", pa.float64()))
"""`metadata`, if the list was built from sources: with the score within the source, null for WordNet."""

_AREA = pa.field("area64", pa.binary(32))
_COLOUR = pa.field("colour", pa.binary(48))
_IMAGE = [
    pa.field("width", pa.uint32(), nullable=False),
    pa.field("height", pa.uint32(), nullable=False),
    _AREA,
    pa.field("quality", pa.uint8(), nullable=False),
    _COLOUR,
    pa.field("bytes_sha256", pa.binary(32)),
    pa.field("pixels", pa.uint64()),
]

INSPECTED = pa.schema(
    [
        *UID,
        pa.field("status", pa.string(), nullable=False),
        *_IMAGE,
        pa.field("stored_width", pa.uint32(), nullable=False),
        pa.field("stored_height", pa.uint32(), nullable=False),
        pa.field("bytes", pa.uint64(), nullable=False),
        pa.field("shard", pa.string(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
    ]
)
"""`inspect`: what became of each row of an input file of img2dataset, sorted by uid. `width` and `height` are the
original's, `stored_` those of the picture that is there, `bytes` its file's; `bytes_sha256` is of the bytes as served.
`area64`, `pixels` and `colour` are null where the status is not `ok`."""

HASHED = pa.schema([pa.field("name", pa.string(), nullable=False), INSPECTED.field("status"), *_IMAGE])
"""`metaclip images hash`: the same of any pictures, by name. Nothing in it shows a picture."""

JUDGED = pa.schema(
    [
        *UID,
        pa.field("reason", pa.string(), nullable=False),
        pa.field("by", pa.string(), nullable=False),
        pa.field("distance", pa.uint16()),
        pa.field("shown", pa.bool_(), nullable=False),
    ]
)
"""`image-filter`: the rows of `inspect` in their order, with the first reason to leave a row out (empty: none), the
list or score that gave it, the distance to the entry of a list, and whether the picture may be shown to people."""

_RANK = [
    pa.field("rank", pa.uint64(), nullable=False),
    pa.field("image", pa.uint64(), nullable=False),
]

EQUAL_KEY = pa.schema(
    [pa.field("kind", pa.uint8(), nullable=False), pa.field("key", pa.uint64(), nullable=False), *_RANK]
)
"""`image-keys`: images by the first 64 bits of the SHA-256 of their bytes (kind 0) and by their pixels (kind 1), sorted
by all columns. An image is the `uid_hi` of its pairs; the one with the smallest (rank, image) stays."""

NEAR_KEY = pa.schema([pa.field("key", pa.uint32(), nullable=False), *_RANK, _AREA, _COLOUR])
"""`image-keys`: images by 32 bits of their `area64`, one file for each choice of bits, sorted by (key, rank, image)."""

IMAGE_PAIR = pa.schema(
    [
        pa.field("kind", pa.uint8(), nullable=False),
        pa.field("rank", pa.uint64(), nullable=False),
        pa.field("image", pa.uint64(), nullable=False),
        pa.field("other_rank", pa.uint64(), nullable=False),
        pa.field("other", pa.uint64(), nullable=False),
        pa.field("distance", pa.uint8(), nullable=False),
    ]
)
"""`image-pairs`: two images that count as the same, that of smaller (rank, image) first; kind 2: near."""

COVERED = pa.schema(
    [
        pa.field("image", pa.uint64(), nullable=False),
        pa.field("kind", pa.uint8(), nullable=False),
        pa.field("keeper", pa.uint64(), nullable=False),
        pa.field("distance", pa.uint8(), nullable=False),
    ]
)
"""`image-cover`: the images that fell, sorted, each with the one that stays and the distance of the two."""

REPEATED = frozenset(
    {
        *("cause", "text_key", "page_url", "lang", "source", "count", "curated_count", "group", "first", "language"),
        *("status", "shard", "reason", "by"),
    }
)
"""Columns whose values often repeat, so that a dictionary is worth its time."""

CLIMBING = frozenset({"entry_id"})
"""Columns in which each value is a little larger than the one before: only the differences are stored."""


PAIRS = "pairs.parquet"
