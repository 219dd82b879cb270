"""The access log for a reviewer: who in which function did what, when, by which rule; its proofs, export and check.

Why this exists: loggranskning (PDL 4 kap. 3 §, SoLPUL 10 §) must not need a terminal. The pages show functions and
pseudonyms, never names and never content; whatever is read here is logged itself, and the page says so.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from aiohttp import web

from adapters.http.routes import Call, Handler, Route, Scope
from adapters.http.web.again import act_code_page, with_act_code
from adapters.http.web.locale import local
from adapters.http.web.log_words import (
    ACTIONS,
    DETAILS,
    LOUD,
    action_word,
    finding,
    function_words,
    outcome_word,
)
from adapters.http.web.nav import Link, NavItem
from adapters.http.web.rows import page_row
from adapters.http.web.words import N_
from gateway.audit import Event
from gateway.decide import AccessAction
from gateway.errors import (
    FieldError,
    InvalidFormError,
    NotFoundError,
    SignInError,
    TooManyAttemptsError,
    UnknownEntryError,
)
from gateway.inspection import LONGEST_S
from gateway.model.base import GATEWAY
from gateway.model.identity import Role

PAGE: Final = 50
SHORT: Final = 20  # characters of an id that a list shows
#: What a spreadsheet would take for a formula at the beginning of a cell (OWASP, CSV injection).
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Filters:
    """What the address asks for."""

    year: str
    log: str
    action: str
    administration: str
    target: str  # id of the object
    before: int | None

    def query(self, **changes: object) -> str:
        """The address of the same list, with changes; empty values are left out."""
        values = {
            "ar": self.year,
            "handelse": self.action,
            "myndighet": self.administration,
            "objekt": self.target,
            **changes,
        }
        return urlencode({name: value for name, value in values.items() if value not in ("", None)})


@dataclass(frozen=True, slots=True)
class Line:
    """An event as a list shows it."""

    event: Event
    administration: str
    action: str
    outcome: str
    loud: bool
    function: str
    target: str
    short: str


async def show_log(call: Call) -> web.Response:
    years = await call.gateway.review.logs(call.signed)
    asked = _filters(call, years)
    faults: Sequence[FieldError] = ()
    found: Sequence[Event] = ()
    try:
        found = await _search(call, asked)
    except InvalidFormError as invalid:
        faults = invalid.faults
    names = await administrations(call)
    return await call.web.page(
        call,
        "log.html",
        title=call.tr("Åtkomstlogg"),
        status=422 if faults else 200,
        faults=faults,
        years=[(year, year) for year in years],
        actions=[("", call.tr("Alla händelser")), *_sorted((key, call.tr(word)) for key, word in ACTIONS.items())],
        administrations=[("", call.tr("Alla")), *_sorted(names.items())],
        asked=asked,
        filtered=bool(asked.action or asked.administration or asked.target),
        lines=[_line(call, event, names) for event in found],
        newer=asked.query() if asked.before is not None else "",
        older=asked.query(fore=found[-1].number) if len(found) == PAGE and found[-1].number else "",
        action=f"/logg/kod?{asked.query(fore=asked.before)}",
        choices=_export(call),
        limit=PAGE,
    )


async def show_export_code(call: Call) -> web.Response:
    """Asks for the code that taking rows out needs."""
    return await _export_code_page(call)


async def give_export_code(call: Call) -> web.Response:
    """Takes the code and leads to the file; which rows stands in the address."""
    asked = _filters(call, await call.gateway.review.logs(call.signed))
    try:
        await call.gateway.review.permit_export(call.signed, asked.log, "".join(call.field("kod").split()))
    except (SignInError, TooManyAttemptsError) as refused:
        # An answer of trouble repeats nothing that its caller sent, and the selection must not be lost.
        why = "fel" if isinstance(refused, SignInError) else "vanta"
        return call.web.redirect(f"/logg/kod?{asked.query(fore=asked.before)}&lage={why}")
    return call.web.redirect(f"/logg/export?{asked.query(fore=asked.before)}")


async def _export_code_page(call: Call) -> web.Response:
    asked = _filters(call, await call.gateway.review.logs(call.signed))
    query = asked.query(fore=asked.before)
    return await act_code_page(
        call,
        action=f"/logg/kod?{query}",
        lead=call.tr("Raderna lämnar Sambud som en fil. Därför behövs en kod för varje fil."),
        choices=_export(call),
        back=Link(f"/logg?{query}", call.tr("Till loggen")),
        refused=None,
    )


def _export(call: Call) -> list[tuple[str, str, str]]:
    return [("till", "fil", call.tr("Hämta raderna som fil (CSV)"))]


def _export_code_at(call: Call) -> str:
    return f"/logg/kod?{call.request.query_string}"


async def export(call: Call) -> web.Response:
    """The rows of the page as a file for loggranskning; that they left is logged."""
    years = await call.gateway.review.logs(call.signed)
    asked = _filters(call, years)
    found = await _search(call, asked, export=True)
    names = await administrations(call)
    text = io.StringIO()
    rows = csv.writer(text, delimiter=";", lineterminator="\r\n")
    columns = ("Nr", "Tid", "Myndighet", "Händelse", "Utfall", "Funktion", "Pseudonym", "Objekt", "Ärende", "Regler")
    rows.writerow(columns)
    for event in found:
        line = _line(call, event, names)
        when = local(event.at).isoformat(timespec="seconds")
        case, rules = str(event.detail.get("case", "")), " ".join(event.policies)
        cells = (line.administration, line.action, line.outcome, line.function, event.actor, line.target, case, rules)
        rows.writerow([event.number, when, *(safe_cell(cell) for cell in cells)])
    name = f"sambud-logg-{asked.year}-{found[0].number if found else 0}.csv"
    return web.Response(
        # The BOM tells Excel that this is UTF-8.
        body=text.getvalue().encode("utf-8-sig"),
        content_type="text/csv",
        charset="utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def safe_cell(text: str) -> str:
    """`text` as a cell that no spreadsheet runs."""
    return f"'{text}" if text.startswith(FORMULA) else text


async def show_row(call: Call) -> web.Response:
    years = await call.gateway.review.logs(call.signed)
    year, number = _year(call, years), _number(call)
    found = await call.gateway.review.events(call.signed, years[year], start=number, limit=1)
    if not found or found[0].number != number:
        raise _no_row()
    [event], names = found, await administrations(call)
    line = _line(call, event, names)
    asked = Filters(year, event.log, "", "", "", None)
    return await call.web.page(
        call,
        "log_row.html",
        title=call.tr("Rad %(n)s i loggen", n=number),
        back=Link(f"/logg?ar={year}", call.tr("Till loggen")),
        line=line,
        details=_details(call, event, names),
        year=year,
        same_object=asked.query(objekt=line.target) if line.target else "",
    )


async def prove(call: Call) -> web.Response:
    """A proof that others can check with their own programs (C2SP tlog-proof)."""
    await call.gateway.rights.without_inbox(call.signed, AccessAction.READ_LOG)
    years = await call.gateway.review.logs(call.signed)
    year, number = _year(call, years), _number(call)
    await call.gateway.integrator.flush()
    text = await call.gateway.review.prove(years[year], number)
    name = f"sambud-bevis-{year}-{number}.txt"
    return web.Response(
        text=text,
        content_type="text/plain",
        charset="utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


async def show_check(call: Call) -> web.Response:
    inspection = call.gateway.inspection
    last = await inspection.last(call.signed)
    reports = [
        (report, [finding(text, call.tr) for text in (*report.faults, *report.missing)])
        for report in (last.reports if last else ())
    ]
    return await call.web.page(
        call,
        "log_check.html",
        title=call.tr("Kontrollera loggen"),
        back=Link("/logg", call.tr("Till loggen")),
        last=last,
        reports=reports,
        anchors=await inspection.anchors(call.signed),
        longest=int(LONGEST_S),
    )


async def check(call: Call) -> web.Response:
    await call.gateway.inspection.run(call.signed)
    return call.web.redirect("/logg/kontroll")


async def administrations(call: Call) -> dict[str, str]:
    """Administrations by id, and the gateway's own."""
    directory = await call.gateway.directory.current()
    own = {str(GATEWAY): call.tr("Sambud, själva systemet")}
    return own | {found.administration: found.name for found in directory.administrations.values()}


async def _search(call: Call, asked: Filters, *, export: bool = False) -> Sequence[Event]:
    return await call.gateway.review.search(
        call.signed,
        asked.log,
        action=asked.action,
        administration=asked.administration,
        object=asked.target,
        before=asked.before,
        limit=PAGE,
        export=export,
    )


def _filters(call: Call, years: Mapping[str, str]) -> Filters:
    """What the address asks for; what it cannot mean is left out."""
    query, year = call.request.query, _year(call, years)
    action, before = query.get("handelse", ""), query.get("fore", "")
    return Filters(
        year,
        years[year],
        action if action in ACTIONS else "",
        query.get("myndighet", "").strip()[:128],
        query.get("objekt", "").strip(),
        _whole(before),
    )


def _year(call: Call, years: Mapping[str, str]) -> str:
    wanted = call.request.query.get("ar", "")
    if wanted in years:
        return wanted
    if not years:
        raise _no_row()
    return next(iter(years))


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 15 else None


def _number(call: Call) -> int:
    number = _whole(call.part("nummer"))
    if number is None:
        raise _no_row()
    return number


def _line(call: Call, event: Event, names: Mapping[str, str]) -> Line:
    target = str(event.detail.get("object", ""))
    return Line(
        event,
        names.get(event.administration, event.administration),
        call.tr(action_word(event.action)),
        call.tr(outcome_word(event.outcome)),
        event.outcome in LOUD or event.action == "alarm",
        function_words(str(event.detail.get("role", "")), call.tr),
        target,
        target if len(target) <= SHORT else f"{target[:8]}…",
    )


def _details(call: Call, event: Event, names: Mapping[str, str]) -> list[tuple[str, str]]:
    """Everything that was told of the act, in words where there are any; ids as they are."""
    found = []
    for key, value in event.detail.items():
        if value in ("", None) or key == "role":
            continue
        told = call.tr(action_word(str(value))) if key in ("action", "sought_action") else _plain(value)
        if key in ("administration", "sought_administration"):
            told = names.get(str(value), told)
        found.append((call.tr(DETAILS[key]) if key in DETAILS else key, told))
    return found


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _sorted(pairs: Any) -> list[tuple[str, str]]:
    return sorted(pairs, key=lambda pair: pair[1].casefold())


def _no_row() -> NotFoundError:
    return UnknownEntryError(
        "no such row", swedish="Raden finns inte i loggen.", next_step="Gå till loggen och välj en rad där."
    )


def _row(method: str, path: str, handler: Handler, title: str, audit: str, topic: str = "logg") -> Route:
    return page_row(method, path, handler, title, audit=audit, help_=topic, scope=Scope.GATEWAY)


ROUTES: Final = (
    _row("GET", "/logg", show_log, N_("Åtkomstlogg"), "log_read"),
    _row("GET", "/logg/kod", show_export_code, N_("Ange en kod för en fil ur loggen"), "none: asks for a code"),
    _row("POST", "/logg/kod", give_export_code, N_("Ange en kod för en fil ur loggen"), "stepped_up"),
    _row("GET", "/logg/export", with_act_code(export, _export_code_at), N_("Åtkomstlogg som fil"), "log_read"),
    _row("GET", "/logg/kontroll", show_check, N_("Kontrollera loggen"), "none: counts and signed heads", "bevis"),
    _row("POST", "/logg/kontroll", check, N_("Kontrollera loggen"), "log_verified", "bevis"),
    _row("GET", "/logg/{nummer}", show_row, N_("En rad i loggen"), "log_read"),
    _row("GET", "/logg/{nummer}/bevis", prove, N_("Bevis för en rad"), "none: a leaf holds no identity", "bevis"),
)
NAV: Final = (NavItem(path="/logg", label=N_("Logg"), roles=frozenset({Role.AUDITOR}), order=10),)
