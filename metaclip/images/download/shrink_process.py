"""The process that shrinks pictures: `-m metaclip.images.download.shrink_process SIZE MODE MAX_PIXELS`, on a socket.

It may take so much memory beyond what it has when it is ready, reads nothing but its input, and connects nowhere.
"""

import struct
import sys

REQUEST = struct.Struct("<I")
"""Number of bytes of the picture."""
REPLY = struct.Struct("<II4I32sI")
"""Number of bytes of the reason and of the stored picture; widths and heights; SHA-256; bytes of the EXIF plus one."""


def main() -> None:
    """Shrink pictures until the input ends."""
    from metaclip.images.decoding_process import bound_memory
    from metaclip.images.download.shrink import shrink

    size, mode, max_pixels = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    bound_memory()
    while header := source.read(REQUEST.size):
        data = source.read(REQUEST.unpack(header)[0])
        found = shrink(data, size, mode, max_pixels)
        reason, exif = found.reason.encode(), b"" if found.exif is None else found.exif.encode()
        sides = (found.width, found.height, found.original_width, found.original_height)
        told = 0 if found.exif is None else len(exif) + 1
        sink.write(REPLY.pack(len(reason), len(found.picture), *sides, found.sha256, told))
        sink.write(reason + found.picture + exif)
        sink.flush()


if __name__ == "__main__":
    main()
