"""The JSON API, version 1: the path as far as it goes today. `ROUTES` is the one table."""

from __future__ import annotations

from typing import Final

from adapters.http.api import cases, consents, drafts, forms, post, review, signin
from adapters.http.routes import Route

ROUTES: Final[tuple[Route, ...]] = (
    *signin.ROUTES,
    *cases.ROUTES,
    *consents.ROUTES,
    *drafts.ROUTES,
    *forms.ROUTES,
    *post.ROUTES,
    *review.ROUTES,
)
