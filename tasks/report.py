"""Report: the funnel and the entries, as files and as artifacts of the run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact

from metaclip.config.settings import Config
from metaclip.processes.shell import command
from metaclip.report.job import ReportJob
from metaclip.report.words import STEPS, markdown, reason
from tasks.artifacts import PATIENCE_SECONDS, artifact_key, show
from tasks.checkpoint import checkpointed


@checkpointed("report")
def report(config: Config, job: ReportJob) -> ReportJob:
    """Write the report, the files of its parts, and the data card."""
    return job


def publish(config: Config, address: str, content: Mapping[str, Any]) -> None:
    """Show a report in the run: the funnel as text, the top entries as a table, and the address of the page."""
    show("the report", lambda: _publish(config, address, content), PATIENCE_SECONDS)


def _publish(config: Config, address: str, content: Mapping[str, Any]) -> None:
    pool = config.pool
    steps = "\n".join(
        f"| {name} | {content['funnel'][step]:,} |" for step, name in STEPS.items() if step in content["funnel"]
    )
    dropped = "\n".join(f"| {markdown(reason(name))} | {count:,} |" for name, count in content["dropped"].items())
    create_markdown_artifact(
        f"# Pool {markdown(pool)}, t = {content['t']}\n\n| step | count |\n|---|---:|\n{steps}\n\n"
        f"## Left out\n\n| what | count |\n|---|---:|\n{dropped}\n",
        key=artifact_key(pool, "funnel"),
        description=f"From files to curated pairs, pool {pool}",
    )
    create_link_artifact(
        address if "://" in address else Path(address).absolute().as_uri(),
        link_text=markdown(address),
        key=artifact_key(pool, "report"),
        # A browser opens no local file and no S3 object from a page of the Prefect server.
        description=(
            f"Everything counted about pool {pool} at t = {content['t']}; to open it:"
            f" `{command('metaclip', 'report', pool, '--storage', config.storage, '--t', content['t'], '--open')}`"
        ),
    )
    create_table_artifact(
        # Prefect's page renders the cells of a table as Markdown, so an unescaped entry could be a link or an image.
        [{**row, "entry": markdown(row["entry"])} for row in content["top_entries"][:50]],
        key=artifact_key(pool, "top-entries"),
        description=f"Entries with the most matches before and after balancing at t = {content['t']}",
    )
