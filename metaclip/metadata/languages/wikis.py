"""Addresses that are told once for all Wikipedias: `{wiki}` stands for the code of each wiki of a group."""

from collections.abc import Iterable, Sequence

from metaclip.config.metadata import EntrySources
from metaclip.errors import ConfigError

WIKI = "{wiki}"
"""The code of a wiki as it is in domains of page views: `zh-classical`."""

DATABASE = "{database}"
"""The name of a wiki's database as it is in dumps, without `wiki` at its end: `zh_classical`."""

_DATABASES = {"be-tarask": "be_x_old"}
"""Names of databases that are not made from the code."""


def database_of(wiki: str) -> str:
    """Return the name of a wiki's database without `wiki` at its end."""
    return _DATABASES.get(wiki, wiki.replace("-", "_"))


def for_wikis(settings: EntrySources, wikis: Sequence[str], group: str) -> EntrySources:
    """Return the settings of a group's list with the codes of its wikis in paths and domains.

    Raises:
        ConfigError: a path or domain has a placeholder, and the group has no wiki.
    """
    named = [*settings.words.paths, *settings.pairs.paths, *settings.titles.paths, *settings.titles.domains]
    if not any(WIKI in name or DATABASE in name for name in named):
        return settings
    if not wikis:
        raise ConfigError(
            f"metadata.languages.{group}: {WIKI} stands for the wikis of the group, which has none;"
            f" name them in languages.groups.{group}.wikis"
        )

    def filled(names: Iterable[str]) -> list[str]:
        found = (name.replace(WIKI, wiki).replace(DATABASE, database_of(wiki)) for name in names for wiki in wikis)
        return list(dict.fromkeys(found))

    titles = settings.titles.model_copy(
        update={"paths": filled(settings.titles.paths), "domains": filled(settings.titles.domains)}
    )
    return settings.model_copy(
        update={
            "words": settings.words.model_copy(update={"paths": filled(settings.words.paths)}),
            "pairs": settings.pairs.model_copy(update={"paths": filled(settings.pairs.paths)}),
            "titles": titles,
        }
    )
