"""The command `metaclip browse`: a page on a finished pool, on this machine alone."""

from typing import Annotated, Any

import typer
from rich.console import Console

from flows.cli.common import Json, Storage, emit, errors, prefect
from flows.cli.show.terminal import plain


def browse(
    pool: Annotated[str, typer.Argument(help="Name of a finished pool.")],
    storage: Storage,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; default: any that is free.")] = 0,
    images: Annotated[
        str | None,
        typer.Option(help="Of a pool of `rebalance --images`: the folder of its pictures, to show those of any pair."),
    ] = None,
    show: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    index_only: Annotated[bool, typer.Option("--index-only", help="Make the index, and serve nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Serve a page to look through a pool: its entries, texts, sizes, reasons; until it is interrupted."""
    from metaclip.explore.pool import FinishedPool

    with errors(as_json):
        from metaclip.browse.pictures import Pictures
        from metaclip.browse.pool_index import PoolIndex, index_jobs
        from metaclip.browse.server import BrowseServer, check_port, new_token

        check_port(port)
        opened = FinishedPool.open(storage, pool)
        pictures = Pictures(opened, images)
        jobs = index_jobs(opened)
        made = not all(job.find(opened.store) for job in jobs)
        if made:
            with prefect(as_json, "flows.browse") as flow:
                flow.make_index(pool, storage)
        told: dict[str, Any] = {"pool": pool, "partitions": len(jobs), "made": made}
        if index_only:
            emit(told, as_json, _show)
            return
        outputs = [output for job in jobs if (output := job.find(opened.store)) is not None]
        with Console(stderr=True, quiet=as_json).status("opening the index"):
            server = BrowseServer(opened, PoolIndex(opened, outputs), new_token(), port, pictures)
        thread = server.start()
        emit({**told, "url": server.url}, as_json, _show)
        if show:
            typer.launch(server.url)
        try:
            while thread.is_alive():
                thread.join(0.5)
        except KeyboardInterrupt:  # the usual end
            server.stop()
            thread.join(5)


def _show(told: dict[str, Any]) -> None:
    console = Console(soft_wrap=True)
    state = "made" if told["made"] else "found in the store"
    console.print(plain(f"index: {told['partitions']:,} partitions, {state}"))
    if "url" in told:
        console.print(plain(f"page:  {told['url']}"))
        console.print(plain("Its address holds the token; who has it may read this pool. Ctrl-C ends it."))
