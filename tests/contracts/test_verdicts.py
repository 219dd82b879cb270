"""A file without its verdict is given to nobody, on every store (docs/channels.md §10)."""

from __future__ import annotations

import dataclasses

import pytest

from gateway.errors import FileWaitsError, IntegrityError
from gateway.forms.demo import demo_pdf
from gateway.model.path import FileVerdict, Quarantined
from gateway.ports import Delete, Store, Update, Work
from gateway.screening import Screening, Verdict
from gateway.states import QuarantineState
from tests.clock import ManualClock
from tests.county import a_county
from tests.screening.test_verdicts import Says, draft_read


async def test_a_verdict_is_kept_with_its_file_and_deleting_or_changing_it_releases_nothing(
    store: Store, clock: ManualClock
) -> None:
    scanner = Says()
    async with a_county(store, clock=clock, screening=Screening(scanner=scanner)) as county:
        file, out = await draft_read(county)
        row = await store.get(FileVerdict, file)
        assert row is not None
        assert await county.gateway.integrity.check(row) == row
        await store.commit(Work(changes=(Update(dataclasses.replace(row, mac=bytes(32), version=2)),)))
        with pytest.raises(IntegrityError):
            await out()
        await store.commit(Work(changes=(Delete(FileVerdict, (file,)),)))
        scanner.verdict = Verdict.NONE
        with pytest.raises(FileWaitsError):
            await out()
        held = await store.get(Quarantined, file)
        assert held is not None
        assert held.state is QuarantineState.WAITING
        scanner.verdict = Verdict.CLEAN
        assert await out() == demo_pdf()
        again = await store.get(FileVerdict, file)
        assert again is not None
        assert (again.sha256, again.malware) == (row.sha256, row.malware)
