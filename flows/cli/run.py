"""`metaclip run` and `metaclip rebalance`: from a configuration, or a finished pool, to a set."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from flows.cli.common import ConfigPath, Json, Override, Storage, emit, errors, prefect, threshold
from flows.cli.server.ahead import server_ahead
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
    with errors(as_json), server_ahead():
        from metaclip.config.loading import load_config
        from metaclip.prepare.jobs import check

        tracker = None if log is None else require(log)
        checked = load_config(config, override or [])
        check(checked)  # checked first, because Prefect takes seconds to start
        with prefect(as_json, "flows.curate", checked) as flow:
            summary = flow.curate(checked, until.value)
        emit(summary, as_json, show_summary)
        if tracker is not None:
            log_summary(tracker, summary)


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
    language_t: Annotated[
        str | None,
        typer.Option(help="Of a pool by language: these languages at a t of their own, such as de=500,fr=700."),
    ] = None,
    images: Annotated[
        str | None,
        typer.Option(help="Only pairs whose picture, downloaded to this folder, passes the filter and is no copy."),
    ] = None,
    override: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="With --images: such as images.filter.min_side=200."),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option("--as", help="Name of the pool of what is left; default: POOL-survivors or POOL-images."),
    ] = None,
    log: Log = None,
    as_json: Json = False,
) -> None:
    """Curate a finished pool at another t, in seconds, or count and balance its survivors."""
    with errors(as_json), server_ahead():
        from metaclip.config.settings import Config
        from metaclip.explore.by_language import check_language_t, parse_language_t
        from metaclip.io.addresses.credentials import hide
        from metaclip.pool.record import read_record, survivors_name
        from metaclip.store.store import Store
        from metaclip.survivors.lists import survivor_files

        tracker = None if log is None else require(log)
        given = [option for option in (t, target_pairs, tail_share) if option is not None]
        own = None if language_t is None else parse_language_t(language_t)
        if own is not None and (target_pairs is not None or tail_share is not None or survivors or seed is not None):
            raise ConfigError("--language-t goes with --t alone, which is for the other languages")
        if len(given) != 1 and own is None:
            raise ConfigError("give exactly one of --t, --target-pairs and --tail-share")
        if tail_share is not None and not 0 < tail_share <= 1:
            raise ConfigError(f"--tail-share {tail_share}: must be above 0 and at most 1")
        chosen = threshold(t)
        # These checks come first, because Prefect takes seconds to start.
        recorded = read_record(Store(storage), pool)
        if own is not None:
            check_language_t(Config.model_validate(recorded["config"]), own)
        settings = None
        if override and not images:
            raise ConfigError("--set changes settings of pictures: give --images too")
        if images and survivors:
            raise ConfigError("give --images or --survivors, not both; one can follow on the pool of the other")
        if images and recorded["config"]["metadata"].get("languages"):
            raise ConfigError("--images is for pools with one list of entries; this one has lists by language")
        if images:
            settings = _image_settings(recorded["config"], images, override or [])
            survivors_name(Store(storage), pool, name or f"{pool}-images")
        elif survivors:
            survivors = [hide(path) for path in survivors]
            survivor_files(survivors)
            survivors_name(Store(storage), pool, name)
        elif name:
            raise ConfigError("--as names the survivors' pool: give --survivors or --images too")
        with prefect(as_json, "flows.rebalance") as flow:
            summary = flow.rebalance(
                pool,
                storage,
                chosen,
                target_pairs,
                tail_share,
                seed,
                survivors=survivors,
                survivors_name=name,
                language_t=own,
                images=images,
                image_settings=settings,
            )
        emit(summary, as_json, show_summary)
        if tracker is not None:
            log_summary(tracker, summary)


def _image_settings(tree: dict[str, Any], images: str, overrides: list[str]) -> Any:
    """Return the settings of pictures, checked before Prefect starts."""
    from metaclip.config.loading import override_tree, parse_config
    from metaclip.images.decoder import require_pillow
    from metaclip.images.dedup.filter_job import FilterFiles
    from metaclip.images.downloaded import downloaded_files

    require_pillow()
    downloaded_files(images)
    for each in overrides:
        if not each.strip().startswith("images."):
            raise ConfigError(f"--set {each}: only settings of pictures can be set here, such as images.dedup.radius=8")
    settings = parse_config(override_tree(tree, overrides), "rebalance").images
    FilterFiles.of(settings.filter)
    return settings
