"""Files to measure with: pictures of any size, whole enough for the look that the gateway takes at each file."""

from __future__ import annotations

import secrets
import struct
import zlib
from collections.abc import Iterator
from typing import Final

PIECE: Final = secrets.token_bytes(256 * 1024)


def picture(size: int) -> tuple[bytes, bytes]:
    """What stands before and after noise to make a PNG of `size` octets (PNG §5.3)."""
    header = struct.pack("!LLBBBBB", 1, 1, 8, 0, 0, 0, 0)
    noise = size - 8 - 3 * 12 - len(header)
    head = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + struct.pack("!L", noise) + b"IDAT"
    return head, bytes(4) + _chunk(b"IEND", b"")


def picture_in_pieces(size: int) -> Iterator[bytes]:
    """The same with its noise, in pieces."""
    head, tail = picture(size)
    yield head
    for at in range(len(head), size - len(tail), len(PIECE)):
        yield PIECE[: size - len(tail) - at]
    yield tail


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack("!L", len(data)) + kind + data + struct.pack("!L", zlib.crc32(kind + data))
