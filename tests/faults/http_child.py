"""A gateway in a process of its own, so that its memory can be measured: prints where it is, serves until stdin ends."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import logging
import sys

import structlog

from adapters.http.limits import UNPACED
from gateway.usecases import Options
from tests.county import ALVESTA
from tests.faults.http_peers import served

MEGABYTE = 1_000_000


async def main() -> None:
    async with served(
        dataclasses.replace(UNPACED, request_s=2.0), real_time=True, options=Options(attachment_max_bytes=2 * MEGABYTE)
    ) as site:
        token = await site.token("al-sos")
        worker = await site.county.gateway.sessions.authenticate(token)
        case, _ = await site.county.consented_case(worker)
        draft = await site.county.gateway.drafts.create(worker, ALVESTA, case.id, "placement_referral", 1, {})
        print(json.dumps({"port": site.port, "token": token, "draft": draft.id, "case": case.id}), flush=True)
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        await reader.read()


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
