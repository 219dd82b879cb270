"""What waits for a registrator is content to nobody: no page, no call, no log, no number and no column shows a word of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.blobs.folder import FolderBlobs, FolderTiles
from adapters.http.server import application, listening
from adapters.http.web import NAV
from adapters.http.web.frame import Web
from adapters.metrics.prometheus import PrometheusMetrics
from adapters.sql.sqlite import SqliteStore
from gateway.neighbours import ArrivedFile, Remarks, Side
from gateway.states import HeldState
from tests.clock import ManualClock
from tests.holding import INTAKE, REGISTRATOR, a_collecting_county, to_the_municipality
from tests.path.test_pages import TABLE, a_browser

pytestmark = pytest.mark.slow
#: One word for each place of an arrival; each is searched as it stands, in two encodings.
WORDS = {
    "subject": "Gökotta Silverräv",
    "text": "Kvistfri Månskära",
    "reference": "Tvestjärt Kornblå",
    "file name": "Backsippa.pdf",
    "file": "STENSKVAETTA",
    "person": "Lodjuret Prov",
    "form": "Solrosen Prov",
}
#: Everybody who works in the county as this gateway has it, and nobody.
PEOPLE = ("", "vx-reg", "re-reg", "vx-sos", "vx-bf", "ek-chef", "no-chef", "gransk", "it", "stat")


def hits(where: str, octets: bytes) -> list[str]:
    return [
        f"{where}: {word}" for word in WORDS.values() for code in ("utf-8", "utf-16-le") if word.encode(code) in octets
    ]


async def test_no_word_of_what_is_held_is_shown_logged_counted_or_stored_in_clear(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    clock, metrics, found = ManualClock(), PrometheusMetrics(), list[str]()
    store = await SqliteStore.open(tmp_path / "sambud.db", clock, create=True)
    folders = {"blobs": FolderBlobs(tmp_path / "blobs"), "tiles": FolderTiles(tmp_path / "log")}
    letter = to_the_municipality(
        subject=WORDS["subject"],
        text=WORDS["text"],
        reference=WORDS["reference"],
        remarks=Remarks(recipient=Side(persons=(WORDS["person"],))),
        data={"form": ["placement_referral", 1], "body": {"stage": "S1", "fields": {"need_summary": WORDS["form"]}}},
        files=(
            ArrivedFile(
                name=WORDS["file name"],
                media_type="application/pdf",
                octets=b"%PDF-1.7\n" + WORDS["file"].encode() * 300,
            ),
        ),
    )
    async with a_collecting_county(
        "vaxjo.nav", store=store, clock=clock, keys_db=tmp_path / "keys.db", metrics=metrics, **folders
    ) as county:
        assert (await county.gateway.intake.take(letter)).taken
        [row] = await store.held(HeldState.WAITING, limit=5)
        # What moves the letter without opening it is walked as well: an order, a refusal of one, the placing.
        own = [f"/fordelning/{REGISTRATOR}/{row.envelope}", f"/api/v1/inboxes/{REGISTRATOR}/held"]
        own += [f"/api/v1/held/{row.envelope}/targets"]
        paths = [route.path for route in TABLE if route.method == "GET" and "{" not in route.path]
        asked = 0
        app = application(county.gateway, TABLE, Web(county.gateway, TABLE, NAV))
        async with listening(app, "127.0.0.1", 0) as address:
            for login in PEOPLE:
                browser = a_browser(address, county)
                async with browser.http:
                    if login:
                        await browser.sign_in(login)
                    for path in (*own, *paths):
                        reply = await browser.get(path)
                        asked += 1
                        found += hits(f"{login} {path}", reply.text.encode())
        found += hits("metrics", metrics.exposition(await county.gateway.health.signs()))
        registrator = await county.sign_in("vx-reg")
        await county.gateway.triage.order(registrator, row.envelope, INTAKE)
        await county.gateway.placing.run_once()
        reader = await county.sign_in("vx-bf")
        [line] = await county.gateway.inboxes.page(reader, INTAKE)
        body = repr((await county.gateway.opening.open(reader, line.item.envelope)).opened)
        await county.gateway.integrator.flush()
        for path in tmp_path.rglob("*"):
            if path.is_file():
                found += hits(path.name, path.read_bytes())
    await store.close()
    out, err = capfd.readouterr()
    found += hits("log", (out + err).encode())
    print(f"{asked} answers, {len(WORDS)} words, {len(found)} hits")
    assert found == []
    assert asked > 300
    # It was all there: whom it was given to reads every word of it but the form that is none of ours.
    assert all(word in body for place, word in WORDS.items() if place not in ("file", "form"))
