"""Contents: what an arrival is to us – a form that we know, valid at its stage, or a readable message (§3, step 5).

Why this exists: a gateway like this one sends data, any other client sends text and files, and somebody hostile sends
whatever they like. What is no form of ours is a message with its text, never nothing; what claims to be a form is one
only when its stage's own schema says so, and of everything else that lies beside it only known, bounded texts are kept.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Final

from gateway.arrival import Content, Joint, joint_of
from gateway.compose import check_stage
from gateway.directory import Snapshot
from gateway.envelope import canonical, rejected
from gateway.errors import InvalidFormError, UnknownFormError
from gateway.forms import FormCatalogue
from gateway.forms.names import ANSWER, OUTSIDE_MESSAGE
from gateway.model.classes import Stage
from gateway.neighbours import Arrived, Marks, Remarks
from gateway.outside_answers import OutsideAnswers
from gateway.plain import one_line

PLAIN: Final = (OUTSIDE_MESSAGE, 1)
MAX_TEXT: Final = 100_000
#: Keys of a sealed body beside the form's own: which fields are in SDK's Markdown subset; what the sender said beside.
MARKED: Final = "marked"
REMARKS: Final = "remarks"
MOST_NAMED: Final = 20
NO_TEXT: Final = "Avsändaren har inte skrivit något. Se bilagorna."


class Contents:
    """Reads arrivals."""

    def __init__(self, forms: FormCatalogue, answers: OutsideAnswers) -> None:
        self._forms = forms
        self._answers = answers

    def of(self, arrived: Arrived) -> Content:
        """A form of ours that is valid at its stage, or a readable message: never nothing."""
        found = self._form(arrived.data) if arrived.data is not None else None
        if found is not None:
            return dataclasses.replace(found, body={**found.body, **_remarks(arrived.remarks)})
        # The one that is shown as a field of its own is not said twice.
        others = tuple(one for one in arrived.remarks.sender.references if one != arrived.reference)
        said = dataclasses.replace(
            arrived.remarks, sender=dataclasses.replace(arrived.remarks.sender, references=others)
        )
        fields: dict[str, Any] = {}
        for name, text in (
            ("subject", arrived.subject[:256]),
            ("sender_reference", arrived.reference[:256]),
            ("text", arrived.text[:MAX_TEXT] or NO_TEXT),
        ):
            if text:
                fields[name] = text
        body = {**_body(Stage.S1, fields), **_remarks(said)}
        if arrived.marks is Marks.MARKDOWN:
            body[MARKED] = ["text"]
        return Content(self._forms.get(*PLAIN), body, "")

    def _form(self, data: Mapping[str, Any]) -> Content | None:
        try:
            name, version = data["form"]
            body = data["body"]
            stage = Stage(str(body["stage"]))
            form = self._forms.get(str(name), int(version))
            fields = dict(body["fields"])
            check_stage(form, fields, stage)
        except (KeyError, TypeError, ValueError, InvalidFormError, UnknownFormError):
            return None
        kept = {"basis": _texts(body, "basis"), "deciders": _texts(body, "deciders")}
        kept |= {key: body[key] for key in ("kind", "statement") if isinstance(body.get(key), str)}
        told = {**_body(stage, fields, _texts(body, "held_back")), **{key: one for key, one in kept.items() if one}}
        try:
            canonical(told)
        except ValueError:
            return None  # a number that no form of ours writes
        consents = body.get("consents")
        listed = [one for one in consents if isinstance(one, Mapping)] if isinstance(consents, list) else []
        return Content(form, told, str(data.get("message", "")), tuple(listed), data)

    async def signed(self, directory: Snapshot, content: Content) -> tuple[Content, Joint | None]:
        """An answer's signed commitment, checked; the endorsements go into the payload with whether they are known.

        What is given to decide with holds only those under a key that the directory pins (docs/channels.md §3.1): an
        answer that lacks one is a message to read, and moves no case.

        Raises:
            EnvelopeError: it does not hold, or does not parse.
        """
        if content.form.id != ANSWER:
            return content, None
        try:
            joint = joint_of(content.data or {})
        except (KeyError, TypeError, ValueError) as fault:
            raise rejected(fault) from fault
        if joint is None:
            return content, None
        kept = await self._answers.checked(directory, joint, content.body["fields"])
        known = tuple(one for one, told in zip(joint.endorsed, kept, strict=True) if told["known"])
        body = {**content.body, "endorsed_outside": kept}
        return dataclasses.replace(content, body=body), dataclasses.replace(joint, endorsed=known)


def _body(stage: Stage, fields: Mapping[str, Any], held_back: Sequence[str] = ()) -> dict[str, Any]:
    return {
        "stage": str(stage),
        "fields": dict(fields),
        "held_back": list(held_back),
        "attachments_held_back": 0,
        "basis": [],
    }


def _remarks(said: Remarks) -> dict[str, Any]:
    """What a sender said beside its message, bounded and on lines of their own; nothing when it said nothing."""
    told: dict[str, Any] = {} if said.confidential is None else {"confidential": said.confidential}
    for name, side in (("sender", said.sender), ("recipient", said.recipient)):
        both = {"persons": side.persons, "references": side.references}
        kept = {key: [one_line(text, 256) for text in texts[:MOST_NAMED]] for key, texts in both.items() if texts}
        told |= {name: kept} if kept else {}
    return {REMARKS: told} if told else {}


def _texts(body: Mapping[str, Any], name: str) -> list[str]:
    """The texts of a list, bounded: what else a sender put there is left out."""
    found = body.get(name)
    return [one[:256] for one in found if isinstance(one, str)][:64] if isinstance(found, list) else []
