"""For each call of the API: who makes it, at which address, with which body. A call without a line here fails a test.

An example makes what it needs each time it is asked, since many calls use up what they act on.
"""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from joserfc.jwk import ECKey

from gateway.administration import UserAct
from gateway.deliver import moved_delivery
from gateway.directory_file import user_id
from gateway.factors import code_for
from gateway.forms.demo import demo_consent, demo_referral
from gateway.model.base import MINUTE, AdministrationId, CaseId, DraftId, EnvelopeId, InboxId, MessageId, UserId
from gateway.model.classes import Category
from gateway.model.identity import MembershipRole
from gateway.ports import Update, Work
from gateway.sending import Submission
from gateway.sessions import Signed
from gateway.states import DeliveryEvent
from tests import paper
from tests.clock import instant
from tests.county import ALVESTA, DEMO_DIRECTORY, SEAT_E, SEAT_N, County, password_of
from tests.holding import hold_one
from tests.path.test_noticing import Box

REGISTRATOR = InboxId("vaxjo.registrator")
UNIT = InboxId("ekeliden.enhet")
#: An authority that no gateway of the county hosts, reached over SDK.
OUTSIDE = """
[[organisation]]
id = "kronoberg"
name = "Kronobergs mottagning"
number = "802001-0003"
[[administration]]
id = "kronoberg.ifo"
organisation = "kronoberg"
name = "Mottagningsnämnden"
outside = true
[[unit]]
id = "kronoberg.mottagning"
administration = "kronoberg.ifo"
name = "Mottagningen"
secrecy_regime = "OSL_26"
legal_form = "municipal"
[[inbox]]
id = "kronoberg.mottagning"
unit = "kronoberg.mottagning"
name = "Mottagningen i Kronoberg"
kind = "intake"
accepts = ["case_message"]
members = []
[[route]]
inbox = "kronoberg.mottagning"
channel = "sdk"
address = "0203:kronoberg.example#sdk:inkorg:kronoberg.mottagning"
"""
PDF = b"%PDF-1.7\n" + b"ett exempel " * 400


@dataclass(frozen=True, slots=True)
class Example:
    """A call that succeeds."""

    login: str
    path: str  # below /api/v1
    body: object = None
    file: bytes = b""
    key: str = ""
    token: str = ""  # of a session made for this call alone


@dataclass
class Maker:
    """Makes what examples need, in a county."""

    county: County
    kept: dict[str, tuple[str, Signed]] = field(default_factory=dict)

    @property
    def gateway(self) -> Any:
        return self.county.gateway

    async def session(self, login: str) -> tuple[str, Signed]:
        """A fresh session: its token, and who it says is signed in."""
        done = await self.gateway.sign_in.sign_in(login, password_of(login), self.code(login))
        return done.token, await self.gateway.sessions.authenticate(done.token)

    async def token(self, login: str) -> str:
        """The session that `login` keeps."""
        if login not in self.kept:
            self.kept[login] = await self.session(login)
        return self.kept[login][0]

    async def signed(self, login: str) -> Signed:
        await self.token(login)
        return self.kept[login][1]

    def code(self, login: str) -> str:
        """The next unused code: time moves half a minute."""
        self.county.clock.advance(MINUTE // 2)
        return code_for(self.county.seeds[login], self.county.clock.now())

    async def window(self, login: str, inbox: InboxId) -> None:
        """A window for reading in `inbox`, for the session that `login` keeps."""
        directory = await self.gateway.directory.current()
        await self.gateway.windows.open(await self.signed(login), directory.inbox(inbox), self.code(login))

    async def case(self) -> CaseId:
        case, _ = await self.county.consented_case(await self.signed("al-sos"))
        return case.id

    async def draft(self, case: CaseId | None = None) -> DraftId:
        values = demo_referral(self.county.today)
        where = case or await self.case()
        row = await self.gateway.drafts.create(
            await self.signed("al-sos"), ALVESTA, where, "placement_referral", 1, values
        )
        return DraftId(row.id)

    async def file(self, draft: DraftId) -> str:
        async def pieces() -> AsyncIterator[bytes]:
            yield PDF

        row = await self.gateway.attachments.add(
            await self.signed("al-sos"), draft, "utdrag.pdf", Category.SOCIAL, pieces()
        )
        return str(row.id)

    async def referral(self, *, undo_seconds: int = 0, files: bool = False) -> MessageId:
        """A referral, sent and, without time to undo, delivered."""
        draft = await self.draft()
        if files:
            await self.file(draft)
        sent = await self.gateway.sending.send_draft(
            await self.signed("al-sos"), draft, ["remissgrupp"], undo_seconds=undo_seconds
        )
        if not undo_seconds:
            await self.county.deliver()
        return MessageId(sent.message)

    async def item(self, inbox: InboxId = SEAT_E) -> EnvelopeId:
        """A referral as it came to a seat."""
        return await self.county.envelope(inbox, await self.referral())

    async def message(self, to: InboxId = REGISTRATOR, *, unit: str = "vaxjo.registrator") -> EnvelopeId:
        """A message to an inbox, delivered."""
        worker = await self.signed("al-sos")
        case, _ = await self.county.consented_case(worker, parties=[{"from": "alvesta.vuxen", "to": unit}])
        out = Submission(
            case=case.id,
            form_type="case_message",
            form_version=1,
            values={"text": "Vem tar emot det här?", "categories": ["SOCIAL"]},
            recipients=(to,),
        )
        sent = await self.gateway.sending.send(worker, ALVESTA, out)
        await self.county.deliver()
        return await self.county.envelope(to, sent.message)

    async def read(self, login: str, inbox: InboxId, envelope: EnvelopeId) -> CaseId:
        """The case of an item that `login` has opened; a window for the inbox is open."""
        await self.window(login, inbox)
        found = await self.gateway.queue.open(await self.signed(login), envelope)
        return CaseId(found.message.case)

    async def proposal(self) -> MessageId:
        """An answer that the one seat has proposed and the other can confirm."""
        request = await self.referral()
        await self.read("ek-chef", SEAT_E, await self.county.envelope(SEAT_E, request))
        done = await self.gateway.answers.propose(await self.signed("ek-chef"), SEAT_E, request, self.county.answer())
        await self.county.deliver()
        await self.window("no-chef", SEAT_N)
        return MessageId(done.message)

    async def not_arrived(self) -> tuple[MessageId, EnvelopeId]:
        """A message to an inbox outside whose neighbour did not answer until its tries ended."""
        worker, outside = await self.signed("al-sos"), InboxId("kronoberg.mottagning")
        if outside not in (await self.gateway.directory.current()).inboxes:
            await self.gateway.register.apply(DEMO_DIRECTORY + OUTSIDE, passwords=password_of, by="test")
        case, _ = await self.county.consented_case(worker, parties=[{"from": "alvesta.vuxen", "to": outside}])
        values = {"text": "Vem tar emot det här?", "categories": ["SOCIAL"]}
        out = Submission(case=case.id, form_type="case_message", form_version=1, values=values, recipients=(outside,))
        sent = await self.gateway.sending.send(worker, ALVESTA, out)
        [row] = [one for one in await self.county.store.deliveries_of(sent.message) if one.inbox == outside]
        claimed = moved_delivery(row, DeliveryEvent.CLAIMED, self.county.clock.now())
        failed = moved_delivery(claimed, DeliveryEvent.REFUSED, self.county.clock.now())
        work = [claimed, dataclasses.replace(failed, reason="unreachable", attempts=3)]
        await self.county.store.commit(Work(changes=tuple(map(Update, work))))
        return MessageId(sent.message), row.envelope

    async def recall(self) -> EnvelopeId:
        message = await self.referral()
        await self.gateway.recalls.request(await self.signed("al-sos"), ALVESTA, message)
        return await self.county.envelope(SEAT_E, message)

    async def candidate(self) -> tuple[InboxId, UserId]:
        """An inbox, and somebody who can be proposed for it."""
        for inbox in (SEAT_E, UNIT):
            found = await self.gateway.administering.candidates(await self.signed("it"), inbox)
            if found.users:
                return inbox, UserId(found.users[0].id)
        raise AssertionError("everybody is a member or proposed")

    async def proposed(self) -> tuple[InboxId, UserId]:
        """An inbox, and somebody who waits to be let in."""
        for waiting in await self.gateway.administering.proposed(await self.signed("it")):
            if waiting.inbox.id in (SEAT_E, UNIT):
                return waiting.inbox.id, waiting.user.id
        inbox, user = await self.candidate()
        await self.gateway.administering.propose(await self.signed("it"), inbox, user, MembershipRole.MEMBER)
        return inbox, user


Make = Callable[[Maker], Awaitable[Example]]


def at(login: str, path: str) -> Make:
    """An example that needs nothing to be there."""

    async def make(_: Maker) -> Example:
        return Example(login, path)

    return make


async def sign_in(m: Maker) -> Example:
    return Example("", "/sessions", {"login": "al-del", "password": password_of("al-del"), "code": m.code("al-del")})


async def sign_out(m: Maker) -> Example:
    token, _ = await m.session("ek-sam")
    return Example("ek-sam", "/sessions/current", token=token)


async def end_session(m: Maker) -> Example:
    _, other = await m.session("ek-sam")
    return Example("ek-sam", f"/sessions/{other.session.id[:12]}")


async def step_up(m: Maker) -> Example:
    await m.token("no-sam")
    return Example("no-sam", f"/inboxes/{SEAT_N}/step-up", {"code": m.code("no-sam")})


async def admit(m: Maker) -> Example:
    inbox, user = await m.proposed()
    return Example("ek-chef", f"/inboxes/{inbox}/members/{user}/admit")


async def remove_member(m: Maker) -> Example:
    inbox, user = await m.proposed()
    return Example("ek-chef", f"/inboxes/{inbox}/members/{user}")


async def open_case(m: Maker) -> Example:
    return Example("al-sos", "/cases", {"inbox": ALVESTA})


async def view_case(m: Maker) -> Example:
    return Example("al-sos", f"/inboxes/{ALVESTA}/cases/{await m.case()}")


async def whose_turn(m: Maker) -> Example:
    return Example("al-sos", f"/cases/{await m.case()}/turn")


async def search_cases(m: Maker) -> Example:
    number = demo_referral(m.county.today)["identity_number"]
    body = {"identity_number": number, "purpose": "Personen ringer och frågar om sitt ärende."}
    return Example("al-sos", f"/inboxes/{ALVESTA}/searches", body)


async def record_consent(m: Maker) -> Example:
    case = await m.gateway.cases.open(await m.signed("al-sos"), ALVESTA)
    values = demo_consent(m.county.today)
    return Example("al-sos", "/consents", {"inbox": ALVESTA, "case": case.id, "values": values})


async def withdraw_consent(m: Maker) -> Example:
    _, consent = await m.county.consented_case(await m.signed("al-sos"))
    return Example("al-sos", f"/consents/{consent.id}/withdraw", {"inbox": ALVESTA})


async def list_consents(m: Maker) -> Example:
    return Example("al-sos", f"/inboxes/{ALVESTA}/cases/{await m.case()}/consents")


async def create_draft(m: Maker) -> Example:
    body = {
        "inbox": ALVESTA,
        "case": await m.case(),
        "form_type": "placement_referral",
        "form_version": 1,
        "values": demo_referral(m.county.today),
    }
    return Example("al-sos", "/drafts", body)


async def draft_referral(m: Maker) -> Example:
    return Example("al-sos", f"/cases/{await m.case()}/referral")


async def draft_message(m: Maker) -> Example:
    return Example("al-sos", f"/cases/{await m.case()}/message")


async def open_draft(m: Maker) -> Example:
    return Example("al-sos", f"/drafts/{await m.draft()}")


async def save_draft(m: Maker) -> Example:
    return Example("al-sos", f"/drafts/{await m.draft()}", {"version": 1, "values": {"urgency": "SOON"}})


async def list_addresses(m: Maker) -> Example:
    return Example("al-sos", f"/drafts/{await m.draft()}/addresses")


async def preview_draft(m: Maker) -> Example:
    return Example("al-sos", f"/drafts/{await m.draft()}/preview", {"recipients": ["remissgrupp"]})


async def attach_file(m: Maker) -> Example:
    return Example("al-sos", f"/drafts/{await m.draft()}/attachments", file=PDF)


async def list_draft_files(m: Maker) -> Example:
    draft = await m.draft()
    await m.file(draft)
    return Example("al-sos", f"/drafts/{draft}/attachments")


async def draft_file(m: Maker) -> Example:
    draft = await m.draft()
    return Example("al-sos", f"/drafts/{draft}/attachments/{await m.file(draft)}")


async def send_draft(m: Maker) -> Example:
    body = {"draft": await m.draft(), "recipients": ["remissgrupp"]}
    return Example("al-sos", "/messages", body, key=secrets.token_hex(8))


async def send_values(m: Maker) -> Example:
    body = {
        "inbox": ALVESTA,
        "case": await m.case(),
        "form_type": "placement_referral",
        "form_version": 1,
        "values": demo_referral(m.county.today),
        "recipients": ["remissgrupp"],
    }
    return Example("al-sos", "/messages/direct", body, key=secrets.token_hex(8))


async def take_back(m: Maker) -> Example:
    return Example("al-sos", f"/messages/{await m.referral(undo_seconds=60)}/take-back", {"inbox": ALVESTA})


async def open_envelope(m: Maker) -> Example:
    envelope = await m.item()
    await m.window("ek-chef", SEAT_E)
    return Example("ek-chef", f"/envelopes/{envelope}/open")


async def read_attachment(m: Maker) -> Example:
    message = await m.referral(files=True)  # a unit or a seat may lack a file; the sender's own copy has it
    envelope = await m.county.envelope(ALVESTA, message)
    await m.window("al-sos", ALVESTA)
    found = await m.gateway.opening.open(await m.signed("al-sos"), envelope)
    return Example("al-sos", f"/envelopes/{envelope}/attachments/{found.opened.attachments[0].id}")


async def ask_back(m: Maker) -> Example:
    return Example("al-sos", f"/messages/{await m.referral()}/recall", {"inbox": ALVESTA})


async def retry_delivery(m: Maker) -> Example:
    message, envelope = await m.not_arrived()
    return Example("al-sos", f"/messages/{message}/envelopes/{envelope}/retry", {"inbox": ALVESTA})


async def list_recalls(m: Maker) -> Example:
    await m.recall()
    return Example("re-reg", "/inboxes/region.registrator/recalls")


async def read_recall(m: Maker) -> Example:
    return Example("re-reg", f"/inboxes/region.registrator/recalls/{await m.recall()}")


async def decide_recall(m: Maker) -> Example:
    path = f"/inboxes/region.registrator/recalls/{await m.recall()}/decide"
    return Example("re-reg", path, {"uphold": True})


async def forward_envelope(m: Maker) -> Example:
    envelope = await m.message()
    await m.window("vx-reg", REGISTRATOR)
    targets = await m.gateway.forwarding.targets(await m.signed("vx-reg"), REGISTRATOR, "case_message")
    return Example("vx-reg", f"/envelopes/{envelope}/forward", {"to": targets[0].id})


async def list_held(m: Maker) -> Example:
    await hold_one(m.gateway)
    return Example("vx-reg", f"/inboxes/{REGISTRATOR}/held")


async def list_held_targets(m: Maker) -> Example:
    return Example("vx-reg", f"/held/{await hold_one(m.gateway)}/targets")


async def forward_held(m: Maker) -> Example:
    envelope = await hold_one(m.gateway)
    await m.window("vx-reg", REGISTRATOR)
    return Example("vx-reg", f"/held/{envelope}/forward", {"to": "vaxjo.barnfamilj.mottagning"})


async def show_journey(m: Maker) -> Example:
    return Example("it", f"/messages/{await m.referral()}/deliveries")


async def list_work(m: Maker) -> Example:
    await m.read("ek-chef", SEAT_E, await m.item())
    return Example("ek-chef", f"/inboxes/{SEAT_E}/work?view=alla&limit=20")


async def claim_item(m: Maker) -> Example:
    return Example("ek-chef", f"/envelopes/{await m.item()}/claim", {})


async def _claimed(m: Maker) -> EnvelopeId:
    envelope = await m.item()
    await m.gateway.queue.claim(await m.signed("ek-chef"), envelope)
    return envelope


async def release_item(m: Maker) -> Example:
    return Example("ek-chef", f"/envelopes/{await _claimed(m)}/release")


async def hand_over_item(m: Maker) -> Example:
    body = {"to": user_id("ek-sam"), "note": "Kan du ta den här?"}
    return Example("ek-chef", f"/envelopes/{await _claimed(m)}/hand-over", body)


async def close_item(m: Maker) -> Example:
    return Example("vx-bf", f"/envelopes/{await m.message(InboxId(INTAKE), unit=INTAKE_UNIT)}/close")


async def reopen_item(m: Maker) -> Example:
    envelope = await m.message(InboxId(INTAKE), unit=INTAKE_UNIT)
    await m.gateway.queue.close(await m.signed("vx-bf"), envelope)
    return Example("vx-bf", f"/envelopes/{envelope}/reopen")


async def list_notes(m: Maker) -> Example:
    case = await m.read("ek-chef", SEAT_E, await m.item())
    await m.gateway.notes.write(await m.signed("ek-chef"), SEAT_E, case, "Ring Alvesta om datum.")
    return Example("ek-chef", f"/inboxes/{SEAT_E}/cases/{case}/notes")


async def write_note(m: Maker) -> Example:
    case = await m.read("ek-chef", SEAT_E, await m.item())
    return Example("ek-chef", f"/inboxes/{SEAT_E}/cases/{case}/notes", {"text": "Ring Alvesta om datum."})


async def propose_answer(m: Maker) -> Example:
    request = await m.referral()
    await m.read("ek-chef", SEAT_E, await m.county.envelope(SEAT_E, request))
    body = {"inbox": SEAT_E, "request": request, "values": m.county.answer()}
    return Example("ek-chef", "/answers", body, key=secrets.token_hex(8))


async def confirm_answer(m: Maker) -> Example:
    path = f"/answers/{await m.proposal()}/confirm"
    return Example("no-chef", path, {"inbox": SEAT_N}, key=secrets.token_hex(8))


async def disagree_with_answer(m: Maker) -> Example:
    return Example("no-chef", f"/answers/{await m.proposal()}/disagree", {"inbox": SEAT_N})


async def act_on_user(m: Maker) -> Example:
    body = {"act": UserAct.NEW_PASSWORD}
    return Example("it", f"/users/{user_id('no-kp1')}/acts", body, key=secrets.token_hex(8))


async def register_system(m: Maker) -> Example:
    return Example(
        "it", "/systems", {"client_id": f"system-{secrets.token_hex(4)}", "title": "Verksamhetssystem", **_key()}
    )


async def replace_system_key(m: Maker) -> Example:
    signed = await m.county.sign_in("it")
    body = _key()
    made = await m.county.gateway.systems.register(
        signed,
        f"system-{secrets.token_hex(4)}",
        title="Verksamhetssystem",
        administration=AdministrationId(str(body["authority"])),
        key=body["key"],
        ends_at=body["ends_at"],
    )
    return Example("it", f"/systems/{made.user.id}/key", {"key": body["key"], "ends_at": body["ends_at"]})


def _key() -> dict[str, Any]:
    key = ECKey.generate_key("P-256").as_dict(private=False)
    return {"authority": "alvesta.ifo", "key": key, "ends_at": instant(2026, 9, 1)}


async def propose_member(m: Maker) -> Example:
    inbox, user = await m.candidate()
    return Example("it", f"/inboxes/{inbox}/proposals", {"user": user, "role": "member"})


async def withdraw_proposal(m: Maker) -> Example:
    inbox, user = await m.proposed()
    return Example("it", f"/inboxes/{inbox}/proposals/{user}")


async def choose_my_notices(m: Maker) -> Example:
    m.gateway.noticing.connect(Box())
    body = {"when": "once", "address": "funktion@alvesta.example", "quiet_from": 1080, "quiet_to": 420}
    return Example("al-sos", "/my-notices", body)


async def list_by_hand(m: Maker) -> Example:
    await paper.a_message(m.county, await m.signed("al-sos"))
    return Example("al-sos", f"/inboxes/{ALVESTA}/by-hand")


async def read_by_hand(m: Maker) -> Example:
    return Example("al-sos", f"{BY_HAND}/{(await paper.a_message(m.county, await m.signed('al-sos'))).id}")


async def take_out(m: Maker) -> Example:
    return Example("al-sos", f"{(await read_by_hand(m)).path}/take")


async def print_by_hand(m: Maker) -> Example:
    delivery = await paper.taken(m.county, await m.signed("al-sos"))
    await m.gateway.printing.permit(await m.signed("al-sos"), ALVESTA, delivery.id, m.code("al-sos"))
    return Example("al-sos", f"{BY_HAND}/{delivery.id}/print")


async def permit_print(m: Maker) -> Example:
    delivery = await paper.taken(m.county, await m.signed("al-sos"))
    return Example("al-sos", f"{BY_HAND}/{delivery.id}/step-up", {"code": m.code("al-sos")})


async def print_file(m: Maker) -> Example:
    worker = await m.signed("al-sos")
    delivery = await paper.taken(m.county, worker, file=True)
    await m.gateway.printing.permit(worker, ALVESTA, delivery.id, m.code("al-sos"))
    printed = await m.gateway.printing.print(worker, ALVESTA, delivery.id)
    return Example("al-sos", f"{BY_HAND}/{delivery.id}/files/{printed.opened.attachments[0].id}")


async def hand_over_message(m: Maker) -> Example:
    delivery = await paper.taken(m.county, await m.signed("al-sos"))
    said = paper.said(m.county)
    body = {
        "manner": said.manner,
        "handed_at": said.handed_at,
        "given_to": said.given_to,
        "checks": sorted(said.checks),
    }
    return Example("al-sos", f"{BY_HAND}/{delivery.id}/handed-over", body)


async def ask_link(m: Maker) -> Example:
    delivery = await paper.entered(m.county, await m.signed("al-sos"))
    m.gateway.linked.connect(paper.LinkAnswers())
    return Example("al-sos", f"{BY_HAND}/{delivery.id}/link-status")


async def not_handed_over(m: Maker) -> Example:
    delivery = await paper.taken(m.county, await m.signed("al-sos"))
    return Example("al-sos", f"{BY_HAND}/{delivery.id}/not-handed-over", {"why": "returned"})


async def say_to_party(m: Maker) -> Example:
    notice = await paper.to_say(m.county, await m.signed("al-sos"))
    body = {"manner": "phone", "handed_at": m.county.clock.now(), "given_to": "registrator"}
    return Example("al-sos", f"/inboxes/{ALVESTA}/sayings/{notice}/said", body)


BY_HAND = f"/inboxes/{ALVESTA}/by-hand"
INTAKE = "vaxjo.barnfamilj.mottagning"
INTAKE_UNIT = "vaxjo.barnfamilj"
#: By the name of the handler, which is the operation's id.
EXAMPLES: Mapping[str, Make] = {
    "sign_in": sign_in,
    "list_sessions": at("al-sos", "/sessions"),
    "sign_out": sign_out,
    "end_session": end_session,
    "step_up": step_up,
    "list_inboxes": at("al-sos", "/inboxes"),
    "read_directory": at("stat", "/directory"),
    "list_messages": at("ek-chef", f"/inboxes/{SEAT_E}/messages?limit=5"),
    "list_members": at("ek-chef", f"/inboxes/{UNIT}/members"),
    "admit": admit,
    "open_case": open_case,
    "list_cases": at("al-sos", f"/inboxes/{ALVESTA}/cases?limit=5"),
    "view_case": view_case,
    "whose_turn": whose_turn,
    "search_cases": search_cases,
    "list_forms": at("stat", "/forms"),
    "read_form": at("stat", "/forms/placement_referral/1"),
    "create_draft": create_draft,
    "draft_referral": draft_referral,
    "draft_message": draft_message,
    "open_draft": open_draft,
    "save_draft": save_draft,
    "discard_draft": open_draft,
    "list_drafts": at("al-sos", f"/inboxes/{ALVESTA}/drafts"),
    "list_addresses": list_addresses,
    "preview_draft": preview_draft,
    "attach_file": attach_file,
    "list_draft_files": list_draft_files,
    "read_draft_file": draft_file,
    "remove_draft_file": draft_file,
    "record_consent": record_consent,
    "withdraw_consent": withdraw_consent,
    "list_consents": list_consents,
    "send_draft": send_draft,
    "send_values": send_values,
    "take_back": take_back,
    "open_envelope": open_envelope,
    "read_attachment": read_attachment,
    "ask_back": ask_back,
    "list_register": at("vx-reg", f"/inboxes/{REGISTRATOR}/register"),
    "list_stopped": at("vx-reg", f"/inboxes/{REGISTRATOR}/register/stopped"),
    "list_recalls": list_recalls,
    "read_my_notices": at("al-sos", "/my-notices"),
    "choose_my_notices": choose_my_notices,
    "list_by_hand": list_by_hand,
    "read_by_hand": read_by_hand,
    "take_out": take_out,
    "permit_print": permit_print,
    "print_by_hand": print_by_hand,
    "print_file": print_file,
    "hand_over_message": hand_over_message,
    "ask_link": ask_link,
    "not_handed_over": not_handed_over,
    "say_to_party": say_to_party,
    "read_recall": read_recall,
    "decide_recall": decide_recall,
    "list_targets": at("vx-reg", f"/inboxes/{REGISTRATOR}/forward-targets?form_type=case_message"),
    "forward_envelope": forward_envelope,
    "list_held": list_held,
    "list_held_targets": list_held_targets,
    "forward_held": forward_held,
    "retry_delivery": retry_delivery,
    "list_channels": at("it", "/channels"),
    "list_deliveries": at("it", "/deliveries?limit=5"),
    "show_journey": show_journey,
    "list_work": list_work,
    "claim_item": claim_item,
    "release_item": release_item,
    "hand_over_item": hand_over_item,
    "close_item": close_item,
    "reopen_item": reopen_item,
    "list_notes": list_notes,
    "write_note": write_note,
    "propose_answer": propose_answer,
    "confirm_answer": confirm_answer,
    "disagree_with_answer": disagree_with_answer,
    "list_logs": at("gransk", "/audit/logs"),
    "read_events": at("gransk", "/audit/events?limit=5"),
    "search_events": at("gransk", "/audit/search?action=sent&limit=5"),
    "read_checkpoints": at("gransk", "/audit/checkpoint"),
    "verify_log": at("gransk", "/audit/verify"),
    "prove_event": at("gransk", "/audit/proof?number=1"),
    "list_users": at("it", "/users"),
    "read_user": at("it", f"/users/{user_id('al-sos')}"),
    "act_on_user": act_on_user,
    "list_proposed": at("it", "/members/proposed"),
    "list_candidates": at("it", f"/inboxes/{UNIT}/candidates"),
    "propose_member": propose_member,
    "withdraw_proposal": withdraw_proposal,
    "remove_member": remove_member,
    "list_systems": at("it", "/systems"),
    "register_system": register_system,
    "replace_system_key": replace_system_key,
}
