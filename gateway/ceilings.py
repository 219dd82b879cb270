"""The highest privacy class that a system may open in an inbox (ADR-0009).

Why this exists: what a system's key can open is open day and night, and nobody is asked. So its membership has a
ceiling that the administration set and a member admitted. What a form can hold decides, not what one of them happens to
hold: that is known only after opening.
"""

from __future__ import annotations

from gateway.errors import UnknownFormError
from gateway.forms import FormCatalogue
from gateway.members import CEILING, HIGHEST_CEILING
from gateway.model.classes import PrivacyClass
from gateway.rights import Standing


def within_ceiling(standing: Standing, forms: FormCatalogue, form_type: str, form_version: int) -> bool:
    """Whether this member may open this kind of form here; people have no ceiling."""
    if not standing.signed.user.is_system:
        return True
    try:
        ceiling = PrivacyClass(standing.membership.ceiling or CEILING)
        return forms.get(form_type, form_version).highest <= min(ceiling, HIGHEST_CEILING)
    except (ValueError, UnknownFormError):
        return False
