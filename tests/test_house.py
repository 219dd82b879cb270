"""The house stays tidy: what every file must be, and must not hold."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("gateway", "adapters", "keys", "policies")


def tracked() -> list[Path]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    return [ROOT / name for name in listed.decode().split("\0") if name]


def sources() -> list[Path]:
    return [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_says_why_it_exists_and_never_steers_by_assert(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    assert ast.get_docstring(tree), "a module without a docstring"
    asserts = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Assert)]
    assert not asserts, f"assert in lines {asserts}: raise instead"


def test_locks_and_files_name_no_registry_and_no_path_of_one_machine() -> None:
    registry = re.compile(r"pypi\.org|pythonhosted|registry\.|--(?:extra-)?index-url|/simple/")
    machine = re.compile(r"/(?:work|root|home)/[a-z]")
    for path in tracked():
        if path.suffix in (".json", ".png") or path == Path(__file__):
            continue
        text = path.read_text("utf-8")
        assert not registry.search(text), path
        assert not machine.search(text), path


def test_every_dependency_has_a_line_of_its_own() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    named = (ROOT / "docs" / "dependencies.md").read_text("utf-8")
    wanted = [*project["project"]["dependencies"], *project["project"]["optional-dependencies"]["postgres"]]
    wanted += project["dependency-groups"]["dev"]
    for requirement in wanted:
        name = re.split(r"[\[<>=]", requirement)[0]
        assert name in named, name


def test_identity_numbers_in_the_project_are_published_test_numbers() -> None:
    """Birth numbers 238 and 239 from 1990 on, 980 and 981 in the 1890s; whatever else looks real is treated as real."""
    number = re.compile(r"(?<![\d.])(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])[-+]?(\d{3})\d(?!\d)")
    for path in tracked():
        if path.suffix in (".lock", ".json", ".png") or "test_personid" in path.name or "test_compose" in path.name:
            continue
        for match in number.finditer(path.read_text("utf-8")):
            if match[0] == "19" + "121212-1212" and path.parent.name == "sdk":
                continue  # nobody's, in the messages that Digg publishes for tests
            assert match[1] in ("238", "239", "980", "981"), f"{path}: {match[0]}"


def test_links_in_documents_lead_somewhere() -> None:
    for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text("utf-8")):
            assert (path.parent / target).exists(), f"{path.name} -> {target}"


def test_the_readme_names_commands_that_exist() -> None:
    from gateway.cli import main

    text = (ROOT / "README.md").read_text("utf-8")
    for command in set(re.findall(r"\./sambud ([a-z]+)", text)) - {"test"}:
        assert command in main.commands, command


def test_the_changelog_has_a_part_for_what_is_not_released() -> None:
    assert "## Unreleased" in (ROOT / "docs" / "CHANGELOG.md").read_text("utf-8")


def test_the_four_packages_belong_to_nobody_else_here() -> None:
    owners = importlib.metadata.packages_distributions()
    for package in PACKAGES:
        assert set(owners.get(package, ())) <= {"sambud"}, package


def test_every_setting_stands_in_the_operators_table() -> None:
    from gateway.settings import Settings

    text = (ROOT / "docs" / "operations.md").read_text("utf-8")
    for name in Settings.model_fields:
        assert f"SAMBUD_{name.upper()}" in text or f"`{name}`" in text, name


def test_the_state_diagrams_are_those_of_the_tables() -> None:
    """`python tools/states.py` draws them again."""
    from tools.states import DOCUMENT, drawn

    assert DOCUMENT.read_text("utf-8") == drawn()


def test_every_test_that_the_promises_name_exists() -> None:
    """docs/ux.md names file and test; a renamed test must be renamed there."""
    text = (ROOT / "docs" / "ux.md").read_text("utf-8")
    named = re.findall(r"((?:browser|path|properties)/test_\w+\.py)((?:[ ,]*`test_\w+`)*)", text)
    assert len(named) > 40
    for file, tests in named:
        source = (ROOT / "tests" / file).read_text("utf-8")
        for test in re.findall(r"`(test_\w+)`", tests):
            assert f"def {test}(" in source, f"{file} has no {test}"
