from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaclip.errors import ConfigError
from metaclip.explore.size_curve import StoredSizeCurve
from metaclip.schemas import BALANCED
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from metaclip.tables import parquet


def stored(root: Path, parts: list[list[float]]) -> StoredSizeCurve:
    """Write balanced partitions of given min_t, four rows to a row group."""
    store = Store(str(root))
    references = []
    for number, values in enumerate(parts):
        manifest = f"balance-v1/{number}/manifest.json"
        columns = {field.name: pa.nulls(len(values), field.type) for field in BALANCED}
        columns |= {"min_t": pa.array(sorted(values), pa.float64())}
        filled = {
            name: column if name == "min_t" else column.fill_null(_zero(column.type))
            for name, column in columns.items()
        }
        with store.create("balance", 1, {}, [str(number)], manifest) as writer:
            rows = writer.parquet("pairs.parquet", BALANCED, iter([pa.table(filled, schema=BALANCED)]))
            writer.commit({})
        references.append(Reference(manifest, str(number), rows))
    return StoredSizeCurve(store, references)


def _zero(kind: pa.DataType) -> pa.Scalar:
    return pa.scalar([] if pa.types.is_list(kind) else "" if pa.types.is_string(kind) else 0, kind)


thresholds = st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0, 2.5, 3.0, 7.0, 1e9]) | st.floats(0, 1e6), max_size=20)


@pytest.mark.long
@settings(max_examples=40)
@given(st.lists(thresholds, min_size=1, max_size=4))
def test_the_curve_of_files_is_that_of_arrays(
    tmp_path_factory: pytest.TempPathFactory, parts: list[list[float]]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parquet, "ROW_GROUP_ROWS", 4)
        curve = stored(tmp_path_factory.mktemp("curve"), parts)
    together = sorted(value for values in parts for value in values)
    assert curve.total == len(together)
    for t in {0.0, 0.7, 2.5, 8.0, np.inf, *together}:
        assert curve.pairs(t) == sum(value <= t for value in together)
    for pairs, t in enumerate(together, 1):
        assert curve.t(pairs) == t


def test_a_size_that_no_t_gives_is_refused(tmp_path: Path) -> None:
    curve = stored(tmp_path, [[1.0, 2.0]])
    for pairs in (0, 3):
        with pytest.raises(ConfigError, match="the pool has 2"):
            curve.t(pairs)
