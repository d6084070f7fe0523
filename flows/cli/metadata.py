"""`metaclip metadata build` and `show`: the list of entries."""

from typing import Annotated

import typer

from flows.cli.common import ConfigPath, Json, Override, emit, errors, prefect
from flows.cli.show import metadata as show

app = typer.Typer(help="The list of entries: build it from its sources, or show it.", no_args_is_help=True)


@app.command("build")
def build_list(
    config: ConfigPath,
    override: Override = None,
    languages: Annotated[
        str | None, typer.Option(help="Only the lists of these groups of languages, such as de,zh.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Build the list of entries of a pool; counts of an earlier run are used again."""
    from metaclip.config.loading import load_config
    from metaclip.metadata.jobs import metadata_plans

    with errors(as_json):
        checked = load_config(config, override or [])
        names = None if languages is None else sorted({name.strip() for name in languages.split(",") if name.strip()})
        metadata_plans(checked, names)
        with prefect(as_json):
            from flows.metadata import build_metadata

            summary = build_metadata(checked, names)
        emit(summary, as_json, show.show_build)


@app.command("show")
def show_list(
    config: ConfigPath,
    language: Annotated[
        str | None, typer.Option(help="With lists by language: the group whose list is shown, such as zh.")
    ] = None,
    entry: Annotated[str | None, typer.Option(help="Show id, source and score of this entry only.")] = None,
    samples: Annotated[int, typer.Option(min=1, help="Number of entries of each source to show.")] = 5,
    override: Override = None,
    as_json: Json = False,
) -> None:
    """Show sizes by source and samples of the list of entries, or one entry."""
    from metaclip.config.loading import load_config
    from metaclip.metadata.jobs import one_plan
    from metaclip.metadata.show import describe, find_entry, require
    from metaclip.store.store import Store

    with errors(as_json):
        checked = load_config(config, override or [])
        store = Store(checked.storage)
        found = require(one_plan(checked, language).job.find(store))
        described = describe(store, found, samples) if entry is None else find_entry(store, found, entry)
        emit(described, as_json, show.show_list if entry is None else show.show_entry)
