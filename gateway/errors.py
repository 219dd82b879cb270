"""The few errors a caller may act on; each says what happened, what was kept and what to do next.

Rules: an error carries ids and field names, never content, personal data, codes or tokens. `code` is the stable name
used as problem type (RFC 9457 §3.1.1) and in the log; `status` is the HTTP status that fits it (RFC 9110 §15).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


class GatewayError(Exception):
    """Base of all expected trouble.

    Args:
        message: English, for logs and developers.
        swedish: the same for the user, as a good colleague would say it.
        next_step: Swedish; what the reader can do now.
    """

    code: ClassVar[str] = "gateway-error"
    status: ClassVar[int] = 500
    NEXT_STEP: ClassVar[str] = ""  # what this kind of trouble always asks for, where the raiser says no more

    def __init__(self, message: str, *, swedish: str = "", next_step: str = "") -> None:
        super().__init__(message)
        self.swedish = swedish or message
        self.next_step = next_step or self.NEXT_STEP


@dataclass(frozen=True, slots=True)
class FieldError:
    """One fault in a form: where (JSON pointer), which kind, and the Swedish text for the writer."""

    pointer: str
    kind: str
    swedish: str


class InvalidFormError(GatewayError):
    """The form cannot be sent as it is. `faults` lists every fault at once; the draft is kept."""

    code = "invalid-form"
    status = 422

    def __init__(self, message: str, faults: Sequence[FieldError], *, swedish: str = "", next_step: str = "") -> None:
        super().__init__(message, swedish=swedish, next_step=next_step)
        self.faults = tuple(faults)


class InvalidRequestError(GatewayError):
    """The request itself is malformed: nothing was done."""

    code = "invalid-request"
    status = 400
    NEXT_STEP = "Ladda om och försök igen. Inget har ändrats."


class UnknownFormError(GatewayError):
    """No such form type or version."""

    code = "unknown-form"
    status = 422


class NotFoundError(GatewayError):
    """Absent, or not yours: the two are never told apart (404 = absent = forbidden)."""

    code = "not-found"
    status = 404
    NEXT_STEP = "Kontrollera att du är i rätt inkorg och läs in listan på nytt. Inget har ändrats."


class UnknownEntryError(NotFoundError):
    """Absent from a list that is the same for everybody who may ask: its words need hide nothing."""


class SignInError(GatewayError):
    """The sign-in did not succeed; never says which part was wrong."""

    code = "sign-in-failed"
    status = 401


class TooManyAttemptsError(GatewayError):
    """Wait `retry_after_s` seconds before the next try."""

    code = "too-many-attempts"
    status = 429

    def __init__(self, message: str, *, retry_after_s: int, swedish: str = "", next_step: str = "") -> None:
        super().__init__(message, swedish=swedish, next_step=next_step)
        self.retry_after_s = retry_after_s


class SessionEndedError(GatewayError):
    """Sign in again; drafts are kept."""

    code = "session-ended"
    status = 401


class StepUpRequiredError(GatewayError):
    """A fresh second factor is needed for this inbox or act."""

    code = "step-up-required"
    status = 403


class ActCodeRequiredError(StepUpRequiredError):
    """This act needs a code of its own, once (`gateway.grants`). `lapse` says why the one before does not do."""

    code = "act-code-required"

    def __init__(self, message: str, *, lapse: str = "", swedish: str = "", next_step: str = "") -> None:
        super().__init__(message, swedish=swedish, next_step=next_step)
        self.lapse = lapse


class ForbiddenError(GatewayError):
    """A signed-in user lacks the role for an act whose existence is no secret."""

    code = "forbidden"
    status = 403


class RefusedError(GatewayError):
    """Secrecy or consent rules say no. `next_step` names the smallest change that would permit, with its paragraph."""

    code = "disclosure-refused"
    status = 403


class DecisionStaleError(GatewayError):
    """A fact the decision rests on moved before the commit; nothing was written. Decide again and retry."""

    code = "decision-stale"
    status = 409


class ConflictError(GatewayError):
    """Somebody else changed the same thing first; nothing of this request was kept. Read again."""

    code = "conflict"
    status = 409


class IdempotencyConflictError(GatewayError):
    """The same Idempotency-Key came with other content; the first request stands."""

    code = "idempotency-key-reused"
    status = 409


class IllegalTransitionError(GatewayError):
    """The state does not allow this event; nothing was changed."""

    code = "illegal-transition"
    status = 409


class RecipientError(GatewayError):
    """An unknown inbox, or one that does not accept the form. Nothing was sealed."""

    code = "recipient-not-possible"
    status = 422


class AttachmentError(GatewayError):
    """The file cannot be taken: too large, refused type or bad name. Other files and the draft are kept."""

    code = "attachment-refused"
    status = 422


class FileWaitsError(GatewayError):
    """No verdict of the malware scanner on a file yet: it is kept, and given to nobody. Try again in a minute."""

    code = "file-waits"
    status = 503


class EnvelopeError(GatewayError):
    """An envelope cannot be opened. One outward error for every cause; the log says which check failed."""

    code = "envelope-rejected"
    status = 422


class IntegrityError(GatewayError):
    """A row that decides, a key record or a wrap does not verify: refused, and an alarm is raised."""

    code = "integrity-failure"
    status = 500


class StoreUnavailableError(GatewayError):
    """The store cannot take the write now (locked, full, read-only); nothing was acknowledged. Retry later."""

    code = "store-unavailable"
    status = 503
    NEXT_STEP = "Försök igen om en stund. Inget har sparats."


class StoreFullError(StoreUnavailableError):
    """The disk is full; reading still works."""

    code = "store-full"
    status = 507


class OutcomeUnknownError(StoreUnavailableError):
    """The store may or may not have kept the write: its answer was lost. Repeat the same request with the same
    Idempotency-Key; what was kept is then answered again and never done twice."""

    code = "outcome-unknown"
    NEXT_STEP = "Titta efter om det blev sparat innan du gör om det."


class LogBehindError(StoreUnavailableError):
    """The log is not being published, so nothing is accepted or opened (no log, no content). Retry later."""

    code = "log-behind"


class BackupError(GatewayError):
    """A backup cannot be made, opened or restored as it is; nothing was changed or left behind."""

    code = "backup"
    status = 500
    NEXT_STEP = "Inget har ändrats."


class SetupError(GatewayError):
    """The gateway must not start like this: wrong or missing root key, newer schema, unknown setting, port in use."""

    code = "setup"
    status = 500
