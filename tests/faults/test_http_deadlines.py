"""Callers who take their time (security.md §6, W08): each is cut at its bound and not before, on real connections.

The gateway's own looks at its connections are made by the test, with a clock of the test's: nothing here waits.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from adapters.http.limits import UNPACED
from tests.faults.http_peers import Served, served
from tests.faults.tally import tally

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]
BODY = b'{"login":"al-sos","password":"fel","code":"000000"}'


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kept() -> AsyncIterator[Served]:
    async with served() as found:
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def site(kept: Served) -> Served:
    """The one gateway of these tests, without what the test before left."""
    for peer in kept.peers:
        peer.close()
    kept.peers.clear()
    while len(kept.connections):
        await kept.settle()
    kept.connections.ended.clear()
    return kept


def counted(site: Served, **wanted: int) -> None:
    """What the gateway says that it cut."""
    tally("W08", cases=sum(wanted.values()))
    assert dict(site.connections.ended) == {name.replace("_", " "): number for name, number in wanted.items()}


@pytest.mark.parametrize("octets", [b"", b"G", b"GET / HTTP/1.1\r\nHost: localhost\r\nX-A", b"\r\n\r\n", b"POST /x"])
async def test_a_head_that_does_not_come_is_waited_for_ten_seconds(site: Served, octets: bytes) -> None:
    """W08: header 10 s; a connection that says nothing at all is idle, 60 s."""
    peer = await site.connect(octets or b"")
    await site.settle()
    await site.later(9)
    assert not await peer.is_cut(0.05)
    await site.later(2 if octets else 52)
    assert await peer.is_cut()
    counted(site, **({"slow_head": 1} if octets else {"idle": 1}))


async def test_a_head_of_one_octet_a_second_has_the_same_ten_seconds_and_no_more(site: Served) -> None:
    peer = await site.connect()
    for octet in site.request("GET", "/hjalp"):
        peer.writer.write(bytes([octet]))
        await asyncio.sleep(0.001)
        await site.later(1)
        if site.connections.ended:
            break
    assert await peer.is_cut()
    counted(site, slow_head=1)


async def test_a_slow_second_head_on_a_used_connection_is_no_better(site: Served) -> None:
    peer = await site.connect(site.request("GET", "/hjalp"))
    assert (await peer.answer()).status == 200
    await site.later(50)
    await peer.send(b"GET /hj")
    await site.settle()
    await site.later(11)
    assert await peer.is_cut()
    counted(site, slow_head=1)


async def test_a_body_must_come_at_a_kibibyte_a_second_after_ten_seconds_of_grace(site: Served) -> None:
    """W08: body min 1 KiB/s. Two callers: one sends 100 octets a second, the other 2 KiB."""
    head = site.request("POST", "/api/v1/sessions", Content_Type="application/json", Content_Length="16000")
    slow, steady = await site.connect(head), await site.connect(head)
    await site.settle()
    for _ in range(7):
        await slow.send(b" " * 100)
        await steady.send(b" " * 2_048)
        await site.later(1)
    assert not site.connections.ended
    for _ in range(5):
        if not site.connections.ended:
            await slow.send(b" " * 100)
            await site.later(1)
    assert await slow.is_cut()
    await steady.send(b" " * (16_000 - 7 * 2_048))
    assert (await steady.answer()).status == 422
    counted(site, slow_body=1)


async def test_a_stopped_upload_is_cut_and_gives_its_place_back(site: Served) -> None:
    token = await site.token("al-sos")
    worker = await site.county.gateway.sessions.authenticate(token)
    case, _ = await site.county.consented_case(worker)
    draft = await site.county.gateway.drafts.create(worker, "alvesta.ifo.vuxen", case.id, "placement_referral", 1, {})  # type: ignore[arg-type]
    head = site.request(
        "POST",
        f"/api/v1/drafts/{draft.id}/attachments",
        Authorization=f"Bearer {token}",
        Content_Type="multipart/form-data; boundary=x",
        Content_Length="90000000",
    )
    part = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.pdf"\r\n\r\n%PDF-1.7\n' + b"x" * 50_000
    peer = await site.connect(head + part)
    await site.settle()
    from adapters.http.admission import GATE

    assert site.app[GATE].running()["upload"] == 1
    await site.later(61)  # 60 s of these are paid for by the 50,000 octets
    assert await peer.is_cut()
    await site.settle()
    assert site.app[GATE].running()["upload"] == 0
    assert await site.county.gateway.ports.blobs.names(before=site.county.clock.now()) == []
    counted(site, slow_body=1)


async def test_a_body_that_is_refused_by_its_head_is_read_on_so_its_sender_hears_why(site: Served) -> None:
    """RFC 9112 §9.6: cut under a sender that still sends, the answer is thrown away (a proxy then says 502)."""
    length = 3 * 1024 * 1024
    peer = await site.connect(site.request("POST", "/api/v1/drafts", Content_Length=str(length)))
    await site.settle()  # answered by now
    for _ in range(length // 65_536):
        await peer.send(b" " * 65_536)
        await asyncio.sleep(0.001)
    assert (await peer.answer()).status == 413
    await peer.send(site.request("GET", "/hjalp"))
    assert (await peer.answer()).status == 200
    assert not site.connections.ended


async def test_a_refused_body_that_does_not_come_holds_its_place_for_ten_seconds(site: Served) -> None:
    peer = await site.connect(site.request("POST", "/api/v1/drafts", Content_Length="3000000"))
    assert (await peer.answer()).status == 413
    await site.later(9)
    assert not await peer.is_cut(0.05)
    await site.later(2)
    assert await peer.is_cut()
    counted(site, slow_body=1)


async def test_an_idle_connection_is_kept_sixty_seconds_from_its_last_answer(site: Served) -> None:
    peer = await site.connect()
    for _ in range(3):
        await peer.send(site.request("GET", "/hjalp"))
        assert (await peer.answer()).status == 200
        await site.later(55)
    await site.later(6)
    assert await peer.is_cut()
    counted(site, idle=1)


async def test_a_reader_that_takes_nothing_is_cut_while_others_are_served(site: Served) -> None:
    """A slow reader: it asks again and again and reads nothing, until no more fits between us."""
    peer = await site.connect(window=4_096)
    peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
    ask = site.request("GET", "/granssnitt/4")  # more octets than the kernel's buffers take
    for _ in range(300):
        peer.writer.write(ask)
    for _ in range(1_000):  # the pages are made one after the other, as fast as the machine is
        await asyncio.sleep(0.02)
        if any(connection._stalled is not None for connection in site.connections._open):
            break
    await site.later(59)
    assert not site.connections.ended
    assert (await site.ask("GET", "/hjalp")).status == 200
    await site.later(2)
    counted(site, stalled=1)
    assert len(site.connections) <= 1


async def test_what_is_being_sent_slowly_but_surely_is_not_cut(site: Served) -> None:
    """The other half of the rule: a slow line is no attack."""
    peer = await site.connect(window=65_536)
    ask, asked, came = site.request("GET", "/hjalp"), 600, b""
    for _ in range(asked):
        peer.writer.write(ask)
    await site.settle()
    while came.count(b"</html>") < asked:
        await site.later(20)
        piece = await peer.reader.read(400_000)
        assert piece, f"cut after {came.count(b'</html>')} of {asked} answers, {dict(site.connections.ended)}"
        came += piece


async def test_a_thousand_requests_in_a_row_are_answered_in_their_order(site: Served) -> None:
    """W08, pipelining: bounded by aiohttp's queue, whose bound this would notice."""
    peer = await site.connect()
    paths = ["/hjalp/logga-in", "/api/v1/inboxes", "/tillganglighet", "/finns-inte"]
    wanted = [200, 401, 200, 404]

    async def write() -> None:
        for number in range(1_000):
            await peer.send(site.request("GET", paths[number % 4]))

    writing = asyncio.create_task(write())
    got = [(await peer.answer(30)).status for _ in range(1_000)]
    await writing
    assert got == wanted * 250
    counted(site)
    tally("W08", cases=1)


async def test_a_stream_has_no_end_but_a_count(site: Served) -> None:
    """Event streams are exempt from every bound in time, and one user has so many and no more."""
    cookie = f"__Host-sambud={await site.token('ek-chef')}"
    ask = site.request("GET", "/inkorg/seat.ekeliden/handelser", Cookie=cookie)
    streams = [await site.connect(ask) for _ in range(UNPACED.streams_per_user)]
    for stream in streams:
        assert b"200 OK" in await stream.reader.readuntil(b"\r\n\r\n")
    refused = await site.raw(ask)
    assert (refused.status, refused.headers["retry-after"]) == (429, "1")
    await site.settle()
    await site.later(4_000)
    assert not site.connections.ended
    for stream in streams:
        stream.close()


async def test_who_waits_longest_gives_way_when_all_places_are_taken() -> None:
    """W08, hoarding: connections that only wait cannot keep an honest caller out, and one who works is left alone."""
    async with served(dataclasses.replace(UNPACED, connections=20)) as site:
        working = await site.connect(
            site.request("POST", "/api/v1/sessions", Content_Type="application/json", Content_Length=str(len(BODY)))
        )
        await site.settle()
        hoard = []
        for number in range(19):
            hoard.append(await site.connect(b"GET / HT" if number % 2 else b""))
            await site.settle()
        assert len(site.connections) == 20
        for _ in range(5):
            assert (await site.ask("GET", "/hjalp")).status == 200
            await site.settle()
        assert len(site.connections) <= 20
        assert await hoard[0].is_cut()
        await working.send(BODY)
        assert (await working.answer()).status == 401
        assert site.connections.ended["gave way"] >= 1
        tally("W08", cases=len(hoard))


async def test_one_address_has_its_share_of_the_places_and_the_rest_get_a_page_that_says_whom_to_call() -> None:
    async with served(dataclasses.replace(UNPACED, connections=50, connections_per_block=10)) as site:
        for _ in range(10):
            await site.connect(b"GET")
        await site.settle()
        refused = await (await site.connect()).answer()
        assert (refused.status, refused.headers["retry-after"]) == (503, "5")
        assert "0470-00 00 00" in refused.text
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port, local_addr=("127.0.0.2", 0))
        writer.write(site.request("GET", "/hjalp"))
        assert b" 200 " in await reader.readline()
        writer.transport.abort()
        tally("W08", cases=11)


async def test_a_request_that_is_not_answered_in_time_says_that_it_may_be_done_all_the_same() -> None:
    """The bound of a whole request: the caller learns that he does not know."""
    async with served(dataclasses.replace(UNPACED, request_s=0.2), real_time=True) as site:
        late = asyncio.Event()
        real = site.county.store.commit

        async def stuck(work: object) -> object:
            await late.wait()
            return await real(work)  # type: ignore[arg-type]

        token = await site.token("al-sos")
        site.county.store.commit = stuck  # type: ignore[method-assign, assignment]
        answer = await site.ask(
            "POST",
            "/api/v1/cases",
            b'{"inbox":"alvesta.ifo.vuxen"}',
            Content_Type="application/json",
            Authorization=f"Bearer {token}",
        )
        assert (answer.status, "kan ha sparats" in answer.text) == (504, True)
        half = site.request("POST", "/api/v1/sessions", Content_Type="application/json", Content_Length="100")
        assert (await site.raw(half + b"{")).status == 408
        site.county.store.commit = real  # type: ignore[method-assign]
        tally("W08", cases=2)
