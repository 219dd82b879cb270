"""What this gateway answers by itself: a receipt to a party that we know, and one neutral sentence to everybody else.

Why this exists: a sender whose mail cannot be read must learn it, or somebody waits for help that nobody plans. But an
answer tells too: so it says the same to all, quotes nothing, goes to nobody twice a day, and never to a machine
(RFC 3834).
"""

from __future__ import annotations

import datetime
import uuid
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Final

from adapters.smtp.addresses import checked, domain_of, is_message_id
from adapters.smtp.mail import POLICY
from gateway.model.base import Instant
from gateway.neighbours import Answer

_NAMESPACE: Final = uuid.UUID("6f1c2c52-3a0e-5c3c-9a55-3f0c0f9b7a11")
NEUTRAL: Final = """\
Ditt meddelande kunde inte tas emot på den här adressen, och ingen har läst det.

Hit går bara krypterad och signerad e-post från myndigheter som vi har kommit
överens med. Ring oss om ärendet är brådskande. Skicka inte känsliga uppgifter
i vanlig e-post.

Det här är ett automatiskt svar och går inte att besvara.

--

Your message could not be received at this address, and nobody has read it.
Only encrypted and signed e-mail from authorities that we have an agreement
with is taken here. Call us if it is urgent. Do not send sensitive information
by ordinary e-mail.
"""


def neutral(own: str, to: str, message_id: str, now: Instant) -> bytes:
    """The answer to a mail that is not read here. It quotes nothing, its subject neither.

    Raises:
        UnsafeTextError: an address that must not stand in a mail.
    """
    mail = EmailMessage(POLICY)
    _headed(mail, own, to, "Meddelandet kunde inte tas emot", now, f"neutral {message_id} {now}")
    mail["Auto-Submitted"] = "auto-replied"
    if is_message_id(message_id.strip("<>")):
        mail["In-Reply-To"] = mail["References"] = f"<{message_id.strip('<>')}>"
    mail.set_content(NEUTRAL, cte="quoted-printable")
    return mail.as_bytes(policy=POLICY)


def receipt(own: str, to: str, identifier: str, answer: Answer, now: Instant) -> bytes:
    """A disposition notification (RFC 8098): taken in, or why not. `identifier` is the mail's as its sender wrote it.

    Raises:
        UnsafeTextError: an address that must not stand in a mail.
    """
    mail = EmailMessage(POLICY)
    _headed(mail, own, to, "Kvittens", now, f"receipt {identifier} {answer.reason}")
    mail["Auto-Submitted"] = "auto-replied"
    text = EmailMessage(POLICY)
    text.set_content(
        "Meddelandet har tagits emot av funktionen.\n" if answer.taken else "Meddelandet har inte tagits emot.\n"
    )
    mail["Content-Type"] = "multipart/report; report-type=disposition-notification"
    fields = [
        "Reporting-UA: sambud",
        f"Final-Recipient: rfc822;{checked(own)}",
        f"Original-Message-ID: <{identifier}>",
        "Disposition: automatic-action/MDN-sent-automatically; " + ("processed" if answer.taken else "deleted/error"),
    ]
    if not answer.taken:
        fields.append(f"Error: {answer.reason}")
    told = EmailMessage(POLICY)
    told["Content-Type"] = "message/disposition-notification"
    told.set_payload("".join(f"{field}\r\n" for field in fields))
    mail.set_boundary(f"=_sambud_{uuid.uuid5(_NAMESPACE, identifier)}")
    mail.attach(text)
    mail.attach(told)
    return mail.as_bytes(policy=POLICY)


def _headed(mail: EmailMessage, own: str, to: str, subject: str, now: Instant, name: str) -> None:
    """The head that both have; the same answer has the same Message-ID, so that a second try is no second answer."""
    mail["MIME-Version"] = "1.0"
    mail["Date"] = format_datetime(datetime.datetime.fromtimestamp(now // 1_000_000, datetime.UTC))
    mail["From"] = checked(own)
    mail["To"] = checked(to)
    mail["Subject"] = subject
    mail["Message-ID"] = f"<{uuid.uuid5(_NAMESPACE, name)}@{domain_of(own)}>"
