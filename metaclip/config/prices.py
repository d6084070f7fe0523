"""The part of the configuration for prices: what a run costs in dollars, which its provider alone knows."""

from pydantic import Field

from metaclip.config.base import Model


class Prices(Model):
    """Prices in dollars, by which runs and estimates say what they cost. Nothing here changes a result or a key."""

    core_hour: float | None = Field(default=None, ge=0)
    """An hour of one core."""
    gigabyte_month: float | None = Field(default=None, ge=0)
    """A month of a gigabyte (1e9 bytes) in the store."""
    thousand_requests: float | None = Field(default=None, ge=0)
    """A thousand requests to the store."""
    gigabyte_out: float | None = Field(default=None, ge=0)
    """A gigabyte that workers read from the store. Leave it out where they run in the store's region, which is free."""
