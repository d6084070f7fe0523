"""Metadata: the entries to match and balance by."""

from collections.abc import Mapping
from typing import Any

from prefect.artifacts import create_table_artifact

from metaclip.config.settings import Config
from metaclip.metadata.build_job import BuildJob
from metaclip.metadata.list_job import MetadataJob
from metaclip.metadata.ngrams_job import NgramsJob
from metaclip.metadata.titles_job import TitlesJob
from tasks.artifacts import PATIENCE_SECONDS, artifact_key, show
from tasks.checkpoint import checkpointed


@checkpointed("ngrams")
def count_ngrams(config: Config, job: NgramsJob) -> NgramsJob:
    """Count the words and word pairs of one input file, or of a part of it."""
    return job


@checkpointed("titles")
def count_titles(config: Config, job: TitlesJob) -> TitlesJob:
    """Sum the views of titles in one file."""
    return job


@checkpointed("metadata")
def write_metadata(config: Config, job: MetadataJob | BuildJob) -> MetadataJob | BuildJob:
    """Write the list of entries, given or built, and the matcher's table."""
    return job


def publish_metadata(pool: str, statistics: Mapping[str, Any]) -> None:
    """Show the entries of each source in the Prefect UI, with the figures of the paper's Table 1."""
    rows = [
        {**row, "dropped": ", ".join(f"{reason} {count:,}" for reason, count in row["dropped"].items())}
        for row in statistics.get("table", [])
    ]

    def publish() -> None:
        create_table_artifact(
            rows or [{"source": "list", "entries": statistics["entries"]}],
            key=artifact_key(pool, "metadata"),
            description=f"Entries of pool {pool} by source, beside the paper's Table 1",
        )

    show("the table of entries", publish, PATIENCE_SECONDS)
