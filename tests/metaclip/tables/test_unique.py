"""Each uid once, whatever the order, the cut and the memory."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaclip.schemas import PAIR
from metaclip.tables import sorter
from metaclip.tables.unique import UniquePairs

Row = tuple[int, int, str, str]
rows = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 2**63, 2**64 - 1]),
        st.integers(0, 2),
        st.sampled_from(["", "a", "é", "z", "Z"]),
        st.sampled_from(["alt", "title"]),
    ),
    max_size=40,
)


def _table(chosen: list[Row]) -> pa.Table:
    high, low, pages, keys = zip(*chosen, strict=True) if chosen else ([], [], [], [])
    count = len(chosen)
    columns = [
        pa.array(high, pa.uint64()),
        pa.array(low, pa.uint64()),
        pa.array([f"u{h}" for h in high], pa.string()),
        pa.array([f"t{h}{x}" for h, x in zip(high, low, strict=True)], pa.string()),
        pa.array(keys, pa.string()),
        pa.array(pages, pa.string()),
        pa.array(["en"] * count, pa.string()),
        pa.array([0.5] * count, pa.float32()),
    ]
    return pa.table(columns, schema=PAIR)


def _unique(tables: list[pa.Table]) -> list[Row]:
    pairs = UniquePairs(PAIR)
    for table in tables:
        pairs.append(table)
    result = pa.concat_tables([PAIR.empty_table(), *pairs.tables()])
    columns = (result.column(name).to_pylist() for name in ("uid_hi", "uid_lo", "page_url", "text_key"))
    return list(zip(*columns, strict=True))


def _by_definition(chosen: list[Row]) -> list[Row]:
    smallest: dict[tuple[int, int], tuple[str, str]] = {}
    for high, low, page, key in chosen:
        smallest[high, low] = min(smallest.get((high, low), (page, key)), (page, key))
    return [(*uid, *smallest[uid]) for uid in sorted(smallest)]


@pytest.mark.parametrize("memory", [sorter.MEMORY_BYTES, 300, 0])
@given(chosen=rows, cuts=st.lists(st.integers(0, 40), max_size=9), fan_in=st.integers(2, 4), piece=st.integers(1, 5))
def test_equals_the_definition_in_any_cut(
    memory: int, chosen: list[Row], cuts: list[int], fan_in: int, piece: int
) -> None:
    bounds = [0, *sorted(min(cut, len(chosen)) for cut in cuts), len(chosen)]
    tables = [_table(chosen[a:b]) for a, b in pairwise(bounds)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sorter, "MEMORY_BYTES", memory)
        patch.setattr(sorter, "_FAN_IN", fan_in)
        patch.setattr(sorter, "_PIECE_BYTES", 40 * piece)
        assert _unique(tables) == _by_definition(chosen)


@pytest.mark.slow
@pytest.mark.parametrize("memory", [sorter.MEMORY_BYTES, 100_000])
def test_more_rows_than_a_row_group(memory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sorter, "MEMORY_BYTES", memory)
    generator = np.random.default_rng(0)
    high = generator.integers(0, 50_000, 150_000)
    chosen = [(int(h), 0, f"p{n % 7}", "alt") for n, h in enumerate(high)]
    assert _unique([_table(part.tolist()) for part in np.array_split(np.array(chosen, object), 90)]) == _by_definition(
        chosen
    )
