"""What a run took, in dollars."""

import pytest

from metaclip.config.prices import Prices
from metaclip.pool.cost import describe
from metaclip.processes.meter import Cost

COST = Cost(7200.0, 10**10, 5 * 10**9, 30_000, 20_000, 4 * 10**9)


def test_without_prices_there_are_no_dollars() -> None:
    described = describe(COST, Prices())
    assert "dollars" not in described
    assert described["core_seconds"] == 7200
    assert described["requests"] == 30_000


def test_each_price_is_for_what_it_says() -> None:
    prices = Prices(core_hour=0.04, gigabyte_month=0.023, thousand_requests=0.005, gigabyte_out=0.09)
    assert describe(COST, prices)["dollars"] == pytest.approx(
        {
            "cores": 2 * 0.04,
            "requests": 20 * 0.005,  # those to web servers cost nothing
            "out": 4 * 0.09,
            "total": 0.08 + 0.1 + 0.36,
            "storage_a_month": 5 * 0.023,
        }
    )


def test_a_price_of_nothing_is_a_price() -> None:
    assert describe(COST, Prices(gigabyte_out=0))["dollars"] == {"out": 0, "total": 0}
    assert describe(COST, Prices(gigabyte_month=0.02))["dollars"] == pytest.approx({"storage_a_month": 0.1})
