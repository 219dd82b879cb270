"""Draw docs/sdk-conformance.md: each rule of SDK, the test that holds it, and whether it passes.

    python tools/sdk_conformance.py          # draw it again from tests/data/sdk/rules.toml
    python tools/sdk_conformance.py --run    # run every named test first; nothing is written unless all pass

Why this exists: a list of what we keep to is worth what keeps it true. A rule without a test is unknown, whatever the
code does; a rule with one passes, or this tool writes nothing, and the suite is red when a named test is gone.
"""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
RULES: Final = ROOT / "tests" / "data" / "sdk" / "rules.toml"
DOCUMENT: Final = ROOT / "docs" / "sdk-conformance.md"
ELSEWHERE: Final = {
    "channels": "tests/path/test_channels.py",
    "marked": "tests/properties/test_marked.py",
    "pdf": "tests/documents/test_pdf.py",
    "threads": "tests/properties/test_threads.py",
}
HEAD: Final = """# What SDK demands, and what holds it

Each rule for a message client (MK), where it comes from, and the tests that hold it here. *Pass*: every named test
passes in each run of `.ci/run`. *Unknown*: no test says it, so nobody should rely on it; the note says what is known.
The duties of a message service (envelopes, signatures, certificates, sending receipts) are not ours and not listed.
Drawn by `tools/sdk_conformance.py` from `tests/data/sdk/rules.toml`; a test holds that every test named here exists.

Tried against: the official package v3.1 (schemas, Schematron, examples), the official OpenAPI file served by Prism, and
the simulated service ([sdk-simulator.md](sdk-simulator.md)). Not tried against Digg's test client or any real service.
"""


@dataclass(frozen=True, slots=True)
class Rule:
    text: str
    source: str
    tests: tuple[str, ...]  # pytest's own ids
    note: str = ""


def parts() -> Iterator[tuple[str, list[Rule]]]:
    for part in tomllib.loads(RULES.read_text("utf-8"))["part"]:
        yield (
            part["title"],
            [Rule(one[0], one[1], tuple(map(node, one[2])), one[3] if len(one) > 3 else "") for one in part["rules"]],
        )


def node(short: str) -> str:
    """`api::test_x[y]` as pytest names it."""
    file, _, test = short.partition("::")
    return f"{ELSEWHERE.get(file, f'tests/sdk/test_{file}.py')}::{test}"


def missing() -> list[str]:
    """Named tests that are nowhere."""
    return [test for _, rules in parts() for rule in rules for test in rule.tests if not _exists(test)]


def _exists(test: str) -> bool:
    file, _, name = test.partition("::")
    function, _, case = name.partition("[")
    names, texts = _contents(file)
    return function in names and (not case or case.removesuffix("]") in texts)


@cache
def _contents(file: str) -> tuple[frozenset[str], frozenset[str]]:
    """The functions of a test file, and its texts: the names of cases are among them."""
    path = ROOT / file
    if not path.exists():
        return frozenset(), frozenset()
    tree = list(ast.walk(ast.parse(path.read_text("utf-8"))))
    return (
        frozenset(one.name for one in tree if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)),
        frozenset(one.value for one in tree if isinstance(one, ast.Constant) and isinstance(one.value, str)),
    )


def drawn() -> str:
    lines = [HEAD]
    every = [rule for _, rules in parts() for rule in rules]
    passing = sum(bool(rule.tests) for rule in every)
    lines.append(f"{len(every)} rules: {passing} pass, {len(every) - passing} unknown.\n")
    for title, rules in parts():
        lines.append(f"## {title}\n\n| rule | source | held by | |\n|---|---|---|---|")
        lines += [_row(rule) for rule in rules]
        lines.append("")
    return "\n".join(lines)


def _row(rule: Rule) -> str:
    held = "<br>".join(f"`{Path(test.partition('::')[0]).name}` {test.partition('::')[2]}" for test in rule.tests)
    held = "<br>".join(one for one in (held, rule.note) if one)
    return f"| {rule.text} | {rule.source} | {held} | {'pass' if rule.tests else 'unknown'} |"


def run() -> int:
    """Pytest's own verdict on every named test, each once."""
    tests = sorted({test for _, rules in parts() for rule in rules for test in rule.tests})
    return subprocess.run([sys.executable, "-m", "pytest", "-q", *tests], cwd=ROOT, check=False).returncode


def main() -> None:
    if gone := missing():
        sys.exit(f"named in {RULES.name}, and nowhere: {', '.join(gone)}")
    if "--run" in sys.argv[1:] and run() != 0:
        sys.exit("a named test fails: nothing was written")
    DOCUMENT.write_text(drawn(), "utf-8")


if __name__ == "__main__":
    main()
