"""Languages with a t of their own: which pairs of a pool by language a set of these needs."""

from collections.abc import Mapping

from metaclip.config.settings import Config
from metaclip.errors import ConfigError
from metaclip.stages.curate import OwnT
from metaclip.stages.group_counts import ByLanguage, GroupCounts
from metaclip.store.manifest import Reference
from metaclip.store.store import Store


def parse_language_t(given: str) -> dict[str, float]:
    """Read `de=500,fr=inf`.

    Raises:
        ConfigError: it is of another form.
    """
    found: dict[str, float] = {}
    for one in given.split(","):
        name, _, t = one.partition("=")
        try:
            value = float(t)
        except ValueError:
            value = 0.0
        if not name.strip() or not value > 0 or name.strip() in found:
            raise ConfigError(f"--language-t {given}: give each language once with a t above 0, such as de=500,fr=700")
        found[name.strip()] = value
    return found


def check_language_t(config: Config, language_t: Mapping[str, float]) -> ByLanguage:
    """Check that a pool has these languages; return its groups and rule.

    Raises:
        ConfigError: it has one list for all texts, or not all of them.
    """
    by_language = ByLanguage.of(config.groups, config.balance)
    if by_language is None:
        raise ConfigError(f"pool {config.pool!r} has one list for all texts: give --t in place of --language-t")
    names = by_language.groups.names
    if unknown := sorted(set(language_t) - set(names)):
        raise ConfigError(f"--language-t: no language {', '.join(unknown)} in this pool; there: {', '.join(names)}")
    return by_language


def own_t(config: Config, store: Store, counts: Reference, language_t: Mapping[str, float]) -> OwnT:
    """Return languages with a t of their own, and how far the pairs of the set reach; the others are cut at the pool's.

    Raises:
        ConfigError: as `check_language_t`.
    """
    found = GroupCounts(store, counts, check_language_t(config, language_t))
    prefix = found.prefix(config.balance.threshold, language_t)
    return OwnT(tuple(sorted(language_t.items())), prefix)
