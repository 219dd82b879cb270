"""By hand: what people of an inbox are to print and hand over, what they are to say, and what they say of it.

Why this exists: the way that always works is a person with an envelope, between two other things. So the list says
what waits, one page leads through print, checklist and word in that order, and nothing counts as delivered or told
before the person says so. What each step does is `gateway.printing`'s and `gateway.carrying`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from aiohttp import web

from adapters.http.downloads import disposition, download
from adapters.http.routes import Call, Scope
from adapters.http.web.again import act_code_page, with_act_code
from adapters.http.web.carry_words import CHECKS as CHECK_WORDS
from adapters.http.web.carry_words import LINK_WORDS, OBSTACLES, SAYINGS, WAYS
from adapters.http.web.carry_words import MANNERS as MANNER_WORDS
from adapters.http.web.fields import as_date
from adapters.http.web.locale import local
from adapters.http.web.nav import Link, NavItem
from adapters.http.web.rows import acts, shows
from adapters.http.web.sent import read_sections
from adapters.http.web.words import N_
from gateway.carried import CHECKS, MANNERS, SAYING, Check, Said
from gateway.collaboration import Trouble
from gateway.consents import STOCKHOLM
from gateway.decide import AccessAction
from gateway.errors import FieldError, GatewayError, InvalidFormError, SignInError, TooManyAttemptsError
from gateway.linked import SeenThere
from gateway.loads import Load
from gateway.model.base import AttachmentId, InboxId, Instant
from gateway.model.carrying import HandOver, Manner, Obstacle
from gateway.model.directory import InboxKind
from gateway.model.identity import Role
from gateway.model.path import Channel
from gateway.states import DeliveryState, HandOverState

HELP: Final = "overlamning"
PATH: Final = "/overlamning"
LEAD: Final = N_("Det som skrivs ut skyddas inte längre av Sambud. Därför behövs en kod för varje utskrift.")
DONE: Final = {
    "lamnad": N_("Överlämningen är antecknad. Meddelandet räknas nu som levererat."),
    "inte": N_("Det är antecknat att meddelandet inte är lämnat. Avsändaren ser varför i ärendet."),
    "sagt": N_("Det är antecknat att det är sagt."),
}


async def show_list(call: Call) -> web.Response:
    """What waits for the reader's inboxes."""
    found = []
    for box in await call.gateway.inboxes.mine(call.signed):
        standing = await call.gateway.rights.act(call.signed, box.id, AccessAction.LIST_INBOX)
        if await call.gateway.rights.may(standing, AccessAction.CARRY):
            found.append((box, await call.gateway.carrying.waiting(call.signed, box.id)))
    directory = await call.gateway.directory.current()
    done = DONE.get(call.request.query.get("klart", ""))
    return await call.web.page(
        call,
        "carry/list.html",
        title=call.tr("Att lämna för hand"),
        found=[(box, work) for box, work in found if work.loads or work.sayings or work.done],
        waits=any(work.loads or work.sayings for _, work in found),
        names={inbox.id: inbox.name for inbox in directory.inboxes.values()},
        ways={channel: call.tr(text) for channel, text in WAYS.items()},
        sayings={kind: call.tr(head) for kind, (head, _) in SAYINGS.items()},
        manners={str(manner): call.tr(text) for manner, text in MANNER_WORDS.items()},
        taken=HandOverState.TAKEN,
        done=call.tr(done) if done else "",
    )


# --- a message -------------------------------------------------------------------------------------------------------


async def show(call: Call) -> web.Response:
    return await _page(call)


async def take(call: Call) -> web.Response:
    inbox, delivery = _where(call)
    await call.gateway.printing.take(call.signed, inbox, delivery)
    return call.web.redirect(f"{_url(inbox, delivery)}/kod?till=utskrift")


async def show_code(call: Call) -> web.Response:
    """Asks for the code that a print needs."""
    await call.gateway.carrying.find(call.signed, *_where(call))
    return await _code_page(call, call.request.query.get("till", ""))


async def give_code(call: Call) -> web.Response:
    """Takes the code, and leads to what it is for: the paper, the same as PDF, or a file."""
    inbox, delivery = _where(call)
    chosen = call.field("till")
    try:
        await call.gateway.printing.permit(call.signed, inbox, delivery, "".join(call.field("kod").split()))
    except (SignInError, TooManyAttemptsError) as refused:
        return await _code_page(call, chosen, refused)
    url = _url(inbox, delivery)
    if chosen in ("", "utskrift", "pdf"):
        return call.web.redirect(f"{url}/{chosen or 'utskrift'}")
    return call.web.redirect(f"{url}/utskrift/{quote(chosen, safe='')}")


async def _code_page(call: Call, chosen: str, refused: GatewayError | None = None) -> web.Response:
    inbox, delivery = _where(call)
    wanted = [one for one in _papers(call) if one[1] == chosen] or _papers(call)
    if chosen and chosen not in ("utskrift", "pdf"):
        wanted = [("till", chosen, call.tr("Hämta bilagan"))]
    return await act_code_page(
        call,
        action=f"{_url(inbox, delivery)}/kod",
        lead=call.tr(LEAD),
        choices=wanted,
        back=Link(_url(inbox, delivery), call.tr("Till överlämningen")),
        refused=refused,
    )


def _papers(call: Call) -> list[tuple[str, str, str]]:
    """What a code can be given for: name, value and text of its button."""
    found = [("till", "utskrift", call.tr("Visa utskriften"))]
    if call.gateway.printing.makes_pdf:
        found.append(("till", "pdf", call.tr("Hämta som PDF")))
    return found


def _code_at(call: Call) -> str:
    last = call.request.path.rpartition("/")[2]
    return f"{_url(*_where(call))}/kod?till={quote(last, safe='')}"


async def show_paper(call: Call) -> web.Response:
    """The recipient's projection, made to be printed."""
    inbox, delivery = _where(call)
    paper = await call.gateway.printing.print(call.signed, inbox, delivery)
    directory = await call.gateway.directory.current()
    recipient = directory.inbox(paper.load.delivery.inbox)
    organisation = directory.organisations[directory.administration(recipient.administration).organisation]
    held = paper.opened.body.get("attachments_held_back", 0)
    return await call.web.page(
        call,
        "carry/paper.html",
        title=paper.form.title,
        back=Link(_url(inbox, delivery), call.tr("Till överlämningen")),
        paper=paper,
        load=paper.load,
        recipient=recipient,
        organisation=organisation.name,
        sender=directory.inbox(inbox),
        sections=read_sections(paper.form, paper.opened.body),
        statement=str(paper.opened.body.get("statement", "")),
        files=paper.opened.attachments,
        files_held=held if isinstance(held, int) else 0,
        url=_url(inbox, delivery),
        makes_pdf=call.gateway.printing.makes_pdf,
        copying=paper.load.delivery.channel is Channel.LINK,
    )


async def show_pdf(call: Call) -> web.Response:
    """The same paper as PDF."""
    inbox, delivery = _where(call)
    octets = await call.gateway.printing.pdf(call.signed, inbox, delivery)
    load = await call.gateway.carrying.find(call.signed, inbox, delivery)
    headers = {
        "Content-Disposition": disposition(f"{load.case.reference}.pdf"),
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }
    return web.Response(body=octets, content_type="application/pdf", headers=headers)


async def read_file(call: Call) -> web.StreamResponse:
    """A file to be printed with it."""
    inbox, delivery = _where(call)
    key = AttachmentId(call.part("bilaga"))
    file, pieces = await call.gateway.printing.file(call.signed, inbox, delivery, key)
    return await download(call, file, pieces)


async def handed_over(call: Call) -> web.Response:
    inbox, delivery = _where(call)
    load = await call.gateway.carrying.find(call.signed, inbox, delivery)
    if load.hand_over is None or load.hand_over.state is not HandOverState.DONE:  # pressed twice is said once
        try:
            await call.gateway.carrying.hand_over(call.signed, inbox, delivery, _said(call))
        except InvalidFormError as invalid:
            return await _page(call, invalid.faults)
    return call.web.redirect(f"{PATH}?klart=lamnad")


async def ask_link(call: Call) -> web.Response:
    """Asks Cosmic Link how the case stands there, and shows what it said; nothing of it is kept."""
    return await _page(call, seen=await call.gateway.linked.look(call.signed, *_where(call)))


async def not_handed_over(call: Call) -> web.Response:
    inbox, delivery = _where(call)
    chosen = call.field("varfor")
    if chosen not in set(Obstacle):
        return await _page(call, [FieldError("/varfor", "missing", call.tr("Välj varför det inte är lämnat."))])
    load = await call.gateway.carrying.find(call.signed, inbox, delivery)
    if load.delivery.state in (DeliveryState.QUEUED, DeliveryState.IN_TRANSIT):  # pressed twice is said once
        await call.gateway.carrying.give_up(call.signed, inbox, delivery, Obstacle(chosen))
    return call.web.redirect(f"{PATH}?klart=inte")


# --- something to say ------------------------------------------------------------------------------------------------


async def show_saying(call: Call) -> web.Response:
    return await _saying_page(call)


async def said(call: Call) -> web.Response:
    inbox, notice = InboxId(call.part("inbox")), call.part("notis")
    row, _ = await call.gateway.carrying.saying(call.signed, inbox, notice)
    if row.state is HandOverState.WAITING:  # pressed twice is said once
        try:
            await call.gateway.carrying.say(call.signed, inbox, notice, _said(call))
        except InvalidFormError as invalid:
            return await _saying_page(call, invalid.faults)
    return call.web.redirect(f"{PATH}?klart=sagt")


# --- details ---------------------------------------------------------------------------------------------------------


def _where(call: Call) -> tuple[InboxId, str]:
    return InboxId(call.part("inbox")), call.part("leverans")


def _url(inbox: InboxId, delivery: str) -> str:
    return f"{PATH}/{inbox}/{delivery}"


async def _page(call: Call, faults: Sequence[FieldError] = (), *, seen: SeenThere | None = None) -> web.Response:
    inbox, delivery = _where(call)
    load: Load = await call.gateway.carrying.find(call.signed, inbox, delivery)
    directory = await call.gateway.directory.current()
    route = next((one for one in directory.ways_to(load.delivery.inbox) if one.channel is load.delivery.channel), None)
    now = call.gateway.ports.clock.now()
    return await call.web.page(
        call,
        "carry/show.html",
        title=call.tr("Lämna till %(name)s", name=directory.inbox(load.delivery.inbox).name),
        status=422 if faults else 200,
        faults=faults,
        back=Link(PATH, call.tr("Att lämna för hand")),
        load=load,
        url=_url(inbox, delivery),
        action=f"{_url(inbox, delivery)}/kod",
        papers=_papers(call),
        address=route.address if route else "",
        way=call.tr(WAYS[load.delivery.channel]),
        waits=load.delivery.state is DeliveryState.QUEUED and load.delivery.due_at <= now,
        with_us=load.delivery.state is DeliveryState.IN_TRANSIT,
        checks=[(str(check), call.tr(CHECK_WORDS[check])) for check in CHECKS[load.delivery.channel]],
        manners=[(str(manner), call.tr(MANNER_WORDS[manner])) for manner in MANNERS[load.delivery.channel]],
        obstacles=[(str(one), call.tr(text)) for one, text in OBSTACLES.items()],
        asks_link=call.gateway.linked.connected and load.delivery.channel is Channel.LINK,
        seen=call.tr(LINK_WORDS[seen.status or seen.trouble or Trouble.UNKNOWN]) if seen else "",
        known=seen is not None and seen.status is not None,
        **await _told(call, load.hand_over),
    )


async def _saying_page(call: Call, faults: Sequence[FieldError] = ()) -> web.Response:
    inbox, notice = InboxId(call.part("inbox")), call.part("notis")
    row, case = await call.gateway.carrying.saying(call.signed, inbox, notice)
    directory = await call.gateway.directory.current()
    head, text = SAYINGS[row.what]
    return await call.web.page(
        call,
        "carry/say.html",
        title=call.tr(head),
        status=422 if faults else 200,
        faults=faults,
        back=Link(PATH, call.tr("Att lämna för hand")),
        row=row,
        case=case,
        party=directory.inbox(row.party).name,
        text=call.tr(text),
        url=f"{PATH}/{inbox}/sag/{notice}",
        waits=row.state is HandOverState.WAITING,
        manners=[(str(manner), call.tr(MANNER_WORDS[manner])) for manner in SAYING],
        **await _told(call, row),
    )


async def _told(call: Call, row: HandOver | None) -> dict[str, Any]:
    """What was said, or what stands in the fields: what was sent, else this minute."""
    now = local(call.gateway.ports.clock.now())
    sent = call.request.method == "POST"
    given_to, reference = await call.gateway.carrying.said(row) if row is not None else ("", "")
    return {
        "settled": row if row is not None and row.state is HandOverState.DONE else None,
        "given_to": given_to,
        "reference": reference,
        "manner_words": {str(manner): call.tr(text) for manner, text in MANNER_WORDS.items()},
        "values": {
            "satt": call.field("satt"),
            "nar": call.field("nar") if sent else now.date().isoformat(),
            "klockan": call.field("klockan") if sent else f"{now:%H:%M}",
            "till": call.field("till"),
            "referens": call.field("referens"),
            "kontroll": call.form.getall("kontroll", []),
        },
    }


def _said(call: Call) -> Said:
    """What the form says; what cannot be read becomes a value that is refused with its own words."""
    manner = call.field("satt")
    checks = {str(check) for check in Check} & set(call.form.getall("kontroll", []))
    return Said(
        manner=Manner(manner) if manner in set(Manner) else None,
        handed_at=_when(call.field("nar"), call.field("klockan")),
        given_to=call.field("till"),
        reference=call.field("referens"),
        checks=frozenset(Check(check) for check in checks),
    )


def _when(day: str, clock: str) -> Instant:
    """A Swedish day and time; 0, which is refused, for what is none."""
    try:
        moment = datetime.fromisoformat(f"{as_date(day)} {clock.replace('.', ':').zfill(5)}")
    except ValueError:
        return Instant(0)
    return Instant(int(moment.replace(tzinfo=STOCKHOLM).timestamp()) * 1_000_000)


ONE: Final = f"{PATH}/{{inbox}}/{{leverans}}"
SAY: Final = f"{PATH}/{{inbox}}/sag/{{notis}}"
ROUTES: Final = (
    shows(PATH, show_list, N_("Att lämna för hand"), HELP, scope=Scope.OWN),
    shows(SAY, show_saying, N_("Något att säga"), HELP),
    acts(SAY, said, N_("Anteckna att det är sagt"), HELP, audit="announced"),
    shows(ONE, show, N_("Lämna för hand"), HELP),
    acts(f"{ONE}/ta", take, N_("Ta ut för utskrift"), HELP, audit="dispatched"),
    shows(f"{ONE}/kod", show_code, N_("Ange en kod för en utskrift"), HELP),
    acts(f"{ONE}/kod", give_code, N_("Ange en kod för en utskrift"), HELP, audit="stepped_up"),
    shows(f"{ONE}/utskrift", with_act_code(show_paper, _code_at), N_("Utskrift"), HELP, audit="printed"),
    shows(f"{ONE}/pdf", with_act_code(show_pdf, _code_at), N_("Utskrift som PDF"), HELP, audit="printed", html=False),
    shows(
        f"{ONE}/utskrift/{{bilaga}}",
        with_act_code(read_file, _code_at),
        N_("Bilaga"),
        HELP,
        audit="printed",
        html=False,
    ),
    acts(f"{ONE}/lamnad", handed_over, N_("Anteckna överlämning"), HELP, audit="carried"),
    acts(f"{ONE}/link", ask_link, N_("Fråga hur ärendet står i Cosmic Link"), HELP, audit="link_asked"),
    acts(f"{ONE}/inte-lamnad", not_handed_over, N_("Anteckna att det inte är lämnat"), HELP, audit="not_delivered"),
)
NAV: Final = (
    NavItem(
        path=PATH,
        label=N_("Att lämna för hand"),
        roles=frozenset({Role.CASE_WORKER, Role.UNIT_MANAGER, Role.COORDINATOR, Role.KEY_WORKER}),
        kinds=frozenset({InboxKind.CASEWORK, InboxKind.SEAT, InboxKind.UNIT, InboxKind.INTAKE}),
        order=25,
    ),
)
