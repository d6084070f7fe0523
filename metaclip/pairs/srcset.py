"""The references of a `srcset` attribute, the largest image first."""

import re

_SRCSET_URL = re.compile(r"[\s,]*([^\s,]\S*)")
_SRCSET_DESCRIPTORS = re.compile(r"(?:[^,(]|\([^)]*\)?)*")
_WIDTH = re.compile(r"[0-9]+w")
_HEIGHT = re.compile(r"[0-9]+h")
_DENSITY = re.compile(r"-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?x")


def srcset_candidates(srcset: str) -> list[str]:
    """Return the references of a srcset, the largest first, and equal ones in their order.

    It is read as in the HTML standard (4.8.4.3.9, "Parsing a srcset attribute"). Candidates with
    descriptors that the standard forbids are dropped. The size is the width descriptor, or else the
    density, or else 1. The largest is used because training can shrink an image, but not enlarge it.
    """
    candidates: list[tuple[float, str]] = []
    position = 0
    while match := _SRCSET_URL.match(srcset, position):
        reference = match[1]
        position = match.end()
        descriptors: list[str] = []
        if reference.endswith(","):
            reference = reference.rstrip(",")
        else:
            if tail := _SRCSET_DESCRIPTORS.match(srcset, position):
                position = tail.end()
                descriptors = tail[0].split()
        size = _size(descriptors)
        if reference and size is not None:
            candidates.append((size, reference))
    candidates.sort(key=lambda candidate: -candidate[0])
    return [reference for _, reference in candidates]


def _size(descriptors: list[str]) -> float | None:
    width: float | None = None
    density: float | None = None
    height = False
    for descriptor in descriptors:
        if _WIDTH.fullmatch(descriptor) and width is None and density is None:
            width = float(descriptor[:-1])
        elif _DENSITY.fullmatch(descriptor) and width is None and density is None and not height:
            density = float(descriptor[:-1])
        elif _HEIGHT.fullmatch(descriptor) and not height and density is None:
            height = True
        else:
            return None
    if width == 0 or (density is not None and density < 0) or (height and width is None):
        return None
    return width if width is not None else 1.0 if density is None else density
