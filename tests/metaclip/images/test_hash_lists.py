"""`metaclip images hash`: pictures of every kind of place, and archives that are not what they claim."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from metaclip.images.hash_lists import hash_pictures
from tests.pictures import encoded, picture


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary_view()])
def test_pictures_of_a_parquet_file(tmp_path: Path, kind: pa.DataType) -> None:
    pq.write_table(pa.table({"image": pa.array([encoded(picture(1))]).cast(kind)}), tmp_path / "a.parquet")
    done = hash_pictures(str(tmp_path / "a.parquet"), str(tmp_path / "hashes.parquet"))
    assert done["status"] == {"ok": 1}
