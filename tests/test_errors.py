"""Every error that is raised on purpose says it in Swedish and says what to do next (docs/CONTRIBUTING.md)."""

from __future__ import annotations

import ast
from pathlib import Path

import gateway.errors
from gateway.errors import GatewayError

ROOT = Path(__file__).parent.parent
KINDS = {
    name: kind
    for name, kind in vars(gateway.errors).items()
    if isinstance(kind, type) and issubclass(kind, GatewayError)
}
#: Never told to anybody: caught where it is raised, or a fault of the program that stops its start.
INWARD = {
    ("gateway/deliver.py", "EnvelopeError"),
    ("gateway/channels.py", "EnvelopeError"),
    ("gateway/parcels.py", "EnvelopeError"),
    ("gateway/ways.py", "EnvelopeError"),
}


def raised() -> list[tuple[str, int, str, set[str | None]]]:
    found = []
    for package in ("gateway", "adapters", "keys", "policies"):
        for path in sorted((ROOT / package).rglob("*.py")):
            name = str(path.relative_to(ROOT))
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in KINDS:
                    found.append((name, node.lineno, node.func.id, {keyword.arg for keyword in node.keywords}))
    return found


def test_every_error_has_a_swedish_text_and_a_next_step() -> None:
    places = raised()
    without = [
        f"{path}:{line} {kind}"
        for path, line, kind, given in places
        if (path, kind) not in INWARD
        and not (path.startswith("adapters/http/") and kind == "SetupError")  # a route table that does not add up
        and None not in given
        and not ("swedish" in given and ("next_step" in given or KINDS[kind].NEXT_STEP))
    ]
    print(f"{len(places)} places, {len(without)} without")
    assert without == []
