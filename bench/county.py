"""The demo directory as something to measure: sessions, consented cases, whole messages, a file on its way.

Why this exists: a case takes one referral at a time, so every message needs a case of its own, with a consent, before
the clock starts. What is measured is then the acceptance alone: the whole `placement_referral`, one recipient inbox and
the sender's own copy.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from gateway import workers
from gateway.__main__ import SystemWiring
from gateway.consents import STOCKHOLM
from gateway.demo import CASEWORK, SEAT_EKELIDEN, STEP_US, demo_directory, demo_password
from gateway.factors import code_for
from gateway.forms.demo import demo_consent, demo_referral
from gateway.forms.names import REFERRAL
from gateway.model.base import CaseId, Instant
from gateway.sending import Submission
from gateway.sessions import Signed
from gateway.settings import Settings
from gateway.usecases import Gateway

SENDER: Final = "al-sos"
READER: Final = "ek-chef"
RECIPIENT: Final = SEAT_EKELIDEN
#: About a kilobyte of the plain words that authorities write to each other; no person is in it.
WORDS: Final = (
    "Vi har gått igenom underlaget och vill komplettera det som skrevs i blanketten. Personen vill helst bo där det "
    "går att ta bussen till arbetsträningen, och har tidigare haft god hjälp av fasta tider och samma kontaktperson. "
)
PREPARING: Final = 32  # cases opened at a time


class County:
    """A gateway with the demo directory and one case worker, signed in."""

    def __init__(self, gateway: Gateway, skew: list[int], seeds: dict[str, bytes]) -> None:
        self.gateway = gateway
        self.skew = skew
        self.seeds = seeds
        self._signed: Signed | None = None

    async def token(self, login: str = SENDER) -> str:
        """A fresh session."""
        return (
            await self.gateway.sign_in.sign_in(login, demo_password(login), code_for(self.seeds[login], self._step()))
        ).token

    def people(self) -> list[list[str]]:
        """Login, password and a fresh code of everybody but sender and reader; they hold for half a minute."""
        now = self._step()
        others = [login for login in self.seeds if login not in (SENDER, READER)]
        return [[login, demo_password(login), code_for(self.seeds[login], now)] for login in others]

    def _step(self) -> Instant:
        """Now, after the clock moved to the next code's first moment: a code works once, and nobody waits."""
        self.skew[0] += STEP_US - self.gateway.ports.clock.now() % STEP_US
        return self.gateway.ports.clock.now()

    async def signed(self) -> Signed:
        if self._signed is None:
            self._signed = await self.gateway.sessions.authenticate(await self.token())
        return self._signed

    async def cases(self, count: int) -> list[CaseId]:
        """Fresh cases with a consent, ready for one referral each."""
        signed = await self.signed()
        consent = demo_consent(self._today())

        async def one() -> CaseId:
            case = await self.gateway.cases.open(signed, CASEWORK)
            await self.gateway.consents.record(signed, CASEWORK, case.id, consent)
            return case.id

        found: list[CaseId] = []
        while len(found) < count:
            found += await asyncio.gather(*(one() for _ in range(min(PREPARING, count - len(found)))))
        return found

    def submission(self, case: CaseId) -> Submission:
        """The message of all rows: the whole form to one inbox."""
        return Submission(
            case=case,
            form_type=REFERRAL,
            form_version=1,
            values=demo_referral(self._today()),
            recipients=(str(RECIPIENT),),
        )

    def case_message(self, case: CaseId, to: str = str(RECIPIENT)) -> Submission:
        """The small message: a kilobyte of text in a case, to one inbox."""
        values = {"text": WORDS * 3 + WORDS[:330], "categories": ["NEED", "SOCIAL"]}
        return Submission(case=case, form_type="case_message", form_version=1, values=values, recipients=(to,))

    async def deliver(self) -> int:
        """Deliver everything that is due; returns how many."""
        count = 0
        while done := await self.gateway.outbox.run_once():
            count += done
        return count

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """The worker of `serve`, as long as the context lasts: deliver, publish, repair, sweep."""

        async def nothing(_: object) -> int:
            return 0

        task = asyncio.create_task(workers.run(self.gateway, nothing))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def accept(self, cases: Sequence[CaseId], tasks: int) -> None:
        """Send one message for each case, `tasks` at a time, without HTTP in between."""
        signed = await self.signed()
        waiting = iter([self.submission(case) for case in cases])

        async def worker() -> None:
            for submission in waiting:
                await self.gateway.sending.send(signed, CASEWORK, submission)

        async with asyncio.TaskGroup() as group:
            for _ in range(tasks):
                group.create_task(worker())

    def body(self, submission: Submission) -> dict[str, Any]:
        """A message as the API takes it."""
        return {
            "inbox": str(CASEWORK),
            "case": submission.case,
            "form_type": submission.form_type,
            "form_version": submission.form_version,
            "values": dict(submission.values),
            "recipients": list(submission.recipients),
        }

    async def draft(self) -> str:
        """A draft in a fresh case, for files."""
        [case] = await self.cases(1)
        values = self.submission(case).values
        draft = await self.gateway.drafts.create(await self.signed(), CASEWORK, case, REFERRAL, 1, values)
        return draft.id

    async def file_draft(self) -> str:
        """A draft of the small message in a fresh case."""
        [case] = await self.cases(1)
        message = self.case_message(case)
        draft = await self.gateway.drafts.create(
            await self.signed(), CASEWORK, case, message.form_type, message.form_version, message.values
        )
        return draft.id

    async def own_copy(self, draft: str) -> tuple[str, list[str]]:
        """Send a draft; the sender's own envelope, and its files: it holds all of them."""
        found = await self.gateway.ports.store.attachments_of(draft)  # type: ignore[arg-type]
        sent = await self.gateway.sending.send_draft(await self.signed(), draft, [str(RECIPIENT)])  # type: ignore[arg-type]
        envelopes = await self.gateway.ports.store.envelopes_of(sent.message)
        return next(row.id for row in envelopes if row.sender_copy), [row.id for row in found]

    def _today(self) -> Any:
        return datetime.fromtimestamp(self.gateway.ports.clock.now() / 1_000_000, STOCKHOLM).date()


@asynccontextmanager
async def a_county(folder: Path, directory: str = "") -> AsyncIterator[County]:
    """The gateway in `folder`, wired as the program wires it: SQLite, FULL, key store, folder blobs.

    It is made with `directory` (the demo's) when it is not there; a folder that was made before is opened with the
    seeds that were kept beside it.
    """
    wiring = SystemWiring()
    settings = Settings(
        data_dir=folder / "data", root_key_file=folder / "key" / "k0", attachment_max_bytes=1024**3, port=0
    )
    kept = folder / "seeds.json"
    new = not kept.exists()
    if new:
        settings.data_dir.mkdir(mode=0o700, parents=True)
        wiring.create_root(settings.root_key_file)
    skew = [0]
    async with wiring.opened(settings, create=new, skew=lambda: skew[0]) as gateway:
        if new:
            await gateway.register.begin()
            await gateway.integrator.open_year()
            applied = await gateway.register.apply(directory or demo_directory(), passwords=demo_password, by="bench")
            seeds = {one.login: one.seed.hex() for one in applied.credentials}
            kept.write_text(json.dumps(seeds), "utf-8")
        seeds = json.loads(kept.read_text("utf-8"))
        yield County(gateway, skew, {login: bytes.fromhex(seed) for login, seed in seeds.items()})
