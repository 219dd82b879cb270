"""The directory for an administrator: what stands, a new file compared with it, and exactly that applied.

Why this exists: a wrong address sends secrets to the wrong function, so nobody applies what was not shown. A file is
looked at first; the confirmation carries a digest of what was shown. First passwords and seeds are shown once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiohttp import web

from adapters.http.routes import Call, Handler, Rate, Route, Scope
from adapters.http.web import security
from adapters.http.web.nav import Link, NavItem
from adapters.http.web.rows import page_row
from adapters.http.web.words import INBOX, N_, ROLE
from gateway.directory_changes import MAX_FILE, Examined
from gateway.errors import ConflictError, DecisionStaleError, FieldError, InvalidFormError
from gateway.model.identity import MembershipState, Role

KINDS: Final[Mapping[str, str]] = {
    "organisation": N_("Organisation"),
    "administration": N_("Myndighet"),
    "unit": N_("Enhet"),
    "inbox": N_("Inkorg"),
    "board": N_("Remissgrupp"),
    "route": N_("Väg"),
    "user": N_("Användare"),
}
FIELDS: Final[Mapping[str, str]] = {
    "name": N_("Namn"),
    "number": N_("Organisationsnummer"),
    "organisation": N_("Organisation"),
    "administration": N_("Myndighet"),
    "unit": N_("Enhet"),
    "secrecy_regime": N_("Sekretess enligt"),
    "legal_form": N_("Driftsform"),
    "kind": N_("Slag"),
    "accepts": N_("Tar emot"),
    "seats": N_("Platser"),
    "inbox": N_("Inkorg"),
    "channel": N_("Kanal"),
    "address": N_("Adress"),
    "rank": N_("Ordning"),
    "pin": N_("Certifikatets fingeravtryck"),
    "outside": N_("Finns utanför"),
    "signing_key": N_("Signeringsnyckelns fingeravtryck"),
    "leaving": N_("På väg till den gamla adressen nu"),
    "login": N_("Användarnamn"),
    "title": N_("Funktion"),
    "roles": N_("Roller"),
}


async def show(call: Call) -> web.Response:
    directory, members = await call.gateway.directory_changes.current(call.signed)
    counts = {
        inbox: (
            sum(row.state is MembershipState.ACTIVE for row in rows),
            sum(row.state is MembershipState.PENDING for row in rows),
        )
        for inbox, rows in members.items()
    }
    return await call.web.page(
        call,
        "directory.html",
        title=call.tr("Adressbok"),
        directory=directory,
        administrations=_tree(directory),
        counts=counts,
    )


async def show_file(call: Call) -> web.Response:
    return await _file_page(call)


async def offer(call: Call) -> web.Response:
    """Take a file or a pasted text in, to be looked at."""
    text, fault = await _sent(call)
    if fault:
        return await _file_page(call, text, [FieldError("/text", "file", call.tr(fault))], translated=True)
    try:
        key = await call.gateway.directory_changes.offer(call.signed, text)
    except InvalidFormError as invalid:
        # Each fault names its place in the file; the field to mend is the text.
        return await _file_page(call, text, [FieldError("/text", one.kind, one.swedish) for one in invalid.faults])
    return call.web.redirect(f"/drift/adressbok/forslag/{key}")


async def show_change(call: Call) -> web.Response:
    return await _change_page(call)


async def apply(call: Call) -> web.Response:
    key = call.part("nyckel")
    try:
        await call.gateway.directory_changes.apply(call.signed, key, call.field("visat"))
    except (ConflictError, DecisionStaleError) as moved:
        return await _change_page(call, status=moved.status, moved=True)
    return call.web.redirect(f"/drift/lamna-over/{key}")


async def show_handover(call: Call) -> web.Response:
    kept = call.gateway.handover.show(call.signed, call.part("nyckel"))
    directory = await call.gateway.directory.current()
    return await call.web.page(
        call,
        "handover.html",
        title=call.tr("Lämna över inloggningen") if kept.secrets else call.tr("Adressboken är införd"),
        key=call.part("nyckel"),
        kept=kept,
        waiting=[directory.inboxes[note].name for note in kept.notes if note in directory.inboxes],
    )


async def hand_over(call: Call) -> web.Response:
    call.gateway.handover.forget(call.signed, call.part("nyckel"))
    return call.web.redirect("/drift/anvandare?klart=lamnat")


async def _file_page(
    call: Call, text: str = "", faults: list[FieldError] | None = None, *, translated: bool = False
) -> web.Response:
    await call.gateway.directory_changes.current(call.signed)  # asks for the right
    return await call.web.page(
        call,
        "directory_file.html",
        title=call.tr("Läs in en adressbok"),
        status=422 if faults else 200,
        back=Link("/drift/adressbok", call.tr("Till adressboken")),
        faults=faults or (),
        fault_translated=translated,
        text=text,
        most=MAX_FILE // 1024,
    )


async def _change_page(call: Call, *, status: int = 200, moved: bool = False) -> web.Response:
    key = call.part("nyckel")
    examined = await call.gateway.directory_changes.examine(call.signed, key)
    return await call.web.page(
        call,
        "directory_change.html",
        title=call.tr("Skillnaden mot adressboken"),
        status=status,
        back=Link("/drift/adressbok/fil", call.tr("Till filen")),
        key=key,
        moved=moved,
        examined=examined,
        lines=_lines(call, examined),
        left=[found for found in examined.differences if found.what == "?"],
        kinds={kind: call.tr(word) for kind, word in KINDS.items()},
        inboxes={id_: label for (kind, id_), label in examined.labels.items() if kind == "inbox"},
    )


def _lines(call: Call, examined: Examined) -> list[dict[str, Any]]:
    """Each change with what stood before and what stands after, field by field."""
    found = []
    for difference in examined.changes:
        name = (difference.kind, difference.id)
        if difference.what == "+":
            fields: Sequence[tuple[str, object, object]] = [
                (field, None, value) for field, value in examined.fields.get(name, ())
            ]
        else:
            fields = difference.fields
        found.append(
            {
                "new": difference.what == "+",
                "kind": call.tr(KINDS.get(difference.kind, difference.kind)),
                "label": examined.labels.get(name, difference.id),
                "fields": [
                    (call.tr(FIELDS.get(field, field)), _told(call, field, before), _told(call, field, after))
                    for field, before, after in fields
                ],
            }
        )
    return found


def _told(call: Call, field: str, value: object) -> str:
    """A value as people say it; ids stay ids."""
    words: dict[str, str] = {}
    if field == "roles":
        words = {str(role): call.tr(word) for role, word in ROLE.items()}
    elif field == "kind":
        words = {str(kind): call.tr(word) for kind, word in INBOX.items()}
    elif field == "accepts":
        words = {form.id: call.tr(form.title) for form in call.gateway.forms.all()}
    parts = value if isinstance(value, (list, tuple)) else () if value is None else (value,)
    return ", ".join(words.get(str(part), str(part)) for part in parts)


def _tree(directory: Any) -> list[tuple[Any, Any, list[tuple[Any, list[Any]]]]]:
    """Administrations with their organisation, units and inboxes, by name."""

    def by_name(rows: Any) -> list[Any]:
        return sorted(rows, key=lambda row: row.name)

    boxes = by_name(directory.inboxes.values())
    found = []
    for one in by_name(directory.administrations.values()):
        units = by_name(unit for unit in directory.units.values() if unit.administration == one.administration)
        found.append(
            (
                one,
                directory.organisations[one.organisation],
                [(unit, [box for box in boxes if box.unit == unit.id]) for unit in units],
            )
        )
    return found


async def _sent(call: Call) -> tuple[str, str]:
    """The text of the file, or the pasted one; and what is wrong with it."""
    parts = await security.parts_of(call)
    file, pasted = b"", b""
    while (part := await parts.next()) is not None:
        if part.name not in ("fil", "text"):
            continue
        octets = b""
        async for chunk in part.pieces():
            octets += chunk
            if len(octets) > MAX_FILE:
                return "", N_("Filen är för stor. En adressbok får ha högst 512 kB.")
        if part.name == "fil":
            file = octets
        else:
            pasted = octets
    try:
        text = (file or pasted).decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError:
        return "", N_("Filen är ingen text i UTF-8. Välj adressboksfilen, som slutar på .toml.")
    return text, "" if text.strip() else N_("Välj en fil, eller klistra in texten.")


def _row(method: str, path: str, handler: Handler, title: str, audit: str, rate: Rate | None = None) -> Route:
    return page_row(method, path, handler, title, audit=audit, help_="adressbok", scope=Scope.GATEWAY, rate=rate)


_NONE: Final = "none: the directory is known to every user"
ROUTES: Final = (
    _row("GET", "/drift/adressbok", show, N_("Adressbok"), _NONE),
    _row("GET", "/drift/adressbok/fil", show_file, N_("Läs in en adressbok"), _NONE),
    _row("POST", "/drift/adressbok/fil", offer, N_("Läs in en adressbok"), "none: nothing changes yet", Rate.UPLOAD),
    _row("GET", "/drift/adressbok/forslag/{nyckel}", show_change, N_("Skillnaden mot adressboken"), _NONE),
    _row("POST", "/drift/adressbok/forslag/{nyckel}", apply, N_("Inför adressboken"), "directory_applied"),
    _row("GET", "/drift/lamna-over/{nyckel}", show_handover, N_("Lämna över inloggningen"), "none: logged when made"),
    _row("POST", "/drift/lamna-over/{nyckel}", hand_over, N_("Lämna över inloggningen"), "none: forgets a secret"),
)
NAV: Final = (
    NavItem(path="/drift/adressbok", label=N_("Adressbok"), roles=frozenset({Role.SYSTEM_ADMINISTRATOR}), order=30),
)
