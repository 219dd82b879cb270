"""Write docs/smime-transcript.md: one form by signed and encrypted mail over Debian's Postfix, read by `openssl cms`.

    sudo python tools/smime_transcript.py      # Postfix needs root; everything is on loopback and gone afterwards

What differs from run to run (numbers of the queue, times of day, boundaries, ciphertext) is replaced by a word in
capitals, so that a test can hold the document to what really happens.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import tempfile
from email import message_from_bytes
from email.policy import SMTP
from pathlib import Path
from typing import Any, Final

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from gateway.model.base import EnvelopeId  # noqa: E402  (the checkout is put on the path first)
from gateway.neighbours import Answer  # noqa: E402
from tests.smtp.postfix import Running, a_postfix  # noqa: E402
from tests.smtp.site import Site  # noqa: E402
from tests.smtp.test_postfix import side  # noqa: E402

DOCUMENT: Final = ROOT / "docs" / "smime-transcript.md"
IDENTIFIER: Final = EnvelopeId("3f6f0f0a-5d0c-4f0e-9d35-5a1c5f2b7e01")
CONVERSATION: Final = "6a0b7f52-8a57-4bd7-8c86-9b7a4b9f4a11"
VARIES: Final = (
    (re.compile(r"={10,}\d+=="), "BOUNDARY"),
    (re.compile(r"id [0-9A-Z]{8,}"), "id QUEUE"),
    (re.compile(r"\b[0-9A-F]{9,12}: "), "QUEUE: "),
    (re.compile(r"; \w{3}, +\d+ \w{3} \d{4} [\d:]+ .*$", re.M), "; DATE"),
    (re.compile(r"^\w{3} +\d+ [\d:]+ \S+ ", re.M), ""),
    (re.compile(r"\[\d+\]"), "[PID]"),
    (re.compile(r"delay=[\d.]+, delays=[\d./]+"), "delay=…"),
    (re.compile(r"size=\d+"), "size=…"),
)


TEMPLATE: Final = """\
# Secure e-mail, as it goes

One uppdragsblankett of the demo's test person, from one municipality's gateway to a region's function, over Debian's
Postfix on loopback with TLS that is checked. Drawn by `tools/smime_transcript.py` from a run;
`tests/smtp/test_transcript.py` holds it to what happens. What differs from run to run stands in capitals.

## 1. Handed over

`{handed}`: 250 is "in transit", never "delivered". Postfix says:

{log}

## 2. What every server on the way reads

Addresses, date and ids. The subject is the same for every message; the envelope's sender names the mail for bounces.

{outside}

    $ openssl cms -cmsout -print -inform SMIME -in mail.eml | grep -E 'contentType|algorithm:'

{printed}

## 3. Decrypted with the recipient's key

    $ openssl cms -decrypt -inform SMIME -in mail.eml -recip remiss.pem -inkey remiss.pem -out signed.eml

{signed}

## 4. Verified

    $ openssl cms -verify -inform SMIME -in signed.eml -CAfile ca.pem -purpose smimesign \\
          -attime {at} -out content.eml

{verified}

## 5. What was signed

Subject and the rest stand inside, with a copy of what stood outside (`HP-Outer`, RFC 9788). The receipt is asked for
at an address that only who decrypted can know.

{inside}

Its parts: {parts}. The text begins:

{text}

## 6. Read by the region's gateway, and receipted

Sender `{sender}`, recipient `{recipient}`, origin `{origin}`, form `{form}`; the same data as were sent: {same}.
The receipt, as Postfix delivered it:

{receipt}

The delivery at the sender: `{told}`.
"""


async def drawn() -> str:
    """The document, from a run that happens now."""
    with tempfile.TemporaryDirectory() as folder:
        site = Site.make(Path(folder))
        async with a_postfix() as postfix:
            return await _walked(site, postfix)


async def _walked(site: Site, postfix: Running) -> str:
    vaxjo, region = side(site, postfix, "vaxjo.example"), side(site, postfix, "region.example")
    parcel = site.parcel(id=IDENTIFIER, conversation=CONVERSATION)
    handed = await vaxjo.hand_over(parcel)
    [file] = await postfix.delivered("region.example")
    octets = file.read_bytes()
    log = await _log(postfix)
    printed, signed, verified, content = _opened(site, octets)
    [arrived] = [one async for one in region.arrivals()]
    await region.acknowledge(arrived, Answer())
    [back] = await postfix.delivered("vaxjo.example")
    receipt = back.read_bytes()
    _ = [one async for one in vaxjo.arrivals()]
    told = await vaxjo.outcome(str(IDENTIFIER))
    whole: Any = message_from_bytes(content, policy=SMTP)
    parts = list(whole.iter_parts())
    return TEMPLATE.format(
        handed=handed.telling,
        log=_code(log),
        outside=_code(_head(octets)),
        printed=_code(printed),
        signed=_code(_head(signed)),
        at=site.clock.now() // 1_000_000,
        verified=_code(verified),
        inside=_code(_head(content)),
        parts=", ".join(f"`{part.get_content_type()}` {part.get_filename() or ''}".strip() for part in parts),
        text=_code("\n".join(parts[0].get_content().splitlines()[:12])),
        sender=arrived.sender,
        recipient=arrived.recipient,
        origin=arrived.origin,
        form=(arrived.data or {})["form"][0],
        same="yes" if arrived.data == {**parcel.data, "envelope": str(parcel.id)} else "no",
        receipt=_code(_varying(_report(receipt))),
        told=told.telling,
    )


def _head(octets: bytes) -> str:
    """The lines before the first empty one."""
    return _varying(octets.replace(b"\r\n", b"\n").split(b"\n\n")[0].decode())


def _opened(site: Site, octets: bytes) -> tuple[str, bytes, str, bytes]:
    """What openssl prints of the mail; what it decrypts; what it says of the signature; what was signed."""
    key = site.folder / "remiss.pem"
    key.write_bytes(site.theirs.pem(key=True))
    printed, _ = _cms("-cmsout", "-print", "-inform", "SMIME", octets=octets)
    lines = re.findall(rb"^ *(contentType: \S+|algorithm: \S+)", printed, re.M)
    signed, _ = _cms("-decrypt", "-inform", "SMIME", "-recip", str(key), "-inkey", str(key), octets=octets)
    trust = ("-CAfile", str(site.folder / "ca.pem"), "-purpose", "smimesign")
    at = ("-attime", str(site.clock.now() // 1_000_000))
    content, said = _cms("-verify", "-inform", "SMIME", *trust, *at, octets=signed)
    return "\n".join(line.decode() for line in lines), signed, said.decode().strip(), content


def _cms(*arguments: str, octets: bytes) -> tuple[bytes, bytes]:
    done = subprocess.run(["openssl", "cms", *arguments], input=octets, capture_output=True, check=True)
    return done.stdout, done.stderr


async def _log(postfix: Running) -> str:
    """What Postfix logged of the mail itself; the last line comes a moment after the mail."""
    text = await postfix.logged("status=")
    lines = [line for line in text.splitlines() if re.search(r"message-id=|from=<|status=", line)]
    return _varying("\n".join(lines))


def _report(receipt: bytes) -> str:
    """The fields of the receipt's second part, and whom it went to."""
    whole = message_from_bytes(receipt)
    head = "\n".join(f"{name}: {whole[name]}" for name in ("Return-Path", "Delivered-To", "From", "Auto-Submitted"))
    return f"{head}\n\n{whole.get_payload()[1].as_string().strip()}".replace("\r", "")  # type: ignore[union-attr, index]


def _varying(text: str) -> str:
    text = text.replace("\r", "")
    for pattern, word in VARIES:
        text = pattern.sub(word, text)
    return text


def _code(text: str) -> str:
    return "```\n" + text.strip("\n") + "\n```"


if __name__ == "__main__":
    DOCUMENT.write_text(asyncio.run(drawn()), "utf-8")
    print(DOCUMENT.relative_to(ROOT))
