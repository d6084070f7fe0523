"""The data card's own figures."""

import pytest

from metaclip.report.card import size_category


@pytest.mark.parametrize(
    ("pairs", "category"),
    [(0, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (2_500_000_000, "1B<n<10B"), (10**13, "n>1T")],
)
def test_size_categories(pairs: int, category: str) -> None:
    assert size_category(pairs) == category
