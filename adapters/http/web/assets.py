"""The files that pages load: read once, compressed once, and served under an address that names their content.

Why this exists: a browser may keep a file for ever when its address changes with its content, so the address holds a
digest. Pages themselves are never compressed: they carry tokens beside what a stranger may have chosen (BREACH).
"""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import web

STATIC: Final = Path(__file__).parent.parent / "static"
PREFIX: Final = "/static/"
TEMPLATE: Final = PREFIX + "{digest}/{name}"
TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file: its address, its octets and the same compressed."""

    url: str
    kind: str
    octets: bytes
    packed: bytes


class Assets:
    """All files of `static`, by name; the names of both folders share one space."""

    def __init__(self, folder: Path = STATIC) -> None:
        self._by_name: dict[str, Asset] = {}
        for path in sorted([*folder.iterdir(), *(folder / "vendor").iterdir()]):
            if path.suffix in TYPES:
                octets = path.read_bytes()
                digest = hashlib.sha256(octets).hexdigest()[:16]
                packed = gzip.compress(octets, mtime=0)
                self._by_name[path.name] = Asset(f"{PREFIX}{digest}/{path.name}", TYPES[path.suffix], octets, packed)

    def url(self, name: str) -> str:
        """Where `name` is served. A KeyError is a template that names a file that is not there."""
        return self._by_name[name].url

    def packed_size(self) -> int:
        """What a first visit loads, compressed."""
        return sum(len(asset.packed) for asset in self._by_name.values())

    async def serve(self, request: web.Request) -> web.Response:
        """One file; only the digest of today is an address."""
        asset = self._by_name.get(request.match_info["name"])
        if asset is None or asset.url != request.path:
            raise web.HTTPNotFound
        headers = {
            "Content-Type": asset.kind,
            "Cache-Control": "public, max-age=31536000, immutable",
            "Vary": "Accept-Encoding",
        }
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            return web.Response(body=asset.packed, headers={**headers, "Content-Encoding": "gzip"})
        return web.Response(body=asset.octets, headers=headers)
