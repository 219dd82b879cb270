"""The client for case systems: sign in, write, send, read and answer over the API, in a few typed calls.

Why this exists: every case system would otherwise write the same retries, and some would send a referral twice. Here a
sending makes its Idempotency-Key once and keeps it over every try, a file is streamed and never held, a list is walked
to its end, and a refusal is the error that the gateway raised, with its next step.

A client speaks for one signed-in user and is no more concurrent than its transport. `adapters.http.client_transport`
has the transport for aiohttp; docs/api.md shows the whole path.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, urlencode

from gateway.calling import Caller, CutOffError, NoAnswerError, Patience, Pieces, Request, Time, Transport, refusal
from gateway.errors import InvalidRequestError
from gateway.told import (
    CaseTold,
    CaseWhole,
    ConsentTold,
    DeliveryTold,
    DraftTold,
    FileTold,
    InboxTold,
    MessageTold,
    OpenedTold,
    PreviewTold,
    ReceivedTold,
    SentTold,
    Token,
    Window,
    WorkTold,
)

API: Final = "/api/v1"
PAGE: Final = 100


class Client:
    """One user's way into the API."""

    def __init__(
        self,
        transport: Transport,
        *,
        patience: Patience | None = None,
        clock: Time | None = None,
        new_key: Callable[[], str] = lambda: secrets.token_urlsafe(24),
    ) -> None:
        self._caller = Caller(transport, patience, clock)
        self._new_key = new_key
        self._token = ""

    # --- who is asking -----------------------------------------------------------------------------------------------

    async def sign_in(self, login: str, password: str, code: str) -> Token:
        """Begin a session; later calls carry its token. A code works once, so a lost answer needs a new one.

        Raises:
            SignInError: one of the three was wrong, or the code was used.
            TooManyAttemptsError: wait.
        """
        body = {"login": login, "password": password, "code": code}
        token = Token.of(await self._json("POST", "/sessions", body, repeatable=False))
        self._token = token.token
        return token

    async def sign_out(self) -> None:
        """End the session."""
        await self._json("DELETE", "/sessions/current", repeatable=False)
        self._token = ""

    async def step_up(self, inbox: str, code: str) -> Window:
        """Open an inbox for reading, a quarter of an hour, with a fresh code."""
        return Window.of(await self._json("POST", f"/inboxes/{_in(inbox)}/step-up", {"code": code}, repeatable=False))

    async def inboxes(self) -> list[InboxTold]:
        """The inboxes that the user is a member of."""
        return [InboxTold.of(one) for one in (await self._json("GET", "/inboxes"))["inboxes"]]

    # --- cases and consents ------------------------------------------------------------------------------------------

    async def open_case(self, inbox: str) -> CaseTold:
        """A new case. Without a key: after NoAnswerError, look among the newest of `cases` before opening another."""
        return CaseTold.of(await self._json("POST", "/cases", {"inbox": inbox}, repeatable=False))

    def cases(self, inbox: str) -> AsyncIterator[CaseTold]:
        """Every case of an inbox, newest first, fetched as it is asked for."""
        return (CaseTold.of(one) async for one in self._lines(f"/inboxes/{_in(inbox)}/cases", "cases"))

    async def case(self, inbox: str, case: str) -> CaseWhole:
        """A case with its messages and how far each has come."""
        body = await self._json("GET", f"/inboxes/{_in(inbox)}/cases/{_in(case)}")
        return CaseWhole(
            case=CaseTold.of(body["case"]),
            parties=tuple(body["parties"]),
            messages=tuple(MessageTold.of(one) for one in body["messages"]),
            deliveries=tuple(DeliveryTold.of(one) for one in body["deliveries"]),
        )

    async def record_consent(self, inbox: str, case: str, values: Mapping[str, Any], *, refused: bool = False) -> str:
        """Record a consent, or that it was refused; gives its id."""
        body = {"inbox": inbox, "case": case, "values": dict(values), "refused": refused}
        return str((await self._json("POST", "/consents", body, repeatable=False))["id"])

    async def withdraw_consent(self, inbox: str, consent: str) -> None:
        await self._json("POST", f"/consents/{_in(consent)}/withdraw", {"inbox": inbox}, repeatable=False)

    async def consents(self, inbox: str, case: str) -> list[ConsentTold]:
        body = await self._json("GET", f"/inboxes/{_in(inbox)}/cases/{_in(case)}/consents")
        return [ConsentTold.of(one) for one in body["consents"]]

    # --- drafts ------------------------------------------------------------------------------------------------------

    async def create_draft(
        self, inbox: str, case: str, form_type: str, values: Mapping[str, Any], *, form_version: int = 1
    ) -> DraftTold:
        body = {
            "inbox": inbox,
            "case": case,
            "form_type": form_type,
            "form_version": form_version,
            "values": dict(values),
        }
        return DraftTold.of(await self._json("POST", "/drafts", body, repeatable=False))

    async def save_draft(self, draft: DraftTold, values: Mapping[str, Any]) -> DraftTold:
        """All answers anew.

        Raises:
            ConflictError: somebody saved in between, or an earlier try of this call did: read the draft.
        """
        body = {"version": draft.version, "values": dict(values)}
        return DraftTold.of(await self._json("PUT", f"/drafts/{_in(draft.id)}", body, repeatable=False))

    async def draft(self, draft: str) -> tuple[DraftTold, Mapping[str, Any]]:
        """A draft and its answers; the reading is logged."""
        body = await self._json("GET", f"/drafts/{_in(draft)}")
        return DraftTold.of(body["draft"]), body["values"]

    def drafts(self, inbox: str) -> AsyncIterator[DraftTold]:
        return (DraftTold.of(one) async for one in self._lines(f"/inboxes/{_in(inbox)}/drafts", "drafts"))

    async def discard_draft(self, draft: str) -> None:
        await self._json("DELETE", f"/drafts/{_in(draft)}", repeatable=False)

    async def attach(self, draft: str, name: str, file: Pieces, *, category: str = "SOCIAL") -> str:
        """Stream a file into a draft; gives its id. `file` makes the pieces anew, should the gateway ask to wait.

        Raises:
            AttachmentError: too large, a type that is not taken, or a bad name.
            NoAnswerError: look at the draft's files before attaching again.
        """
        boundary = secrets.token_hex(16)
        headers = {"Content-Type": f"multipart/form-data; boundary={boundary}", **self._authorized()}
        path = f"{API}/drafts/{_in(draft)}/attachments"
        request = Request("POST", path, headers, stream=lambda: _multipart(boundary, name, category, file))
        return str(json.loads(await self._caller.whole(request, repeatable=False))["id"])

    async def preview(self, draft: str, recipients: Sequence[str]) -> list[PreviewTold]:
        """What would go to whom; nothing is sent."""
        body = await self._json("POST", f"/drafts/{_in(draft)}/preview", {"recipients": list(recipients)})
        return [PreviewTold.of(one) for one in body["recipients"]]

    # --- sending -----------------------------------------------------------------------------------------------------

    async def send(self, draft: str, recipients: Sequence[str], *, undo_seconds: int = 0, key: str = "") -> SentTold:
        """Send a draft: exactly once, however often the network loses the answer.

        Args:
            key: kept by a caller who may be restarted in the middle; else one is made for this call.

        Raises:
            InvalidFormError: every fault at once; the draft is kept.
            RefusedError: secrecy or consent says no; `next_step` says what would change that.
            RecipientError: an unknown inbox, or one that does not take the form.
        """
        body = {"draft": draft, "recipients": list(recipients), "undo_seconds": undo_seconds}
        return SentTold.of(await self._keyed("/messages", body, key))

    async def send_whole(
        self,
        inbox: str,
        case: str,
        form_type: str,
        values: Mapping[str, Any],
        recipients: Sequence[str],
        *,
        form_version: int = 1,
        in_reply_to: str = "",
        undo_seconds: int = 0,
        key: str = "",
    ) -> SentTold:
        """Send a form without a draft; otherwise as `send`."""
        body = {
            "inbox": inbox,
            "case": case,
            "form_type": form_type,
            "form_version": form_version,
            "values": dict(values),
            "recipients": list(recipients),
            "in_reply_to": in_reply_to,
            "undo_seconds": undo_seconds,
        }
        return SentTold.of(await self._keyed("/messages/direct", body, key))

    async def take_back(self, inbox: str, message: str) -> None:
        """Undo while it is still here. Raises ConflictError when it has left: ask for it back instead."""
        await self._json("POST", f"/messages/{_in(message)}/take-back", {"inbox": inbox}, repeatable=False)

    # --- reading and answering ---------------------------------------------------------------------------------------

    def received(self, inbox: str) -> AsyncIterator[ReceivedTold]:
        """What has come to an inbox, newest first, fetched as it is asked for."""
        return (ReceivedTold.of(one) async for one in self._lines(f"/inboxes/{_in(inbox)}/messages", "messages"))

    def work(self, inbox: str, view: str = "alla") -> AsyncIterator[WorkTold]:
        """A shared inbox as work, in its order."""
        lines = self._lines(f"/inboxes/{_in(inbox)}/work", "items", view=view)
        return (WorkTold.of({**one, "claim_version": (one["claim"] or {}).get("version", 0)}) async for one in lines)

    async def claim(self, envelope: str, *, over: int | None = None) -> None:
        """Take an item: a label that colleagues see. Raises ConflictError when somebody else has it."""
        await self._json("POST", f"/envelopes/{_in(envelope)}/claim", {"over": over})

    async def open(self, envelope: str) -> OpenedTold:
        """Open a message; it is logged first, and its first opening is receipted to the sender.

        Raises:
            StepUpRequiredError: open a window for the inbox first (`step_up`).
            RefusedError: the consent it came under has ended, or the sender asks for it back.
        """
        body = await self._json("POST", f"/envelopes/{_in(envelope)}/open")
        told = body["body"]
        files = tuple(FileTold.of(one) for one in body["attachments"])
        signers = tuple(one["administration"] for one in body["endorsements"])
        held = told.get("held_back") or []
        return OpenedTold.of(
            {**body, "fields": told.get("fields", {}), "held_back": held, "files": files, "signers": signers}
        )

    async def download(self, envelope: str, file: FileTold) -> AsyncIterator[bytes]:
        """A file as it comes.

        Raises:
            CutOffError: it ended too early; what came must not be used.
        """
        path = f"{API}/envelopes/{_in(envelope)}/attachments/{_in(file.id)}"
        came = 0
        try:
            async with self._caller.begin(Request("GET", path, self._authorized())) as reply:
                if reply.status != 200:
                    raise refusal(reply.status, reply.headers, await reply.read())
                pieces = aiter(reply.pieces())
                while (piece := await self._next(pieces)) is not None:
                    came += len(piece)
                    yield piece
        except CutOffError:
            raise
        except NoAnswerError as lost:
            raise _cut_off(came, file) from lost
        if came != file.size:
            raise _cut_off(came, file)

    async def propose(
        self, inbox: str, request: str, values: Mapping[str, Any], *, deputy_reason: str = "", key: str = ""
    ) -> SentTold:
        """Propose the board's answer to the other seat."""
        body = {"inbox": inbox, "request": request, "values": dict(values), "deputy_reason": deputy_reason}
        return SentTold.of(await self._keyed("/answers", body, key))

    async def confirm(self, inbox: str, proposal: str, *, deputy_reason: str = "", key: str = "") -> SentTold:
        """Confirm the other seat's proposal: the answer goes to whoever asked, signed by both."""
        body = {"inbox": inbox, "deputy_reason": deputy_reason}
        return SentTold.of(await self._keyed(f"/answers/{_in(proposal)}/confirm", body, key))

    async def disagree(self, inbox: str, proposal: str) -> None:
        """Say no to a proposal; nothing goes to whoever asked."""
        await self._json("POST", f"/answers/{_in(proposal)}/disagree", {"inbox": inbox}, repeatable=False)

    # --- details -----------------------------------------------------------------------------------------------------

    async def _keyed(self, path: str, body: Mapping[str, Any], key: str) -> Any:
        return await self._json("POST", path, body, headers={"Idempotency-Key": key or self._new_key()})

    async def _json(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        repeatable: bool = True,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        sent = b"" if body is None else json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass")
        kind = {} if body is None else {"Content-Type": "application/json"}
        request = Request(method, API + path, {**kind, **self._authorized(), **(headers or {})}, sent)
        answer = await self._caller.whole(request, repeatable=repeatable)
        return json.loads(answer) if answer else None

    async def _lines(self, path: str, name: str, **query: str) -> AsyncIterator[Mapping[str, Any]]:
        after = ""
        while True:
            asked = urlencode({**query, "limit": PAGE, **({"after": after} if after else {})})
            page = await self._json("GET", f"{path}?{asked}")
            for line in page[name]:
                yield line
            after = page["next"]
            if not after:
                return

    async def _next(self, pieces: AsyncIterator[bytes]) -> bytes | None:
        try:
            async with asyncio.timeout(self._caller.each):
                return await anext(pieces, None)
        except TimeoutError:
            raise NoAnswerError("the file stopped coming", swedish="Filen slutade komma.") from None

    def _authorized(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}"} if self._token else {}


def _in(part: str) -> str:
    """A part of a path.

    Raises:
        InvalidRequestError: empty, or one that would lead elsewhere.
    """
    if part in ("", ".", ".."):
        raise InvalidRequestError("no id", swedish="Ett id saknas.", next_step="Ange id:t. Inget har skickats.")
    return quote(part, safe="")


async def _multipart(boundary: str, name: str, category: str, file: Pieces) -> AsyncIterator[bytes]:
    """A form with a file (RFC 7578): names in UTF-8, with what would end them escaped (§2, HTML multipart encoding)."""
    safe = name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
    yield (
        f'--{boundary}\r\nContent-Disposition: form-data; name="category"\r\n\r\n{category}\r\n'
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{safe}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode()
    async for piece in file():
        yield piece
    yield f"\r\n--{boundary}--\r\n".encode()


def _cut_off(came: int, file: FileTold) -> CutOffError:
    return CutOffError(
        f"{came} of {file.size} octets came", swedish=f"Bara {came} av {file.size} byte av filen kom fram."
    )
