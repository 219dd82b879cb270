"""A whole uppdragsblankett and a consent, invented: functions instead of names, a published test number.

For the demo, the tests and the measurements, which must all speak of the same input.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any


def demo_referral(today: date) -> dict[str, Any]:
    """Every field of `placement_referral` v1 that has a value in the worked example."""
    return {
        "request_kind": "NEW",
        "placing_board": "Alvesta kommun, individ- och familjeomsorg",
        "worker_function": "Socialsekreterare vuxen",
        "individual_name": "Testperson Exempel",
        "identity_number": {"kind": "personnummer", "value": "19900602-2397"},
        "protected_identity": "NONE",
        "individual_informed": True,
        "age_group": "35-49",
        "sex_legal": "FEMALE",
        "language_interpreter": "Svenska, ingen tolk",
        "legal_ground": "SOL_11_1",
        "lvm_investigation": False,
        "accepts_treatment": "YES",
        "external_now": False,
        "has_children": "YES",
        "child_perspective": "CONSIDER",
        "child_contact_function": "Mottagningen barn och familj, Alvesta",
        "need_summary": (
            "Behöver en lugn miljö med struktur i vardagen efter en längre tid av återfall. Har klarat egna perioder av"
            " nykterhet och vill tillbaka dit. Stöd kvällar och helger är viktigast, liksom hjälp att komma i gång"
            " med en sysselsättning som håller efter placeringen."
        ),
        "need_areas": ["RECOVERY", "STRUCTURE", "SOCIAL_SUPPORT", "RELAPSE_PREVENTION"],
        "substances": ["ALCOHOL"],
        "hsl_need_level": "MEDIUM",
        "detox_status": "DONE",
        "mental_health": "MILD",
        "mobility": "LIGHT",
        "medication": "Står på läkemedel mot sug sedan i våras. Lista lämnas av mottagningen vid inskrivning.",
        "safety_flag": "NONE",
        "earlier_care": "Två öppenvårdsperioder och en kortare placering för fyra år sedan.",
        "motivation": "PRESENT",
        "individual_wishes": "Vill bo nära naturen, kunna ta emot barnen på helgerna och slippa stora grupper.",
        "preferred_unit": ["EKELIDEN"],
        "long_term_plan": "Behandling först, därefter stödboende och egen lägenhet i hemkommunen.",
        "wanted_start": (today + timedelta(days=14)).isoformat(),
        "urgency": "SOON",
        "planned_length": "Sex månader",
        "housing_after": "MUNICIPAL",
        "occupation_after": "ACTIVITY",
        "study_visit_wish": True,
        "other_actors": ["HEALTH"],
        "approved_by": "Socialsekreterare vuxen",
    }


def demo_consent(today: date) -> dict[str, Any]:
    """A consent that lets the referral travel, the seats confer, and the answer come back."""
    case_worker, ekeliden, novus = "alvesta.vuxen", "ekeliden", "novus"
    pairs = [
        (case_worker, ekeliden),
        (case_worker, novus),
        (ekeliden, case_worker),
        (novus, case_worker),
        (ekeliden, novus),
        (novus, ekeliden),
    ]
    return {
        "given_by": "INDIVIDUAL",
        "purpose": ["PLACEMENT_MATCHING", "STUDY_VISIT"],
        "parties": [{"from": sender, "to": recipient} for sender, recipient in pairs],
        "data_categories": ["NEED", "SOCIAL", "ADDICTION", "HEALTH", "MEDICATION", "HOUSING_WORK", "CHILDREN"],
        "valid_from": today.isoformat(),
        "valid_to": (today + timedelta(days=90)).isoformat(),
        "manner": "SIGNED_PAPER",
        "informed_points": ["VOLUNTARY", "CONSEQUENCE_OF_NO", "WITHDRAWABLE", "WHO", "WHAT", "DUTIES_ANYWAY"],
    }


def demo_answer(today: date) -> dict[str, Any]:
    """A joint answer: a bed is proposed at Ekeliden."""
    return {
        "result": "EKELIDEN",
        "motivation": "Behovet av struktur och medicinsk uppföljning motsvarar det som Ekeliden kan ge.",
        "proposed_visit": (today + timedelta(days=5)).isoformat(),
        "bed_forecast": (today + timedelta(days=12)).isoformat(),
        "priority_class": 2,
        "deputy_used": False,
    }


def demo_pdf(text: str = "Utdrag ur utredningen, avidentifierat.") -> bytes:
    """A whole PDF of one page with a line of text."""
    shown = text.encode("latin-1", "replace").replace(b"\\", b"").replace(b"(", b"").replace(b")", b"")
    content = b"BT /F1 12 Tf 72 720 Td (" + shown + b") Tj ET"
    head, tail = pdf_around(len(content))
    return head + content + tail


def pdf_around(length: int) -> tuple[bytes, bytes]:
    """What stands before and after `length` octets of a page's content, to make a whole PDF (ISO 32000-2 §7.5)."""
    objects = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 5 0 R"
        b" /Resources << /Font << /F1 4 0 R >> >> >>",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    )
    head, places = b"%PDF-1.7\n", []
    for number, told in enumerate(objects, 1):
        places.append(len(head))
        head += b"%d 0 obj\n%s\nendobj\n" % (number, told)
    places.append(len(head))
    head += b"5 0 obj\n<< /Length %d >>\nstream\n" % length
    tail = b"\nendstream\nendobj\n"
    start = len(head) + length + len(tail)
    rows = b"".join(b"%010d 00000 n \n" % place for place in places)
    tail += b"xref\n0 6\n0000000000 65535 f \n" + rows
    tail += b"trailer\n<< /Size 6 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % start
    return head, tail
