"""`metaclip metadata build` and `show`: the list of entries."""

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.common import ConfigPath, Json, Override, emit, errors, prefect
from flows.cli.show import metadata as show
from metaclip.errors import ConfigError

app = typer.Typer(help="The list of entries: build it from its sources, or show it.", no_args_is_help=True)


@app.command("build", epilog="Example: metaclip metadata build my.yaml")
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
        with prefect(as_json, "flows.metadata") as flow:
            summary = flow.build_metadata(checked, names)
        emit(summary, as_json, show.show_build)


@app.command("show", epilog="Example: metaclip metadata show entries.txt")
def show_list(
    config: Annotated[
        str, typer.Argument(metavar="CONFIG|LIST", help="A YAML configuration, or a list: .txt, .json or .parquet.")
    ],
    language: Annotated[
        str | None, typer.Option(help="With lists by language: the group whose list is shown, such as zh.")
    ] = None,
    entry: Annotated[str | None, typer.Option(help="Show id, source and score of this entry only.")] = None,
    samples: Annotated[int, typer.Option(min=1, help="Number of entries of each source to show.")] = 5,
    override: Override = None,
    as_json: Json = False,
) -> None:
    """Show sizes by source and samples of a list of entries, or one entry; of a configuration, or of any list."""
    from metaclip.config.loading import load_config
    from metaclip.lists.show import describe_list, find_in_list
    from metaclip.metadata.jobs import one_plan
    from metaclip.metadata.show import describe, find_entry, require
    from metaclip.store.store import Store

    with errors(as_json):
        if Path(config).suffix.lower() not in (".yaml", ".yml"):
            if override or language is not None:
                raise ConfigError("--set and --language are for a configuration, and this is a list")
            found = describe_list(config, samples) if entry is None else find_in_list(config, entry)
        else:
            checked = load_config(Path(config), override or [])
            store = Store(checked.storage)
            listed = require(one_plan(checked, language).job.find(store))
            found = describe(store, listed, samples) if entry is None else find_entry(store, listed, entry)
        emit(found, as_json, show.show_list if entry is None else show.show_entry)


@app.command("variants", epilog="Example: metaclip metadata variants entries.txt --to more.txt --plural")
def add_variants(
    entries: Annotated[str, typer.Argument(metavar="LIST", help="A list of entries, in any form that a run reads.")],
    to: Annotated[str, typer.Option(help="The new list: a .txt, .json or .parquet file.")],
    case: Annotated[bool, typer.Option(help="Add lower case, capitals, and first letters as capitals.")] = True,
    plural: Annotated[bool, typer.Option(help="Add English plurals, or singulars.")] = False,
    spacing: Annotated[bool, typer.Option(help="Add spellings with a space more or fewer.")] = False,
    as_json: Json = False,
) -> None:
    """Write a list with other spellings of its entries added; entries that are there keep their ids."""
    from metaclip.lists.add_variants import write_variants

    with errors(as_json):
        emit(write_variants(entries, to, case=case, plural=plural, spacing=spacing), as_json, show.show_variants)
