"""The gateway as its callers see it: every use case, built once over the ports.

Why this exists: the server, the command line, the demo and the tests must all walk the same path. `build` puts the use
cases together from what `gateway.__main__` (or a test) plugs in; nothing here does anything by itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.accounts import Accounts
from gateway.address_book import AddressBooks
from gateway.administration import Administering
from gateway.aftermath import Aftermath
from gateway.announcements import Announcements
from gateway.answers import Answers
from gateway.arriving import Arriving
from gateway.attachments import Attachments
from gateway.audit import Auditor
from gateway.bell import Bell
from gateway.carrying import Carrying
from gateway.cases import Cases
from gateway.casework import Casework
from gateway.channel_watch import UNFETCHED_AFTER, ChannelWatch
from gateway.channels import Channels
from gateway.closing import Closing
from gateway.consents import Consents
from gateway.decide import Decider, Policy
from gateway.deliver import Outbox
from gateway.deputies import Deputies
from gateway.directory import Directory
from gateway.directory_changes import DirectoryChanges
from gateway.drafts import Drafts
from gateway.factors import Factors
from gateway.filepolicy import FilePolicy
from gateway.forms import FormCatalogue
from gateway.forwarding import Forwarding
from gateway.freshness import Freshness
from gateway.grants import Grants
from gateway.guard import Guard
from gateway.handover import Handover
from gateway.health import Health
from gateway.holding import Holding
from gateway.identity import PasswordLane, SignIn
from gateway.inboxes import Inboxes
from gateway.inspection import Inspection
from gateway.intake import Intake
from gateway.integrator import Integrator
from gateway.integrity import Integrity
from gateway.items import Items
from gateway.lingering import Lingering
from gateway.linked import Linked
from gateway.loads import Loads
from gateway.members import Members
from gateway.notice_choices import NoticeChoices
from gateway.noticing import Noticing
from gateway.opening import Opening
from gateway.parcels import Parcels
from gateway.ports import (
    UNMEASURED,
    Assertions,
    AttachmentSealer,
    Blobs,
    Clock,
    KeyMaker,
    Machine,
    Metrics,
    Opener,
    Priority,
    Sealer,
    ShredKeys,
    Store,
    TileStore,
    UnknownMachine,
    Vault,
    Worksheets,
)
from gateway.preflight import Preflight
from gateway.presence import Presence
from gateway.printing import Printing
from gateway.quarantine import Quarantine
from gateway.queue import Queue
from gateway.recalls import Recalls
from gateway.register import Register
from gateway.replies import Replies
from gateway.retries import Retries
from gateway.review import Review
from gateway.rights import Rights
from gateway.screening import Screening
from gateway.seal import Sealing
from gateway.search import Search
from gateway.sending import Sending
from gateway.sessions import SessionRules, Sessions
from gateway.sheets import Notes, Sheets
from gateway.store import Acceptance
from gateway.system_list import SystemList
from gateway.system_post import SystemPost
from gateway.systems import Systems
from gateway.traffic import Traffic
from gateway.triage import Placing, Triage
from gateway.watching import Watching
from gateway.windows import Windows


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What a gateway stands on."""

    store: Store
    blobs: Blobs
    tiles: TileStore
    clock: Clock
    policy: Policy
    sealer: Sealer
    opener: Opener
    attachments: AttachmentSealer
    worksheets: Worksheets
    vault: Vault
    shred: ShredKeys
    maker: KeyMaker
    assertions: Assertions
    priority: Priority
    screening: Screening = field(default_factory=Screening)
    files: FilePolicy = field(default_factory=FilePolicy)
    metrics: Metrics = UNMEASURED
    machine: Machine = field(default_factory=UnknownMachine)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What an operator may choose."""

    log_name: str = "sambud.example"
    attachment_max_bytes: int = 100_000_000
    rules: SessionRules = field(default_factory=SessionRules)
    totp_window: int = 0
    reserve_percent: int = 5
    unfetched_after: int = UNFETCHED_AFTER


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """Every use case."""

    ports: Ports
    forms: FormCatalogue
    directory: Directory
    auditor: Auditor
    integrator: Integrator
    freshness: Freshness
    integrity: Integrity
    accounts: Accounts
    sign_in: SignIn
    sessions: Sessions
    windows: Windows
    grants: Grants
    members: Members
    rights: Rights
    inboxes: Inboxes
    cases: Cases
    consents: Consents
    drafts: Drafts
    attachments: Attachments
    quarantine: Quarantine
    sending: Sending
    outbox: Outbox
    channels: Channels
    channel_watch: ChannelWatch
    intake: Intake
    arriving: Arriving
    holding: Holding
    triage: Triage
    placing: Placing
    announcements: Announcements
    carrying: Carrying
    linked: Linked
    closing: Closing
    lingering: Lingering
    printing: Printing
    noticing: Noticing
    notice_choices: NoticeChoices
    bell: Bell
    opening: Opening
    answers: Answers
    queue: Queue
    casework: Casework
    notes: Notes
    items: Items
    replies: Replies
    recalls: Recalls
    retries: Retries
    forwarding: Forwarding
    traffic: Traffic
    search: Search
    presence: Presence
    watching: Watching
    register: Register
    address_books: AddressBooks
    preflight: Preflight
    review: Review
    inspection: Inspection
    handover: Handover
    administering: Administering
    directory_changes: DirectoryChanges
    systems: Systems
    system_post: SystemPost
    system_list: SystemList
    health: Health
    options: Options


def build(ports: Ports, options: Options | None = None, *, owner: str = "worker-1") -> Gateway:
    """A gateway over `ports`. `owner` names this process in leases."""
    chosen = options or Options()
    store, vault, clock, metrics = ports.store, ports.vault, ports.clock, ports.metrics
    integrity = Integrity(vault)
    forms = FormCatalogue.load()
    auditor = Auditor(chosen.log_name, store, vault, ports.shred, clock, metrics=metrics)
    directory = Directory(store, integrity)
    factors = Factors(vault, integrity, window=chosen.totp_window)
    sessions = Sessions(store, integrity, auditor, clock, chosen.rules)
    windows = Windows(store, integrity, factors, auditor, clock, chosen.rules, metrics=metrics)
    grants = Grants(store, integrity, windows, auditor, clock)
    lane = PasswordLane(vault)
    members = Members(store, ports.maker, integrity, auditor, clock)
    decider = Decider(ports.policy)
    rights = Rights(store, directory, members, decider, auditor)
    cases = Cases(store, rights, integrity, auditor, clock)
    consents = Consents(store, rights, cases, forms, vault, integrity, auditor, clock)
    drafts = Drafts(store, rights, cases, forms, ports.worksheets, auditor, clock)
    files = ports.files.narrowed(chosen.attachment_max_bytes)
    quarantine = Quarantine(store, rights, integrity, ports.screening, auditor, clock)
    attachments = Attachments(
        store,
        ports.blobs,
        rights,
        drafts,
        ports.attachments,
        ports.worksheets,
        ports.screening,
        quarantine,
        files,
        auditor,
        clock,
    )
    sealing = Sealing(ports.sealer)
    bell = Bell()
    freshness = Freshness(store, auditor, clock)
    acceptance = Acceptance(store, vault, integrity, auditor, freshness, bell, metrics=metrics)
    sending = Sending(
        store,
        rights,
        cases,
        consents,
        drafts,
        attachments,
        forms,
        decider,
        vault,
        sealing,
        acceptance,
        auditor,
        clock,
        metrics=metrics,
    )
    opening = Opening(
        store,
        ports.blobs,
        rights,
        sessions,
        windows,
        decider,
        consents,
        forms,
        integrity,
        ports.sealer,
        ports.opener,
        ports.attachments,
        quarantine,
        auditor,
        freshness,
        clock,
        metrics=metrics,
    )
    sheets = Sheets(store, ports.worksheets, clock)
    accounts = Accounts(store, integrity, factors, sessions, lane, auditor, clock)
    answers = Answers(
        store,
        rights,
        cases,
        forms,
        sending,
        sealing,
        acceptance,
        opening,
        Deputies(sheets, clock),
        ports.sealer,
        auditor,
        clock,
    )
    queue = Queue(store, rights, windows, opening, sheets, vault, ports.priority, auditor, clock)
    notes, guard, presence = Notes(store, rights, windows, sheets, auditor), Guard(store), Presence(clock)
    integrator = Integrator(store, ports.tiles, vault, auditor, clock, metrics=metrics)
    register = Register(store, ports.maker, integrity, directory, members, accounts, auditor, forms, clock)
    review = Review(store, ports.tiles, vault, auditor, rights, grants)
    handover = Handover(clock)
    channels = Channels(
        store,
        ports.blobs,
        directory,
        forms,
        integrity,
        ports.opener,
        ports.attachments,
        ports.shred,
        vault,
        quarantine,
        auditor,
        clock,
        owner=owner,
    )
    channel_watch = ChannelWatch(
        store, directory, channels, rights, auditor, clock, unfetched_after=chosen.unfetched_after
    )
    loads, aftermath = Loads(store, integrity, auditor, clock), Aftermath(store, ports.shred, clock)
    carrying = Carrying(store, rights, integrity, vault, directory, loads, aftermath, auditor, clock)
    holding = Holding(
        store, ports.blobs, integrity, ports.sealer, ports.opener, ports.attachments, files, auditor, clock
    )
    intake = Intake(
        store,
        ports.blobs,
        directory,
        forms,
        integrity,
        consents,
        vault,
        ports.sealer,
        ports.attachments,
        auditor,
        clock,
        ports.screening,
        quarantine,
        files,
        holding,
    )
    placing = Placing(store, directory, integrity, holding, intake, ports.shred, auditor, clock)
    noticing = Noticing(store, directory, integrity, vault, auditor, clock, metrics=metrics)
    sign_in = SignIn(store, vault, integrity, factors, sessions, lane, auditor, clock, metrics=metrics)
    announcements = Announcements(store, directory, forms, channels, integrity, auditor, clock)
    return Gateway(
        ports=ports,
        forms=forms,
        directory=directory,
        auditor=auditor,
        integrator=integrator,
        freshness=freshness,
        integrity=integrity,
        accounts=accounts,
        sign_in=sign_in,
        sessions=sessions,
        windows=windows,
        grants=grants,
        members=members,
        rights=rights,
        inboxes=Inboxes(store, rights, members, directory),
        cases=cases,
        consents=consents,
        drafts=drafts,
        attachments=attachments,
        quarantine=quarantine,
        sending=sending,
        outbox=Outbox(
            store, directory, integrity, ports.sealer, ports.opener, auditor, clock, owner=owner, metrics=metrics
        ),
        channels=channels,
        channel_watch=channel_watch,
        announcements=announcements,
        carrying=carrying,
        linked=Linked(store, rights, vault, directory, loads, auditor),
        lingering=Lingering(store, channels, announcements, clock),
        closing=Closing(store, directory, integrity, channels, aftermath, auditor, clock),
        printing=Printing(
            store,
            rights,
            grants,
            forms,
            integrity,
            ports.opener,
            Parcels(store, ports.blobs, forms, ports.attachments, vault, quarantine),
            vault,
            loads,
            carrying,
            freshness,
            clock,
        ),
        noticing=noticing,
        notice_choices=NoticeChoices(store, noticing, vault, auditor, clock),
        intake=intake,
        arriving=Arriving(intake),
        holding=holding,
        triage=Triage(store, rights, windows, directory, integrity, holding, ports.sealer, auditor, clock),
        placing=placing,
        bell=bell,
        opening=opening,
        answers=answers,
        queue=queue,
        casework=Casework(store, rights, directory, members, cases, drafts, attachments, forms, opening, queue, clock),
        notes=notes,
        items=Items(store, rights, windows, cases, queue, notes, guard),
        replies=Replies(store, rights, answers, sending, forms, guard, presence, clock),
        forwarding=Forwarding(store, rights, cases, forms, opening, sending, sealing, acceptance, clock),
        retries=Retries(store, rights, integrity, channels, auditor, clock),
        recalls=Recalls(store, rights, drafts, integrity, auditor, clock),
        traffic=Traffic(store, rights, consents, auditor, clock),
        search=Search(store, rights, vault, auditor, clock),
        presence=presence,
        watching=Watching(store, rights, sessions, presence, clock),
        register=register,
        address_books=AddressBooks(store, directory, auditor, clock),
        preflight=Preflight(store, directory, channels, clock),
        review=review,
        inspection=Inspection(store, vault, review, integrator, rights, auditor, clock),
        handover=handover,
        administering=Administering(
            store, integrity, directory, accounts, sessions, members, rights, auditor, handover, clock
        ),
        directory_changes=DirectoryChanges(store, directory, register, forms, rights, handover, clock),
        systems=Systems(
            store, integrity, directory, sessions, sign_in, rights, ports.maker, ports.assertions, auditor, clock
        ),
        system_post=SystemPost(store, vault, directory, rights, cases, drafts, attachments, sending, forms),
        system_list=SystemList(store, vault, directory, rights, members, cases, opening, forms, auditor, clock),
        health=Health(
            store,
            ports.blobs,
            ports.shred,
            vault,
            auditor,
            presence,
            sessions,
            ports.machine,
            clock,
            watch=channel_watch,
            quarantine=quarantine,
            reserve_percent=chosen.reserve_percent,
        ),
        options=chosen,
    )
