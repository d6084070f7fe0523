"""Balance: the smallest t at which each pair of a partition is kept."""

from metaclip.config import Config
from metaclip.manifest import Reference
from metaclip.stages.balance import BalanceJob
from tasks.checkpoint import checkpointed


@checkpointed("balance")
def balance(config: Config, partition: Reference, counts: Reference) -> BalanceJob:
    """Sort one partition by min_t; no t is chosen yet."""
    return BalanceJob(partition, counts, config.balance.seed)
