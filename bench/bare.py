"""The bare server of P6: a file streamed to the disk and synced, a file sent as it lies there; no more than that.

Why this exists: it is what receiving and sending a file costs this server library and this machine over TLS, so the
ratio says what sealing, checking and the log cost. It takes the same multipart form as the product.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Final

from aiohttp import BodyPartReader, web

from bench import tls
from bench.child import answer, quiet

PIECE: Final = 256 * 1024


class Bare:
    def __init__(self, folder: Path) -> None:
        self._path = folder / "bare.bin"

    async def put(self, request: web.Request) -> web.Response:
        part = await (await request.multipart()).next()
        if not isinstance(part, BodyPartReader):
            return web.Response(status=400)
        with self._path.open("wb") as file:
            while piece := await part.read_chunk(PIECE):
                await asyncio.to_thread(file.write, piece)
            file.flush()
            await asyncio.to_thread(os.fsync, file.fileno())
        return web.Response(status=201)

    async def get(self, request: web.Request) -> web.StreamResponse:
        """Piece by piece: over TLS the library's own file response takes three times as long."""
        response = web.StreamResponse(headers={"Content-Length": str(self._path.stat().st_size)})
        await response.prepare(request)
        with self._path.open("rb") as file:
            while piece := await asyncio.to_thread(file.read, PIECE):
                await response.write(piece)
        return response


async def main(folder: Path) -> None:
    bare = Bare(folder)
    app = web.Application(client_max_size=2 * 1024**3)
    app.router.add_post("/file", bare.put)
    app.router.add_get("/file", bare.get)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls.server(folder / "tls.pem")).start()

        async def port() -> int:
            return int(runner.addresses[0][1])

        await answer({"port": port})
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    quiet()
    asyncio.run(main(Path(sys.argv[1])))
