"""What was made from an altered file is not trusted after the file was made again.

A key depends on what an output is made from, not on its bytes. So an output that was made while one of its inputs
was altered has the key of the right one, and would stand for ever. Outputs of this version compare all that they
read, and say so in their manifest (`inputs_compared`); those of earlier versions may have read what was altered.
"""

import logging
import re
from collections import defaultdict
from collections.abc import Collection
from pathlib import PurePosixPath

from metaclip.io.storage.files import side_by_side
from metaclip.store.manifest import MANIFEST, Manifest
from metaclip.store.store import Store

STAGE_FOLDER = re.compile(r"[a-z][a-z0-9_-]*-v\d+")
"""The folder of a stage's outputs, directly under the root."""

logger = logging.getLogger(__name__)


def doubtful(store: Store, altered: Collection[str]) -> list[str]:
    """Return the addresses of the manifests of outputs that may have been made from altered ones, given by key.

    An output that did not compare what it read of an altered one is doubtful, and so is everything made from a
    doubtful one. A set is in doubt if one of its parts is.
    """
    if not altered:
        return []
    made_from: dict[str, list[tuple[str, Manifest]]] = defaultdict(list)
    for address, manifest in _manifests(store):
        for key in set(manifest.inputs):
            made_from[key].append((address, manifest))
    found: set[str] = set()
    waiting = [(key, False) for key in altered]
    while waiting:
        key, is_doubtful = waiting.pop()
        for address, manifest in made_from.get(key, ()):
            if (is_doubtful or not manifest.inputs_compared) and address not in found:
                found.add(address)
                folder = PurePosixPath(address).parent
                found.add(str(folder / MANIFEST))
                waiting += [(manifest.key, True), (folder.name, True)]
    return sorted(address for address in found if store.read(address) is not None)


def distrust(store: Store, altered: str) -> None:
    """Remove the manifests of what may have been made from an altered output, so that it is made again."""
    for address in doubtful(store, [altered]):
        logger.warning(
            "%s: may have been made from an altered file, before such files were noticed; it is made again",
            store.address(str(PurePosixPath(address).parent)),
        )
        # The manifest of a set sorts before those of its parts, and one that is left is found the next time.
        store.remove(address)


def _manifests(store: Store) -> list[tuple[str, Manifest]]:
    """Return all manifests of the store that can be read, with their addresses."""
    stages = [name for name in store.folders() if STAGE_FOLDER.fullmatch(name)]
    listed = [file.path for files in side_by_side(store.files, stages) for file in files]
    addresses = [path for path in listed if path.endswith(MANIFEST)]

    def read(address: str) -> tuple[str, Manifest] | None:
        content = store.read(address)
        try:
            return None if content is None else (address, Manifest.parse(address, content))
        except ValueError:
            return None  # whoever looks for the output makes it again

    return [each for each in side_by_side(read, addresses) if each is not None]
