"""Rules of our own that no linter knows (security.md section 7.2): each once let something through somewhere."""

from __future__ import annotations

import ast
import functools
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.test_house import ROOT, sources, tracked

pytestmark = pytest.mark.slow
Rule = Callable[[ast.Module], Iterator[int]]


def _calls(tree: ast.Module, name: str) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == name:
            yield node


def totp_verified_by_the_library(tree: ast.Module) -> Iterator[int]:
    """pyotp's verify() takes a code as often as it comes; ours says which step it was of, and takes that once."""
    uses = any(
        "pyotp" in (ast.unparse(node)) for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)
    )
    yield from (node.lineno for node in _calls(tree, "verify") if uses)


def form_read_whole(tree: ast.Module) -> Iterator[int]:
    """aiohttp's Request.post() keeps a whole form, files too, in memory: only the one reader of page forms may."""
    yield from (node.lineno for node in _calls(tree, "post") if not node.args)


#: Whatever takes a statement as text.
TAKES_SQL = {"execute", "executemany", "executescript", "exec_driver_sql", "text", "fetch", "fetchrow", "fetchval"}


def sql_put_together(tree: ast.Module) -> Iterator[int]:
    """A statement is a constant; values are bound. f"", %, + and format() put values where names should be."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args and _name(node.func) in TAKES_SQL and _put_together(node.args[0]):
            yield node.lineno


def _name(called: ast.expr) -> str:
    """`execute` of both `execute(…)` and `connection.execute(…)`."""
    return called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""


def _put_together(node: ast.expr) -> bool:
    if isinstance(node, ast.JoinedStr):
        first = node.values[0] if node.values else None
        if isinstance(first, ast.Constant) and str(first.value).startswith("PRAGMA "):
            return False  # SQLite binds nothing in a PRAGMA
        parts = [part.value for part in node.values if isinstance(part, ast.FormattedValue)]
        return not all(isinstance(part, ast.Name) and part.id.lstrip("_").isupper() for part in parts)  # our constants
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Mod):
        return any(isinstance(side, ast.Constant) and isinstance(side.value, str) for side in (node.left, node.right))
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format"


def log_for_people(tree: ast.Module) -> Iterator[int]:
    """structlog's ConsoleRenderer prints tracebacks with local variables: what somebody wrote, in the log."""
    for node in ast.walk(tree):
        if (isinstance(node, ast.Attribute) and node.attr == "ConsoleRenderer") or (
            isinstance(node, ast.Name) and node.id == "ConsoleRenderer"
        ):
            yield node.lineno


def shell_started(tree: ast.Module) -> Iterator[int]:
    """A program is started with a list of words, never by a shell that reads them again."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            named = ast.unparse(node.func)
            if named in ("os.system", "os.popen", "asyncio.create_subprocess_shell") or any(
                word.arg == "shell" and not (isinstance(word.value, ast.Constant) and word.value.value is False)
                for word in node.keywords
            ):
                yield node.lineno


def octets_turned_into_objects(tree: ast.Module) -> Iterator[int]:
    """pickle and its like run what they read."""
    for node in ast.walk(tree):
        names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        if {name.split(".")[0] for name in names} & {"pickle", "marshal", "shelve", "dill"}:
            yield node.lineno


def file_read_beside_the_quarantine(tree: ast.Module) -> Iterator[int]:
    """The octets of a file are read where `Quarantine.require` is asked first, sealed into a backup, or looked at."""
    for node in _calls(tree, "read"):
        if isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value).endswith("blobs"):
            yield node.lineno


#: Rule -> what it must find, and the files that may.
RULES: dict[Rule, tuple[str, set[str]]] = {
    totp_verified_by_the_library: ("import pyotp\npyotp.TOTP(k).verify(code)", set()),
    form_read_whole: ("async def f(request): return await request.post()", set()),
    sql_put_together: ("db.execute(f'SELECT {name}')", set()),
    log_for_people: ("structlog.dev.ConsoleRenderer()", set()),
    shell_started: ("subprocess.run('ls', shell=True)", set()),
    octets_turned_into_objects: ("import pickle", set()),
    file_read_beside_the_quarantine: (
        "self._blobs.read(name)",
        {
            "gateway/attachments.py",
            "gateway/opening.py",
            "gateway/parcels.py",
            "gateway/backup.py",
            "gateway/holding.py",  # gives to intake alone, which looks into it before anybody has it
        },
    ),
}


@functools.cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_none_of_our_files_does_what_our_rules_forbid(rule: Rule) -> None:
    example, allowed = RULES[rule]
    assert list(rule(ast.parse(example))), "the rule does not see its own example"
    for path in sources():
        name = str(path.relative_to(ROOT))
        found = list(rule(_parsed(path)))
        assert not found or name in allowed, f"{name}, lines {found}: {rule.__doc__}"


@pytest.mark.parametrize(
    "statement", ['"a" + name', '"a %s" % name', '"a {}".format(name)', 'f"a {name}"', 'f"{A}{b.c}"']
)
def test_every_way_to_put_a_statement_together_is_seen(statement: str) -> None:
    assert list(sql_put_together(ast.parse(f"db.execute({statement})")))
    assert list(sql_put_together(ast.parse(f"text({statement})")))


def test_the_linters_security_rules_are_on_for_what_we_ship() -> None:
    """ruff's S (bandit); S101 is held by the house's own test instead."""
    lint = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["ruff"]["lint"]
    assert "S" in lint["select"]
    assert [rule for rule in lint["ignore"] if rule.startswith("S")] in ([], ["S101"], ["S101", "SIM"])
    ours = {"gateway", "adapters", "keys", "policies"}
    for pattern, rules in lint["per-file-ignores"].items():
        if any(rule == "S" for rule in rules):
            assert pattern.split("/")[0] not in ours, pattern


#: What a key, a token or a password in a file looks like. Test keys are made in the tests or are vectors of hex.
SECRETS = re.compile(
    r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----[\s\\n]*[A-Za-z0-9+/]{40}"
    r"|sambud-root-1 (?!0{64}|\{)[0-9a-f]{64}"
    r"|AGE-SECRET-KEY-1[0-9A-Z]{20}"
    r"|\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36}|\bglpat-[A-Za-z0-9_-]{20}|\bxox[abprs]-[A-Za-z0-9-]{20}"
    r"|\bpypi-[A-Za-z0-9_-]{60}|\bnpm_[A-Za-z0-9]{36}|\bsk-[A-Za-z0-9-]{32}"
    r"|://[^/\s:@\"'{}<>]+:(?!\*|…|\.\.\.|[A-Z]+@)[^/\s:@\"'{}<>]{6,}@(?!127\.0\.0\.1|localhost|db\.kommun\.example/s\?)"
)


def test_no_file_holds_a_secret() -> None:
    planted = "-----BEGIN PRIVATE " + "KEY-----\n" + "A" * 60
    assert SECRETS.search(planted)
    assert SECRETS.search("sambud-root-1 " + "0a" * 32)
    assert SECRETS.search("postgresql://sambud:" + "hemligt-ord@db.example/sambud")
    for path in tracked():
        if path.suffix not in (".png", ".lock") and path.exists():
            found = SECRETS.search(path.read_text("utf-8", "replace"))
            assert not found, f"{path}: {found[0][:30] if found else ''}"
