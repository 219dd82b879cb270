"""The nouns of the gateway, one module for each family.

`base` (ids, instants, rows, facts), `directory`, `identity`, `keys`, `path` (what travels), `queue` (work),
`carrying` (by hand), `systems` (case systems), `log`.
"""

from __future__ import annotations

from typing import Final

from gateway.model import carrying, directory, identity, keys, log, notices, path, queue, systems
from gateway.model.base import Row

#: Every kind of row that a Store keeps, in an order in which they could be created.
ROWS: Final[tuple[type[Row], ...]] = (
    directory.Organisation,
    directory.Administration,
    directory.Unit,
    directory.Inbox,
    directory.Route,
    directory.Board,
    directory.Generation,
    directory.Listing,
    directory.BookReading,
    identity.User,
    identity.Factor,
    identity.AttemptCounter,
    identity.Session,
    identity.StepUpWindow,
    identity.ActGrant,
    identity.Membership,
    keys.AdministrationKey,
    keys.KeyRecord,
    keys.KeyHead,
    keys.MemberKey,
    keys.InboxWrap,
    keys.ChannelKey,
    keys.EnvelopeWrap,
    keys.ShredBatch,
    keys.SideKey,
    path.Case,
    path.CaseParty,
    path.Consent,
    path.Draft,
    path.Attachment,
    path.Quarantined,
    path.FileVerdict,
    path.Message,
    path.Envelope,
    path.EnvelopeAttachment,
    path.Delivery,
    path.DeliveryConsent,
    path.Conversation,
    path.Arrival,
    path.Held,
    path.Receipt,
    path.Reading,
    path.DecisionRecord,
    path.SeatAnswer,
    path.Notice,
    notices.NoticeChoice,
    notices.NoticeMail,
    path.IdempotencyRecord,
    queue.Task,
    queue.Claim,
    queue.Worksheet,
    queue.Recall,
    queue.IdentityMark,
    carrying.HandOver,
    systems.SystemMessage,
    systems.SystemThread,
    log.AuditLeaf,
    log.AuditSide,
    log.Checkpoint,
)
