"""Which files come in: told by content, looked into in a child process, each refusal with its code (X10, X01, X09)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.documents.child import Children, Limits
from adapters.documents.examiner import ChildExaminer
from adapters.documents.pdf import PdfDocuments
from gateway.errors import SetupError
from gateway.filepolicy import Takes, policy_of
from gateway.filetypes import IN_SWEDISH, SNIFF_BYTES, Fault, FileRefusedError, check_name, media_type_of
from gateway.neighbours import Reason
from gateway.screening import Screening, Verdict
from policies import attachments
from tests.documents.test_pdf import DATA, a_page
from tests.screening import files
from tests.world import an_inbox

pytestmark = pytest.mark.slow


async def pieces(octets: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(octets), 65_536):
        yield octets[start : start + 65_536]


@pytest.fixture
def examiner() -> ChildExaminer:
    return ChildExaminer(Children(most=2))


async def fault_of(examiner: ChildExaminer, name: str, octets: bytes) -> Fault | None:
    """What a file is refused for on its way in."""
    try:
        kind = media_type_of(check_name(name), octets[:SNIFF_BYTES])
        if kind == "text/plain":
            octets.decode("utf-8")
        await Screening(examiner).look(kind, len(octets), lambda: pieces(octets))
    except FileRefusedError as refused:
        return refused.fault
    except UnicodeDecodeError:
        return Fault.NOT_TEXT
    return None


async def test_documents_pictures_and_plain_text_come_in(examiner: ChildExaminer) -> None:
    cases = list(files.good())
    found = await asyncio.gather(*(fault_of(examiner, name, octets) for name, octets in cases))
    assert {name: fault for (name, _), fault in zip(cases, found, strict=True) if fault} == {}


async def test_the_page_that_our_own_forms_travel_in_comes_in(examiner: ChildExaminer) -> None:
    """PDF/A-3a with its data as an associated file (docs/channels.md §8): another gateway looks into it as well."""
    octets = await PdfDocuments().pdf(a_page(), DATA)
    assert await fault_of(examiner, "uppdrag.pdf", octets) is None


async def test_each_kind_that_must_not_come_in_is_refused_for_what_it_is(examiner: ChildExaminer) -> None:
    """Catalogue X10: wrong type, polyglot, macro, archive, password, script; N = 40."""
    cases = list(files.bad())
    found = await asyncio.gather(*(fault_of(examiner, name, octets) for name, octets, _ in cases))
    told = {name: (fault, wanted) for (name, _, wanted), fault in zip(cases, found, strict=True)}
    print(f"X10: {len(cases)} files, {sum(fault is not None for fault in found)} refused")
    assert {name: pair for name, pair in told.items() if pair[0] is not pair[1]} == {}
    assert len(cases) >= 40


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        ".",
        "..",
        "../x.pdf",
        "/etc/passwd",
        "..\\x.pdf",
        "C:\\x.pdf",
        "a\x00.pdf",
        "a\n.pdf",
        "a\u202efdp.pdf",
        "a\u2028.pdf",
        "å" * 128 + ".pdf",
        "x:y.pdf",
        "\ud800.pdf",
    ],
)
def test_a_name_that_is_a_path_or_hides_something_is_refused(name: str) -> None:
    """Catalogue X01, X08: names; nothing is ever unpacked or written under a sender's name."""
    with pytest.raises(FileRefusedError) as refused:
        check_name(name)
    assert refused.value.fault is Fault.NAME


async def test_a_bomb_costs_its_own_child_and_nobody_else(examiner: ChildExaminer) -> None:
    """Catalogue X09: killed within ten seconds, refused, and this process answers all the while."""
    late = 0.0

    async def heart() -> None:
        nonlocal late
        while True:
            began = time.monotonic()
            await asyncio.sleep(0.02)
            late = max(late, time.monotonic() - began - 0.02)

    octets = await asyncio.to_thread(files.bomb)
    assert len(octets) < 100_000
    beating = asyncio.create_task(heart())
    began = time.monotonic()
    assert await examiner.examine("application/pdf", len(octets), pieces(octets)) is Fault.DAMAGED
    took = time.monotonic() - began
    beating.cancel()
    print(f"X09: {len(octets)} octets that would be 1 GiB: refused after {took:.1f} s, latest heartbeat {late:.2f} s")
    assert took < 12
    assert late < 2


async def test_a_child_that_runs_on_or_is_killed_means_damaged() -> None:
    slow = ChildExaminer(limits=Limits(seconds=0.01))
    assert await slow.examine("application/pdf", 1000, pieces(files.demo_pdf())) is Fault.DAMAGED
    poor = ChildExaminer(limits=Limits(memory=30 * 1024 * 1024))
    assert await poor.examine("application/pdf", 1000, pieces(files.demo_pdf())) is Fault.DAMAGED


async def test_malware_is_looked_for_after_the_structure_and_no_verdict_is_no_refusal(examiner: ChildExaminer) -> None:
    class Said:
        def __init__(self, verdict: Verdict) -> None:
            self.verdict, self.asked = verdict, 0

        async def scan(self, pieces: AsyncIterator[bytes]) -> Verdict:
            self.asked += 1
            return self.verdict

        async def answers(self) -> bool:
            return True

    for verdict in (Verdict.CLEAN, Verdict.NONE):
        assert await Screening(scanner=Said(verdict)).look("text/plain", 1, lambda: pieces(b"x")) is verdict
    with pytest.raises(FileRefusedError) as refused:
        await Screening(scanner=Said(Verdict.FOUND)).look("text/plain", 1, lambda: pieces(b"x"))
    assert refused.value.reason is Reason.MALWARE
    scanner = Said(Verdict.CLEAN)
    with pytest.raises(FileRefusedError):
        await Screening(examiner, scanner).look("application/pdf", 1000, lambda: pieces(files.with_script()))
    assert scanner.asked == 0


# --- the policy ------------------------------------------------------------------------------------------------------


def test_every_fault_has_its_words_and_a_code_that_channels_know() -> None:
    assert set(IN_SWEDISH) == set(Fault)
    codes = {fault: FileRefusedError(fault).reason for fault in Fault}
    assert codes.pop(Fault.MALWARE) is Reason.MALWARE
    assert codes.pop(Fault.TOO_LARGE) is codes.pop(Fault.TOO_MANY) is Reason.TOO_LARGE
    assert set(codes.values()) == {Reason.TYPE}


def test_the_shipped_policy_says_what_each_function_takes() -> None:
    policy = attachments.load()
    inbox = an_inbox()
    assert policy.of(inbox).types == {"application/pdf", "image/png", "image/jpeg", "text/plain"}
    assert (policy.of(inbox).max_bytes, policy.of(inbox).max_files) == (1024**3, 20)
    assert policy.narrowed(100_000_000).of(inbox).max_bytes == 100_000_000
    assert policy.narrowed(7).kinds["registrator"].max_bytes == 7
    assert policy.kinds["registrator"].types == {"application/pdf", "text/plain"}
    assert policy.kinds["registrator"].max_files == 20


def test_the_closest_rule_counts_and_says_only_what_differs() -> None:
    inbox = an_inbox()
    policy = policy_of(
        {
            "default": {"max_files": 7},
            "kind": {"casework": {"types": ["application/pdf"]}},
            "inbox": {str(inbox.id): {"max_bytes": 10}},
        },
        source="test",
    )
    assert policy.of(inbox) == Takes(max_files=7, max_bytes=10)
    assert policy.kinds["casework"] == Takes(max_files=7, types=frozenset({"application/pdf"}))
    assert policy.of(an_inbox("another")).suffixes == (".pdf",)


@pytest.mark.parametrize(
    "data",
    [
        {"defaults": {}},
        {"default": {"type": []}},
        {"default": {"types": ["application/zip"]}},
        {"default": {"types": "application/pdf"}},
        {"default": {"max_bytes": 1024**3 + 1}},
        {"default": {"max_files": 21}},
        {"default": {"max_files": -1}},
        {"default": {"max_files": True}},
        {"kind": {"nobody": {}}},
    ],
)
def test_a_policy_that_says_what_is_not_known_does_not_start(data: dict[str, object]) -> None:
    with pytest.raises(SetupError):
        policy_of(data, source="test")


def test_an_operator_s_own_policy_is_read_or_refused(tmp_path: Path) -> None:
    own = tmp_path / "attachments.toml"
    own.write_text('[kind.seat]\ntypes = ["application/pdf"]\n')
    assert attachments.load(own).kinds["seat"].suffixes == (".pdf",)
    own.write_text("[kind")
    with pytest.raises(SetupError, match="cannot be read"):
        attachments.load(own)
