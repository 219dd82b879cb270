"""What a mail server's codes mean for a parcel: reply codes of SMTP and status codes of delivery reports.

Why this exists: a sender must read "the address does not exist there", not "550 5.1.1". The same table serves the
answer at the connection and the bounce that comes a day later; only the codes count, never the text beside them, which
may quote the mail or name somebody.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from gateway.neighbours import Reason, Telling, Told

#: RFC 3463 §3: subject and detail of a status code, the longer beginning first.
_BY_STATUS: Final[Mapping[str, Reason]] = {
    "1.7": Reason.UNTRUSTED,  # our sender's address is no address there
    "1.8": Reason.UNTRUSTED,
    "1": Reason.NOT_FOUND,
    "2.1": Reason.NOT_FOUND,  # disabled
    "2.2": Reason.UNREACHABLE,  # full: for a final answer, that is a way that does not work
    "2.3": Reason.TOO_LARGE,
    "3.4": Reason.TOO_LARGE,
    "3": Reason.UNREACHABLE,
    "4": Reason.UNREACHABLE,
    "6": Reason.TYPE,
    "7.10": Reason.INSECURE,  # RFC 7505, RFC 8689 §5: encryption needed
    "7.5": Reason.INSECURE,
    "7": Reason.UNTRUSTED,
}
#: RFC 5321 §4.2.2: what a bare reply code says, where the server sends no other.
_BY_CODE: Final[Mapping[int, Reason]] = {
    550: Reason.NOT_FOUND,
    551: Reason.NOT_FOUND,
    552: Reason.TOO_LARGE,
    553: Reason.NOT_FOUND,
    556: Reason.NOT_FOUND,
}
_STATUS: Final = re.compile(r"([245])\.(\d{1,3})\.(\d{1,3})")


def reason_of(status: str) -> Reason:
    """The reason that a status code such as `5.1.1` gives; REFUSED when it says nothing that we know."""
    found = _STATUS.fullmatch(status.strip())
    if found is None:
        return Reason.REFUSED
    return _BY_STATUS.get(f"{found[2]}.{found[3]}") or _BY_STATUS.get(found[2]) or Reason.REFUSED


def of_reply(code: int, text: str, *, about_way: bool) -> Told:
    """What a reply that is not the wished one makes of the parcel.

    Args:
        about_way: it was given before any address was named: not this parcel is refused, but we are.
    """
    status = _STATUS.match(text.strip())
    detail = f"{code} {status[0]}" if status else str(code)
    if not 500 <= code <= 599:  # 4xx; and what is no reply at all is trouble of the way
        return Told(Telling.DELAYED, Reason.UNREACHABLE if about_way else Reason.BUSY, detail=detail)
    if about_way:
        return Told(Telling.REFUSED, Reason.NOT_CONNECTED, detail=detail)
    by_code = _BY_CODE.get(code, Reason.REFUSED)
    return Told(Telling.REFUSED, reason_of(status[0]) if status and status[1] == "5" else by_code, detail=detail)
