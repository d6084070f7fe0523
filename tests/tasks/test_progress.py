"""The progress of a run: what its artifact says."""

from datetime import UTC, datetime, timedelta

import pytest

from metaclip.pool.run_log import StageState
from tasks.progress import told

NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("total", "left"),
    [(400, "200.0 a minute, 1 min left, until about 2026-01-05 12:01 UTC"), (48_200, "4 h 0 min left")],
)
def test_rate_time_left_and_end_are_told(total: int, left: str) -> None:
    state = StageState(total=total, done=300, cached=100, started=NOW, updated=NOW + timedelta(minutes=1))
    text = told("extract", state)
    assert text.startswith(f"extract: 300 of {total:,} done (100 found in the store); 200.0 a minute, ")
    assert left in text
