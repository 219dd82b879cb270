"""The JSON API, version 1. `CALLS` is its table, in the order of a message's path; `ROUTES` has its description too."""

from __future__ import annotations

from typing import Final

from adapters.http import openapi
from adapters.http.api import (
    answers,
    attachments,
    byhand,
    cases,
    consents,
    drafts,
    forms,
    inboxes,
    notices,
    post,
    registrator,
    review,
    signin,
    systems,
    transport,
    triage,
    users,
    work,
)
from adapters.http.routes import Route

CALLS: Final[tuple[Route, ...]] = (
    *signin.ROUTES,
    *inboxes.ROUTES,
    *notices.ROUTES,
    *cases.ROUTES,
    *forms.ROUTES,
    *drafts.ROUTES,
    *attachments.ROUTES,
    *consents.ROUTES,
    *post.ROUTES,
    *registrator.ROUTES,
    *triage.ROUTES,
    *byhand.ROUTES,
    *transport.ROUTES,
    *work.ROUTES,
    *answers.ROUTES,
    *review.ROUTES,
    *users.ROUTES,
    *systems.ROUTES,
)
ROUTES: Final[tuple[Route, ...]] = (*CALLS, openapi.row(CALLS))
