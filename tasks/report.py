"""Report: the funnel and the entries, as a file and as artifacts of the run."""

from collections.abc import Mapping
from typing import Any

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from metaclip.config import Config
from metaclip.stages.report import ReportJob
from tasks.checkpoint import checkpointed


@checkpointed("report")
def report(config: Config, job: ReportJob) -> ReportJob:
    """Write `report.json`."""
    return job


def publish(pool: str, address: str, content: Mapping[str, Any]) -> None:
    """Show a report in the run: the funnel as text, the top entries as a table."""
    key = "".join(letter if letter.isalnum() else "-" for letter in pool.lower()).strip("-")
    steps = "\n".join(f"| {step.replace('_', ' ')} | {count:,} |" for step, count in content["funnel"].items())
    dropped = "\n".join(f"| {reason} | {count:,} |" for reason, count in content["dropped"].items())
    create_markdown_artifact(
        f"# Pool {pool}, t = {content['t']}\n\n| step | count |\n|---|---:|\n{steps}\n\n"
        f"## Left out\n\n| reason | count |\n|---|---:|\n{dropped}\n\nReport: `{address}`\n",
        key=f"{key}-funnel",
        description=f"From files to curated pairs, pool {pool}",
    )
    create_table_artifact(
        content["top_entries"][:50],
        key=f"{key}-top-entries",
        description=f"Entries with the most matches before and after balancing at t = {content['t']}",
    )
