"""The simulated counterpart: an organisation whose functions are named for what they do (docs/sdk-simulator.md §2).

Why this exists: whoever builds a client needs each answer that SDK can give, when it suits, without telling a fault to
come: the address says it, as the numbers of test cards do.
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from adapters.sdk.faults import Why
from adapters.sdk.model import Attention, Document, File, Message, Party
from gateway.model.base import Instant

ORGANISATION: Final = "0203:motpart.example"
NAME: Final = "Motparten (låtsad)"
ANSWERS: Final = "sdk:inkorg:svarar"
_REFUSES: Final = "sdk:inkorg:avvisar:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """What becomes of a message to a function. Times are seconds from when it was taken."""

    refusal: str = ""  # reason/detail of the receipt
    receipt_s: int | None = 0  # None: it never comes
    gives_up_s: int | None = None  # when the service stops waiting for it
    reachable: bool = True
    answers_s: int | None = None
    twice: bool = False  # the answer comes once more when it has been deleted


#: Functions, what they are called in the address book, and what they do.
FUNCTIONS: Final[Mapping[str, tuple[str, Behaviour]]] = {
    "sdk:inkorg:tar-emot": ("Tar emot", Behaviour()),
    ANSWERS: ("Tar emot och svarar", Behaviour(answers_s=5)),
    "sdk:inkorg:dubbel": ("Svarar två gånger", Behaviour(answers_s=5, twice=True)),
    "sdk:inkorg:sen": ("Kvitterar efter en timme", Behaviour(receipt_s=3600)),
    "sdk:inkorg:tyst": ("Kvitterar aldrig", Behaviour(receipt_s=None)),
    "sdk:inkorg:ingen-kvittens": (
        "Kvitterar aldrig, tjänsten ger upp",
        Behaviour(receipt_s=None, gives_up_s=60),
    ),
    "sdk:inkorg:borta": ("Går inte att nå", Behaviour(receipt_s=None, gives_up_s=60, reachable=False)),
    f"{_REFUSES}BV:not-supported": ("Avvisar", Behaviour(refusal="BV/not-supported")),
}
UNKNOWN: Final = Behaviour(refusal="BV/not-found")


def behaviour_of(function: str) -> Behaviour:
    """What a function of the counterpart does; one that it does not have is refused (B1.3.3 §5.3, row 9)."""
    if function.lower() in FUNCTIONS:
        return FUNCTIONS[function.lower()][1]
    why, _, detail = function[len(_REFUSES) :].partition(":") if function.lower().startswith(_REFUSES) else ("", "", "")
    if why.upper() in set(Why) and detail:
        return Behaviour(refusal=f"{why.upper()}/{detail}")
    return UNKNOWN


def message_to(
    recipient: Party, *, at: Instant, label: str, text: str, files: tuple[File, ...] = (), function: str = ANSWERS
) -> Message:
    """A message from a function of the counterpart."""
    identifier = str(uuid.uuid4())
    return Message(
        id=identifier,
        conversation=identifier,
        created=at,
        label=label,
        confidential=True,
        sender=Party(id=ORGANISATION, attention=Attention(function=function, label=FUNCTIONS[function][0])),
        recipient=recipient,
        documents=(Document(id="1", index="1", texts=(text,) if text or not files else (), files=files),),
    )


def answer_to(message: Message, *, at: Instant) -> Message:
    """An answer as B1.3.3 §4.3.2 has it: the same conversation, and the sender's references returned."""
    sender = message.sender
    asked = Party(
        id=sender.id,
        attention=Attention(function=sender.attention.function, references=sender.attention.references),
    )
    function = message.recipient.attention.function.lower()
    made = message_to(asked, at=at, label="Svar", text="Tack för meddelandet.", function=function)
    return dataclasses.replace(made, conversation=message.conversation, refers_to=message.id)
