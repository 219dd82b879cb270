"""Somebody writes to the database file and has no key: what each kind of changed row leads to (catalogue C04, C14).

One county is made on a real SQLite file. Each case works on a copy: SQL from outside, then a new process over the
file, then an ordinary act. What must come is a refusal that says what to do, and no content; the other acts go on.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from gateway.audit import AuditAction
from gateway.errors import (
    EnvelopeError,
    GatewayError,
    IntegrityError,
    NotFoundError,
    SessionEndedError,
    SignInError,
    StepUpRequiredError,
)
from gateway.forms.demo import demo_referral
from gateway.model.base import DAY, AttachmentId, ConsentId, DraftId, EnvelopeId
from gateway.model.log import AuditSide
from keys import suites
from tests.county import ALVESTA, SEAT_E, SEAT_N, UNIT_E, VAXJO, County
from tests.on_disk import Made, make

pytestmark = pytest.mark.slow
HOUR = DAY // 24


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return asyncio.run(make(tmp_path_factory.mktemp("county")))


# --- the acts ------------------------------------------------------------------------------------------------------------


async def opens(county: County, made: Made) -> None:
    chief = await county.gateway.sessions.still_active(made.signed["ek-chef"])
    await county.gateway.opening.open(chief, EnvelopeId(made.ids["second"]))


async def the_other_seat_opens(county: County, made: Made) -> None:
    novus = await county.gateway.sessions.still_active(made.signed["no-chef"])
    await county.gateway.opening.open(novus, EnvelopeId(made.ids["first"]))


async def a_stranger_opens(county: County, made: Made) -> None:
    stranger = await county.gateway.sessions.still_active(made.signed["vx-sos"])
    await county.gateway.opening.open(stranger, EnvelopeId(made.ids["second"]))


async def downloads(county: County, made: Made) -> None:
    chief = await county.gateway.sessions.still_active(made.signed["ek-chef"])
    envelope, attachment = EnvelopeId(made.ids["second"]), AttachmentId(made.ids["attachment"])
    _, pieces = await county.gateway.opening.attachment(chief, envelope, attachment)
    async for _ in pieces:
        pass


async def sends(county: County, made: Made) -> None:
    worker = await county.gateway.sessions.still_active(made.signed["al-sos"])
    await county.gateway.sending.send_draft(worker, DraftId(made.ids["draft"]), ["remissgrupp"])


async def sends_in_the_case_that_ended(county: County, made: Made) -> None:
    worker = await county.gateway.sessions.still_active(made.signed["al-sos"])
    draft = await county.gateway.drafts.create(
        worker,
        ALVESTA,
        made.ids["ended_case"],
        "placement_referral",
        1,
        demo_referral(county.today),  # type: ignore[arg-type]
    )
    await county.gateway.sending.send_draft(worker, draft.id, ["remissgrupp"])


async def reads_the_draft(county: County, made: Made) -> None:
    worker = await county.gateway.sessions.still_active(made.signed["al-sos"])
    await county.gateway.drafts.open(worker, DraftId(made.ids["draft"]))


async def withdraws(county: County, made: Made) -> None:
    worker = await county.gateway.sessions.still_active(made.signed["al-sos"])
    await county.gateway.consents.withdraw(worker, ALVESTA, ConsentId(made.ids["other_consent"]))


async def signs_in(county: County, _: Made) -> None:
    await county.sign_in("ek-chef")


# --- what somebody does to the file --------------------------------------------------------------------------------------

Act = Callable[[County, Made], Awaitable[None]]
Sql = Callable[[sqlite3.Connection, dict[str, str]], object]


def flips(table: str, column: str, key: str, value: str, *, at: int = -1) -> Sql:
    """One bit of a stored value, in the row of `value` (a name in Made.ids)."""

    def change(db: sqlite3.Connection, ids: dict[str, str]) -> None:
        name = ids.get(value, value)
        [octets] = db.execute(f'SELECT "{column}" FROM "{table}" WHERE "{key}" = ?', (name,)).fetchone()
        changed = bytearray(octets)
        changed[at] ^= 1
        db.execute(f'UPDATE "{table}" SET "{column}" = ? WHERE "{key}" = ?', (bytes(changed), name))

    return change


def sets(table: str, row: str, key: str = "id", **values: object) -> Sql:
    """Columns of a row; a value that is a name in Made.ids stands for that id."""

    def change(db: sqlite3.Connection, ids: dict[str, str]) -> None:
        for column, value in values.items():
            new = ids.get(value, value) if isinstance(value, str) else value
            done = db.execute(f'UPDATE "{table}" SET "{column}" = ? WHERE "{key}" = ?', (new, ids.get(row, row)))
            assert done.rowcount > 0

    return change


def copies(table: str, key: str, source: str, target: str, *columns: str) -> Sql:
    """Columns of one row over those of another."""

    def change(db: sqlite3.Connection, ids: dict[str, str]) -> None:
        listed = ", ".join(f'"{column}"' for column in columns)
        values = db.execute(f'SELECT {listed} FROM "{table}" WHERE "{key}" = ?', (ids.get(source, source),)).fetchone()
        marks = ", ".join(f'"{column}" = ?' for column in columns)
        db.execute(f'UPDATE "{table}" SET {marks} WHERE "{key}" = ?', (*values, ids.get(target, target)))

    return change


def run(statement: str, *names: object) -> Sql:
    """A statement; arguments that are names in Made.ids stand for those ids."""

    def change(db: sqlite3.Connection, ids: dict[str, str]) -> None:
        found = db.execute(statement, [ids.get(name, name) if isinstance(name, str) else name for name in names])
        assert found.rowcount > 0

    return change


def plants_an_epoch(db: sqlite3.Connection, ids: dict[str, str]) -> None:
    """An inbox key of the attacker's own, as the newest."""
    columns = [row[1] for row in db.execute("PRAGMA table_info(key_record)")]
    row = db.execute(
        "SELECT * FROM key_record WHERE kind = 'inbox' AND owner = ? ORDER BY epoch DESC, revision DESC LIMIT 1",
        (SEAT_E,),
    ).fetchone()
    planted = dict(zip(columns, row, strict=True))
    planted |= {"id": str(uuid.uuid4()), "epoch": planted["epoch"] + 1, "revision": 1}
    planted["public_key"] = suites.public_octets(bytes(32))
    db.execute(f"INSERT INTO key_record VALUES ({', '.join('?' * len(columns))})", list(planted.values()))
    db.execute(
        "UPDATE key_head SET epoch = epoch + 1, version = version + 1, record = ? WHERE kind = 'inbox' AND owner = ?",
        (planted["id"], SEAT_E),
    )


def plants_a_membership(db: sqlite3.Connection, ids: dict[str, str]) -> None:
    """The chief's membership, and the chief's wrap, under the stranger's name."""
    for table in ("membership", "inbox_wrap"):
        columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
        listed = ", ".join("?" if column == "user" else f'"{column}"' for column in columns)
        db.execute(
            f"INSERT INTO {table} SELECT {listed} FROM {table} WHERE inbox = ? AND user = ?",
            (ids["stranger"], UNIT_E, ids["chief"]),
        )


WHOLE_ENVELOPE = ("octets", "transcript")
MANY = (EnvelopeError, IntegrityError, NotFoundError)
CASES: dict[str, tuple[Sql, Act, tuple[type[GatewayError], ...]]] = {
    # envelope
    "an envelope's octets": (flips("envelope", "octets", "id", "second", at=900), opens, (EnvelopeError,)),
    "an envelope's signature": (flips("envelope", "octets", "id", "second"), opens, (EnvelopeError,)),
    "an envelope's name in the log": (flips("envelope", "transcript", "id", "second"), opens, (EnvelopeError,)),
    "an envelope swapped": (copies("envelope", "id", "first", "second", *WHOLE_ENVELOPE), opens, (EnvelopeError,)),
    "an envelope moved to another inbox": (sets("envelope", "first", inbox=SEAT_N), the_other_seat_opens, MANY),
    "an envelope's message": (sets("envelope", "second", message="first"), opens, (EnvelopeError, NotFoundError)),
    "an envelope's time": (run("UPDATE envelope SET created_at = created_at + 1"), opens, (EnvelopeError,)),
    "a message's sender": (run("UPDATE message SET sender = ?", str(VAXJO)), opens, (EnvelopeError,)),
    "a message's form": (run("UPDATE message SET form_type = 'consent'"), opens, (EnvelopeError,)),
    # wrap
    "a wrap": (flips("envelope_wrap", "locked", "envelope", "second"), opens, (EnvelopeError,)),
    "a wrap cut": (sets("envelope_wrap", "second", "envelope", locked=b""), opens, (EnvelopeError,)),
    "a wrap swapped": (
        copies("envelope_wrap", "envelope", "first", "second", "locked", "shred_key", "batch"),
        opens,
        (EnvelopeError,),
    ),
    "a wrap's epoch": (sets("envelope_wrap", "second", "envelope", epoch=2), opens, (EnvelopeError,)),
    "a wrap's shred key": (
        copies("envelope_wrap", "envelope", "first", "second", "shred_key"),
        opens,
        (EnvelopeError,),
    ),
    "a wrap removed": (run("DELETE FROM envelope_wrap WHERE envelope = ?", "second"), opens, (NotFoundError,)),
    # attachment
    "an attachment's key": (flips("attachment", "sealed", "id", "file"), sends, (IntegrityError,)),
    "an attachment's digest": (flips("attachment", "sha256", "id", "file"), sends, (IntegrityError,)),
    "an attachment's size": (sets("attachment", "file", size=1), sends, (IntegrityError,)),
    "an attachment swapped": (
        copies("attachment", "id", "other_file", "file", "sealed", "blob", "size", "sha256"),
        sends,
        (IntegrityError,),
    ),
    "an attachment moved to another draft": (sets("attachment", "other_file", draft="draft"), sends, (IntegrityError,)),
    "a sent attachment's octets": (
        run("UPDATE envelope_attachment SET blob = (SELECT blob FROM attachment WHERE id = ?)", "file"),
        downloads,
        (EnvelopeError,),
    ),
    # draft
    "a draft's text": (flips("draft", "sealed", "id", "draft"), reads_the_draft, (IntegrityError,)),
    "a draft swapped": (copies("draft", "id", "other_draft", "draft", "sealed"), reads_the_draft, (IntegrityError,)),
    "a draft moved to another person's case": (sets("draft", "draft", case="case"), sends, (IntegrityError,)),
    "a draft's form": (sets("draft", "draft", form_type="case_message"), sends, (IntegrityError,)),
    # key rows
    "a planted epoch": (plants_an_epoch, sends, (IntegrityError,)),
    "an inbox's public key": (
        run("UPDATE key_record SET public_key = ? WHERE owner = ?", suites.public_octets(bytes(32)), str(SEAT_E)),
        sends,
        (IntegrityError,),
    ),
    "a signing key": (
        run("UPDATE key_record SET public_key = ? WHERE kind = 'signing'", suites.signing_public(bytes(32))),
        opens,
        (EnvelopeError, IntegrityError),
    ),
    "a key record's signature": (
        run("UPDATE key_record SET signature = zeroblob(64) WHERE kind = 'inbox'"),
        sends,
        (IntegrityError,),
    ),
    "a key head put back": (
        run(
            "UPDATE key_head SET record = (SELECT id FROM key_record WHERE kind = 'member' LIMIT 1) WHERE kind = 'inbox'"
        ),
        sends,
        (IntegrityError,),
    ),
    "a key record removed": (
        run("DELETE FROM key_record WHERE kind = 'inbox' AND owner = ?", str(SEAT_E)),
        sends,
        (IntegrityError,),
    ),
    "a member key": (flips("member_key", "wrapped", "user", "chief"), opens, (EnvelopeError,)),
    "a member key swapped": (copies("member_key", "user", "stranger", "chief", "wrapped"), opens, (EnvelopeError,)),
    "an inbox wrap": (flips("inbox_wrap", "wrapped", "user", "chief"), opens, (EnvelopeError,)),
    "an inbox wrap of another's": (
        run("UPDATE inbox_wrap SET wrapped = zeroblob(length(wrapped)) WHERE inbox = ?", str(UNIT_E)),
        opens,
        (EnvelopeError,),
    ),
    # session, user, factor, membership
    "a session's user": (sets("session", "stranger_session", user="chief"), a_stranger_opens, (SessionEndedError,)),
    "a session's end": (
        run("UPDATE session SET ends_at = ends_at + ? WHERE id = ?", HOUR, "chief_session"),
        opens,
        (SessionEndedError,),
    ),
    "a session's MAC": (flips("session", "mac", "id", "chief_session"), opens, (SessionEndedError,)),
    "a session swapped": (
        copies("session", "id", "chief_session", "stranger_session", "user", "mac"),
        a_stranger_opens,
        (SessionEndedError,),
    ),
    "a step-up window": (
        run("UPDATE step_up_window SET ends_at = ends_at + ?", HOUR),
        opens,
        (IntegrityError, StepUpRequiredError),
    ),
    "a user's roles": (copies("user", "id", "chief", "stranger", "roles"), a_stranger_opens, (SessionEndedError,)),
    "a user's login": (sets("user", "chief", login="ek-chef2"), opens, (SessionEndedError,)),
    "a factor's secret": (
        run(
            "UPDATE factor SET secret = (SELECT secret FROM factor WHERE user = ?) WHERE user = ?", "stranger", "chief"
        ),
        signs_in,
        (SignInError,),
    ),
    "a factor's last step": (run("UPDATE factor SET last_step = 0 WHERE kind = 'totp'"), signs_in, (SignInError,)),
    "a planted membership": (plants_a_membership, a_stranger_opens, (NotFoundError, IntegrityError)),
    "a membership's state": (run("UPDATE membership SET mac = zeroblob(32)"), opens, (NotFoundError, IntegrityError)),
    # routes
    "an inbox's owner": (sets("inbox", str(SEAT_E), administration="vaxjo.nav"), sends, (IntegrityError,)),
    "what an inbox accepts": (sets("inbox", str(SEAT_E), accepts='["consent"]'), sends, (IntegrityError,)),
    "a board's seats": (run("UPDATE board SET seats = ?", f'["{VAXJO}"]'), sends, (IntegrityError,)),
    # case: what decides where stage 2 may go (D3)
    "a case's match": (run("UPDATE case_file SET matched_units = ?", '["novus"]'), sends, (IntegrityError,)),
    "a case's state": (run("UPDATE case_file SET state = 'matched'"), sends, (IntegrityError,)),
    "a message's form version": (run("UPDATE message SET form_version = 2"), opens, (EnvelopeError,)),
    # consent
    "a consent's end": (
        run("UPDATE consent SET valid_to = valid_to + ? WHERE id = ?", DAY, "other_consent"),
        sends,
        (IntegrityError,),
    ),
    "a consent's terms": (flips("consent", "sealed", "id", "other_consent"), sends, (IntegrityError,)),
    "a consent swapped": (
        copies("consent", "id", "consent", "other_consent", "sealed", "mac"),
        sends,
        (IntegrityError,),
    ),
    "a consent moved to another case": (
        sets("consent", "other_consent", case="ended_case"),
        sends_in_the_case_that_ended,
        (IntegrityError,),
    ),
    "a withdrawn consent given again": (
        sets("consent", "ended_consent", state="given"),
        sends_in_the_case_that_ended,
        (IntegrityError,),
    ),
    "a consent that is withdrawn": (
        sets("consent", "other_consent", recorded_by="chief"),
        withdraws,
        (IntegrityError,),
    ),
}
TRIED: list[str] = []
NEVER = {a_stranger_opens, the_other_seat_opens, sends_in_the_case_that_ended}  # refused in any case


@pytest.fixture
def copy(made: Made, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made.folder, tmp_path / "copy"))


@pytest.mark.parametrize("name", CASES)
async def test_a_row_changed_past_the_gateway_is_refused_and_the_refusal_says_what_to_do(
    made: Made, copy: Path, name: str
) -> None:
    """Catalogue C04, C14."""
    change, act, errors = CASES[name]
    with sqlite3.connect(copy / "sambud.db") as db:
        change(db, made.ids)
    db.close()
    async with made.process(copy) as county:
        with pytest.raises(errors) as caught:
            await act(county, made)
    assert caught.value.swedish != str(caught.value)
    assert caught.value.next_step
    TRIED.append(name)


@pytest.mark.parametrize("act", sorted({case[1] for case in CASES.values()} - NEVER, key=lambda act: act.__name__))
async def test_the_same_acts_succeed_on_rows_that_nobody_changed(made: Made, copy: Path, act: Act) -> None:
    """Otherwise the refusals above would prove nothing."""
    async with made.process(copy) as county:
        await act(county, made)


@pytest.mark.parametrize("statement", ["UPDATE shred_key SET key = zeroblob(32)", "DELETE FROM shred_key"])
async def test_a_shred_key_that_was_changed_or_is_gone_opens_nothing(made: Made, copy: Path, statement: str) -> None:
    """docs/envelope.md §5: without SK the wrap is noise."""
    with sqlite3.connect(copy / "sambud.db") as db:
        name = db.execute("SELECT shred_key FROM envelope_wrap WHERE envelope = ?", (made.ids["second"],)).fetchone()
    db.close()
    with sqlite3.connect(copy / "keys.db") as db:
        assert db.execute(f"{statement} WHERE id = ?", name).rowcount == 1
    db.close()
    async with made.process(copy) as county:
        with pytest.raises(EnvelopeError) as caught:
            await opens(county, made)
    assert caught.value.next_step


async def test_without_the_keys_of_the_log_nothing_is_opened(made: Made, copy: Path) -> None:
    """Fail closed: no log, no content. A store without its keys does not even start."""
    with sqlite3.connect(copy / "keys.db") as db:
        db.execute("DELETE FROM shred_key")
    db.close()
    with pytest.raises(GatewayError) as caught:
        async with made.process(copy) as county:
            await opens(county, made)
    assert caught.value.next_step


@pytest.mark.parametrize("name", ["a wrap", "a member key", "an envelope's octets", "a sent attachment's octets"])
async def test_what_does_not_open_is_an_alarm_in_the_log(made: Made, copy: Path, name: str) -> None:
    """docs/audit-log.md: the reader is told that it is logged, so it is."""
    change, act, _ = CASES[name]
    with sqlite3.connect(copy / "sambud.db") as db:
        change(db, made.ids)
        [before] = db.execute("SELECT count(*) FROM audit_side WHERE action = 'alarm'").fetchone()
    async with made.process(copy) as county:
        with pytest.raises(EnvelopeError):
            await act(county, made)
    [after] = db.execute("SELECT count(*) FROM audit_side WHERE action = ?", (AuditAction.ALARM,)).fetchone()
    db.close()
    assert after == before + 1
    assert AuditSide.TABLE == "audit_side"


def test_every_kind_of_row_that_opens_or_decides_was_tried() -> None:
    """Catalogue C14, the count; runs last in this file."""
    print(f"C14: {len(TRIED)} kinds of change by SQL refused")
    assert not TRIED or set(TRIED) <= set(CASES)
    assert len(CASES) >= 50
