"""`metaclip demo` and `metaclip init`: a first run, and configurations to start from, which come with the package."""

from pathlib import Path
from typing import Annotated

import typer
import yaml

from flows.cli.common import Json, emit, errors, prefect
from flows.cli.server.ahead import server_ahead
from flows.cli.show.summary import show_summary
from metaclip.config.shipped import shipped_config, shipped_names
from metaclip.errors import ConfigError, StoreError
from metaclip.processes.plain_text import visible
from metaclip.processes.shell import command


def demo(
    folder: Annotated[Path, typer.Argument(help="Where the crawl and the pool go.")] = Path("demo-data"),
    as_json: Json = False,
) -> None:
    """Write a small crawl and curate it, end to end."""
    with errors(as_json), server_ahead():
        from metaclip.config.loading import parse_config
        from metaclip.demo import write_demo_crawl

        tree = yaml.safe_load(shipped_config("demo"))
        tree |= {"storage": str(folder / "pool"), "source": {"paths": [str(folder / "crawl/demo.paths")]}}
        config = parse_config(tree)
        try:
            crawl = write_demo_crawl(folder / "crawl")
        except OSError as error:
            raise StoreError(f"{folder}: cannot be written: {error}; name another folder") from error
        told = f"{crawl.pages} pages with {crawl.images} images: {crawl.paths}"
        typer.echo(visible(told), err=as_json)
        with prefect(as_json, "flows.curate", config) as flow:
            summary = flow.curate(config)
        emit(summary, as_json, show_summary)


def init(
    kind: Annotated[str, typer.Argument(help=f"Which: {', '.join(shipped_names())}.")],
    file: Annotated[Path | None, typer.Argument(help="The file to write; default: KIND.yaml.")] = None,
    as_json: Json = False,
) -> None:
    """Write a configuration to start from; a file that is there is left as it is."""
    with errors(as_json):
        path = file or Path(f"{kind}.yaml")
        text = shipped_config(kind, str(path))
        try:
            with path.open("x", encoding="utf-8") as written:
                written.write(text)
        except FileExistsError as error:
            raise ConfigError(f"{path}: is there already; name another file: metaclip init KIND FILE") from error
        except FileNotFoundError as error:
            raise ConfigError(f"{path}: there is no folder {path.parent}; make it, or name another file") from error
        except OSError as error:
            raise ConfigError(f"{path}: cannot be written: {error.strerror}; name another file") from error
        emit({"kind": kind, "path": str(path)}, as_json, _show_written)


def _show_written(done: dict[str, str]) -> None:
    what = ["metadata", "build"] if done["kind"].startswith("metadata") else ["run"]
    path = done["path"]
    typer.echo(f"wrote {visible(path)}; look through it, then: {command('metaclip', *what, path)}")
