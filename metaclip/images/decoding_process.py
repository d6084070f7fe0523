"""The process that decodes: `-m metaclip.images.decoding_process MAX_PIXELS MAX_BYTES`, pictures on its input.

It may take `MEMORY_BYTES` of memory beyond what it has when it is ready, so that a picture that wants more is refused
instead of taking the machine's. It reads nothing but its input, and connects nowhere.
"""

import struct
import sys
from contextlib import suppress
from pathlib import Path

REQUEST = struct.Struct("<I4I")
"""Number of bytes of the picture, then its box."""
REPLY = struct.Struct("<BIIQ32sB48s")
"""Status, width, height, pixels, area64, quality, colour."""
MEMORY_BYTES = 512 << 20


def main() -> None:
    """Describe pictures until the input ends."""
    from metaclip.images.decoding import STATUSES, Bounds, inspect

    bounds = Bounds(int(sys.argv[1]), int(sys.argv[2]))
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    bound_memory()
    while header := source.read(REQUEST.size):
        size, *box = REQUEST.unpack(header)
        found = inspect(source.read(size), (box[0], box[1], box[2], box[3]), bounds)
        content = found.content
        sink.write(
            REPLY.pack(
                STATUSES.index(found.status),
                found.width,
                found.height,
                content.pixels,
                content.area64,
                content.quality,
                content.colour,
            )
        )
        sink.flush()


def bound_memory() -> None:
    """Refuse memory beyond `MEMORY_BYTES` more; only where the system tells how much there is (Linux)."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + MEMORY_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


if __name__ == "__main__":
    main()
