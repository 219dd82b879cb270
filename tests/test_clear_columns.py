"""What stands in clear is a closed list, and nothing else does: by the tables, and by a raw scan of every file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.blobs.folder import FolderBlobs, FolderTiles
from adapters.sql.sqlite import SqliteStore
from adapters.sql.tables import METADATA
from gateway.forms.demo import demo_referral
from gateway.model.classes import Category
from tests.clock import ManualClock
from tests.county import ALVESTA, SEAT_E, SEAT_N, UNIT_E, a_county

DOCUMENT = Path(__file__).parent.parent / "docs" / "data-model.md"
#: What a column may be (docs/data-model.md): ids, organisations, inboxes, form types, states, times, sizes, channel,
#: counts, public names of the directory, keys (public, or wrapped), sealed octets, MACs, commitments.
CLASSES = {
    "id",
    "place",
    "form type",
    "state",
    "time",
    "size",
    "channel",
    "count",
    "directory",
    "function",
    "public key",
    "wrapped key",
    "sealed",
    "MAC",
    "commitment",
    "log",
}


def listed() -> dict[str, str]:
    """The closed list, from the document."""
    found = {}
    for line in DOCUMENT.read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 3 and "." in cells[0] and cells[0].startswith("`"):
            found[cells[0].strip("`")] = cells[1]
    return found


def test_every_column_is_on_the_closed_list_and_every_listed_column_exists() -> None:
    """A new column fails here until somebody has said what it shows."""
    columns = {f"{table.name}.{column.name}" for table in METADATA.tables.values() for column in table.columns}
    assert columns == set(listed())


def test_every_column_has_a_known_class() -> None:
    assert set(listed().values()) <= CLASSES


CANARIES = (
    "KANARIEBEHOV lugn miljö och struktur",
    "Kanarienamn Prov",
    "199006022397",
    "19900602-2397",
    "kanariefil.pdf",
    "KANARIEBILAGA",
    "KANARIEMEDDELANDE om ett besök",
    "KANARIEUNDANTAG",
    "KANARIEMOTIVERING",
    "lugn-trappa-vinge",
)


async def test_a_raw_scan_of_database_wal_blobs_keys_and_log_finds_no_content(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Catalogue C19, C11: canary texts in every field and file of a whole path, searched in the octets on disk."""
    clock = ManualClock()
    store = await SqliteStore.open(tmp_path / "sambud.db", clock, create=True)

    async def pdf() -> AsyncIterator[bytes]:
        yield b"%PDF-1.7\n" + b"KANARIEBILAGA " * 3000

    async with a_county(
        store,
        clock=clock,
        blobs=FolderBlobs(tmp_path / "blobs"),
        tiles=FolderTiles(tmp_path / "log"),
        keys_db=tmp_path / "keys.db",
    ) as county:
        gateway = county.gateway
        worker = await county.sign_in("al-sos")
        case, _ = await county.consented_case(worker, excluded=CANARIES[7])
        values = demo_referral(county.today) | {"need_summary": CANARIES[0], "individual_name": CANARIES[1]}
        for recipients in (["remissgrupp"], [UNIT_E]):
            draft = await gateway.drafts.create(worker, ALVESTA, case.id, "placement_referral", 1, values)
            await gateway.attachments.add(worker, draft.id, CANARIES[4], Category.SOCIAL, pdf())
            sent = await gateway.sending.send_draft(worker, draft.id, recipients)
            await county.deliver()
            if recipients == ["remissgrupp"]:
                ekeliden, novus = await county.sign_in("ek-chef"), await county.sign_in("no-chef")
                await county.open(ekeliden, SEAT_E, sent.message)
                answer = county.answer(motivation=CANARIES[8])
                proposal = await gateway.answers.propose(ekeliden, SEAT_E, sent.message, answer)
                await county.deliver()
                await gateway.answers.confirm(novus, SEAT_N, proposal.message)
        draft = await gateway.drafts.create(
            worker, ALVESTA, case.id, "case_message", 1, {"text": CANARIES[6], "categories": ["NEED"]}
        )
        await gateway.sending.send_draft(worker, draft.id, ["seat.ekeliden"])
        await county.deliver()
        await county.step_up(ekeliden, UNIT_E)
        await county.open(ekeliden, UNIT_E, sent.message)
        await gateway.integrator.flush()
        seen = _scan(tmp_path)
    await store.close()
    out, err = capfd.readouterr()
    logs = (out + err).encode()
    hits = [*seen, *_scan(tmp_path), *(f"log: {canary}" for canary in CANARIES if canary.encode() in logs)]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    print(f"C19: {len(files)} files, {len(CANARIES)} canaries, {len(hits)} hits")
    assert hits == []
    assert any(path.name.endswith("db") and path.stat().st_size > 100_000 for path in files)
    assert any(path.parent.parent.name == "blobs" for path in files)


def _scan(folder: Path) -> list[str]:
    hits = []
    for path in folder.rglob("*"):
        if path.is_file():
            octets = path.read_bytes()
            hits += [f"{path.name}: {canary}" for canary in CANARIES if canary.encode() in octets]
            hits += [f"{path.name}: {canary}" for canary in CANARIES if canary.encode("utf-16-le") in octets]
    return hits
