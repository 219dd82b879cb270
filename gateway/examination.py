"""The doctor's round: what is looked at, in the order in which one thing rests on another.

Why this exists: the first trouble often hides the others, so what needs no store is looked at first, and a store that
cannot be read ends only what needs it. Whatever was seen until then is told.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from gateway import doctor, doctor_channels, doctor_log
from gateway.backupports import StoreTools
from gateway.doctor import Finding, MachineLook
from gateway.doctor_channels import Connected
from gateway.errors import GatewayError
from gateway.model.base import Instant
from gateway.settings import Settings
from gateway.usecases import Gateway


class StoreLook(Protocol):
    """A message store that only looks (adapters/sql/looking.py)."""

    async def schema(self) -> str: ...
    async def schema_findings(self) -> list[Finding]: ...
    async def findings(self) -> list[Finding]: ...
    async def counts(self) -> dict[str, dict[str, int]]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """What the round looks through; `holder` is the process that serves, 0 when none does."""

    machine: MachineLook
    holder: int
    readiness: Callable[[], Awaitable[Sequence[tuple[str, str]] | None]]
    numbers: Callable[[], Awaitable[str]]
    looked: Callable[[], AbstractAsyncContextManager[tuple[Gateway, StoreLook]]]
    connected: Connected
    fingerprints: Callable[[Gateway], Awaitable[Mapping[str, str]]]
    tools: StoreTools


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """All findings; `stopped` is why the stores could not be looked at. The rest is for the support bundle."""

    findings: tuple[Finding, ...]
    stopped: GatewayError | None = None
    schema: str = ""
    counts: Mapping[str, Mapping[str, int]] | None = None
    metrics: str = ""


@dataclass(slots=True)
class _Seen:
    """What the stores have shown so far."""

    findings: list[Finding] = field(default_factory=list)
    schema: str = ""
    counts: Mapping[str, Mapping[str, int]] | None = None


async def examine(settings: Settings, looks: Looks, *, verify: bool) -> Examination:
    """Look at everything behind the settings; nothing is changed."""
    findings = [*doctor.files(settings, looks.machine), *doctor.surroundings(settings, looks.machine)]
    if looks.holder:
        findings += doctor.process(looks.holder, settings.port, await looks.readiness())
    seen, stopped = _Seen(findings), None
    metrics = await looks.numbers() if settings.metrics_port else ""
    try:
        async with looks.looked() as (gateway, store):
            await _stores(settings, looks, gateway, store, seen, metrics, verify=verify)
    except GatewayError as trouble:
        stopped = trouble
        findings.append(doctor.of_error("lager", trouble))
    except Exception as bug:  # rows that no program of ours wrote: what was seen so far is told all the same
        findings.append(doctor.unreadable("lager", bug))
    findings += doctor.copies(settings, looks.tools, Instant(int(datetime.now(UTC).timestamp() * 1_000_000)))
    return Examination(
        findings=tuple(findings), stopped=stopped, schema=seen.schema, counts=seen.counts, metrics=metrics
    )


async def _stores(
    settings: Settings, looks: Looks, gateway: Gateway, store: StoreLook, seen: _Seen, metrics: str, *, verify: bool
) -> None:
    seen.findings += [*await store.schema_findings(), *await store.findings()]
    seen.schema, seen.counts = await store.schema(), await store.counts()
    seen.findings += await doctor_log.pair(gateway)
    seen.findings += doctor.anchored(await looks.fingerprints(gateway), settings.anchors)
    seen.findings += await doctor_log.log_quickly(gateway, running=bool(looks.holder or settings.database))
    if verify:
        seen.findings += await doctor_log.log_wholly(gateway)
    seen.findings += await doctor.work_at_hand(gateway)
    seen.findings += await doctor_channels.channels(gateway, looks.connected, metrics)
