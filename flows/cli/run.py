"""`metaclip run` and `metaclip rebalance`: from a configuration, or a finished pool, to a set."""

from enum import StrEnum
from typing import Annotated

import typer

from flows.cli.common import ConfigPath, Json, Override, Storage, emit, errors, prefect, threshold
from flows.cli.show.summary import show_summary
from flows.cli.show.trackers import log_summary, require
from metaclip.errors import ConfigError

Log = Annotated[
    str | None, typer.Option(metavar="TRACKER", help="Send the figures of the summary to wandb, tensorboard or mlflow.")
]


class Stage(StrEnum):
    """The stages, for `--until`."""

    METADATA = "metadata"
    EXTRACT = "extract"
    MATCH = "match"
    DEDUP = "dedup"
    COUNT = "count"
    BALANCE = "balance"
    CURATE = "curate"
    REPORT = "report"


def run(
    config: ConfigPath,
    override: Override = None,
    until: Annotated[Stage, typer.Option(help="The last stage to run.")] = Stage.REPORT,
    log: Log = None,
    as_json: Json = False,
) -> None:
    """Curate a pool; outputs of earlier runs in the store are used again."""
    from metaclip.config.loading import load_config
    from metaclip.prepare.jobs import check

    with errors(as_json):
        tracker = None if log is None else require(log)
        checked = load_config(config, override or [])
        check(checked)  # checked first, because Prefect takes seconds to start
        with prefect(as_json):
            from flows.curate import curate

            summary = curate(checked, until.value)
        if tracker is not None:
            log_summary(tracker, summary)
        emit(summary, as_json, show_summary)


def rebalance(
    pool: Annotated[str, typer.Argument(help="Name of a finished pool.")],
    storage: Storage,
    t: Annotated[
        str | None, typer.Option(help="Entries with more than t matches are sampled down; inf keeps all.")
    ] = None,
    target_pairs: Annotated[
        int | None, typer.Option(min=1, help="Instead of t: the size of the set; uses the smallest t that reaches it.")
    ] = None,
    tail_share: Annotated[
        float | None, typer.Option(help="Instead of t: the share of all matches that the tail has.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the draws; default: the pool's (survivors: +1).")] = None,
    survivors: Annotated[
        list[str] | None,
        typer.Option(help="Only pairs named here: img2dataset's output, or lists of uids or addresses. Repeatable."),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--as", help="Name of the survivors' pool; default: POOL-survivors.")
    ] = None,
    log: Log = None,
    as_json: Json = False,
) -> None:
    """Curate a finished pool at another t, in seconds, or count and balance its survivors."""
    from metaclip.io.addresses.credentials import hide
    from metaclip.pool.record import read_record, survivors_name
    from metaclip.store.store import Store
    from metaclip.survivors.lists import survivor_files

    with errors(as_json):
        tracker = None if log is None else require(log)
        given = [option for option in (t, target_pairs, tail_share) if option is not None]
        if len(given) != 1:
            raise ConfigError("give exactly one of --t, --target-pairs and --tail-share")
        if tail_share is not None and not 0 < tail_share <= 1:
            raise ConfigError(f"--tail-share {tail_share}: must be above 0 and at most 1")
        chosen = threshold(t)
        # These checks come first, because Prefect takes seconds to start.
        read_record(Store(storage), pool)
        if survivors:
            survivors = [hide(path) for path in survivors]
            survivor_files(survivors)
            survivors_name(Store(storage), pool, name)
        elif name:
            raise ConfigError("--as names the survivors' pool: give --survivors too")
        with prefect(as_json):
            from flows.rebalance import rebalance as flow

            summary = flow(
                pool, storage, chosen, target_pairs, tail_share, seed, survivors=survivors, survivors_name=name
            )
        if tracker is not None:
            log_summary(tracker, summary)
        emit(summary, as_json, show_summary)
