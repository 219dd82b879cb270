"""`sambud channels` and the doctor's look at channels: over a store on disk and a message service on loopback."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from joserfc.jwk import ECKey

from adapters.sdk.simulator import Simulator
from adapters.sdk.simulator_http import BASE, serving
from adapters.sql.sqlite import SqliteStore
from gateway import doctor_channels
from gateway.__main__ import SystemClock, SystemWiring
from gateway.channel_watch import ChannelState
from gateway.cli import main
from gateway.model.base import DAY, Instant
from gateway.model.path import Channel
from tests.clock import ManualClock
from tests.county import ROOT, SEAT_E, a_county
from tests.neighbours import address_of, inboxes_of, seen_from

pytestmark = pytest.mark.slow
HOSTED = ("alvesta.ifo",)


class Service:
    """A message service in a thread: the commands under test run loops of their own."""

    def __init__(self) -> None:
        self.simulator = Simulator(SystemClock())
        self.key = ECKey.generate_key("P-256")
        self.simulator.join("alvesta", self.key, [address_of(inbox) for inbox in inboxes_of(HOSTED)])
        self.address = ""
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        async def serve() -> None:
            async with serving(self.simulator) as self.address:
                self._ready.set()
                await self._end.wait()

        self._loop.run_until_complete(serve())
        self._loop.close()

    def __enter__(self) -> Service:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Alvesta's gateway on disk: everybody else is outside, and a referral waits for SDK."""
    folder = tmp_path_factory.mktemp("alvesta")

    async def make() -> None:
        (folder / "data").mkdir(mode=0o700)
        clock = ManualClock()
        store = await SqliteStore.open(folder / "data" / "sambud.db", clock, create=True)
        keys = folder / "data" / "keys.db"
        async with a_county(store, clock=clock, keys_db=keys, directory=seen_from(HOSTED)) as county:
            worker = await county.sign_in("al-sos")
            case, _ = await county.consented_case(worker)
            await county.send_referral(worker, case.id)
            await county.gateway.integrator.flush()
        await store.close()

    asyncio.run(make())
    (folder / "root.key").write_text(f"sambud-root-1 {ROOT.hex()}\n")
    (folder / "root.key").chmod(0o400)
    return folder


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as found:
        yield found


def ask(place: Path, *arguments: str, service: Service | None = None) -> Result:
    settings = {
        "SAMBUD_CONFIG": None,
        "SAMBUD_DATA_DIR": str(place / "data"),
        "SAMBUD_ROOT_KEY_FILE": str(place / "root.key"),
    }
    if service is not None:
        (place / "sdk.key").write_bytes(service.key.as_pem(private=True))
        settings |= {
            "SAMBUD_SDK_URL": service.address + BASE,
            "SAMBUD_SDK_TOKEN_URL": f"{service.address}/token",
            "SAMBUD_SDK_CLIENT_ID": "alvesta",
            "SAMBUD_SDK_KEY_FILE": str(place / "sdk.key"),
            "SAMBUD_SDK_ALGORITHM": "ES256",
        }
    return CliRunner(env=settings).invoke(main, list(arguments), obj={"wiring": SystemWiring()}, catch_exceptions=False)


def test_the_list_says_which_channels_are_connected_and_what_waits(place: Path, service: Service) -> None:
    done = ask(place, "channels", service=service)
    assert done.exit_code == 0, done.output
    sdk = next(line for line in done.stdout.splitlines() if line.startswith("sdk"))
    assert "ansluten" in sdk
    assert "2 väntar" in sdk
    assert "smime     inte ansluten" in done.stdout
    told = json.loads(ask(place, "channels", "list", "--json", service=service).stdout)
    [first, *_] = told["channels"]
    assert (first["channel"], first["connected"], first["circuit_open"]) == ("sdk", True, None)
    assert first["deliveries"] == [{"state": "queued", "reason": "", "count": 2}]


def test_what_waits_for_a_channel_that_nobody_connected_is_said_loudly(place: Path) -> None:
    assert "INTE ANSLUTEN, men används" in ask(place, "channels").stdout


def test_a_test_asks_the_neighbour_and_sends_nothing(place: Path, service: Service) -> None:
    done = ask(place, "channels", "test", service=service)
    assert (done.exit_code, done.stdout) == (0, "sdk: svarar\n")
    assert service.simulator.accepted == 0
    service.simulator.faults.away = 99
    done = ask(place, "channels", "test", "sdk", service=service)
    assert done.exit_code == 1
    assert done.stdout.startswith("sdk: Mottagarens system svarar inte.")
    assert ask(place, "channels", "test", "smime", service=service).exit_code == 3


def test_explain_says_which_ways_an_inbox_has_and_what_a_reason_means(place: Path, service: Service) -> None:
    told = ask(place, "channels", "explain", SEAT_E, service=service).stdout
    assert f"1. sdk {address_of(SEAT_E)} – ansluten" in told
    assert "(utanför gatewayen)" in told
    own = ask(place, "channels", "explain", "alvesta.ifo.vuxen", service=service).stdout
    assert "härifrån: direkt" in own
    assert "inte ansluten: hoppas över" in ask(place, "channels", "explain", SEAT_E).stdout
    assert "Nästa väg" in ask(place, "channels", "explain", "unreachable").stdout
    assert "Ingen annan väg" in ask(place, "channels", "explain", "malware").stdout
    done = ask(place, "channels", "explain", "nobody")
    assert done.exit_code == 3
    assert "varken en inkorg" in done.stderr


def test_the_doctor_looks_at_the_channels_and_sends_nothing(place: Path, service: Service) -> None:
    done = ask(place, "doctor", "--json", service=service)
    found = [one for one in json.loads(done.stdout)["findings"] if one["area"] == "kanaler"]
    assert [(one["level"], one["detail"]) for one in found] == [("ok", "sdk: ansluten, utan certifikat att förnya.")]
    assert "Inga kanaler ut" in ask(place, "doctor").stdout
    assert service.simulator.accepted == 0


@pytest.mark.parametrize(
    ("days", "level"), [(61, "ok"), (60, "varning"), (8, "varning"), (7, "fel"), (0, "fel"), (-3, "fel")]
)
def test_the_doctor_warns_of_a_certificate_from_sixty_days_and_calls_the_last_week_wrong(days: int, level: str) -> None:
    now = ManualClock().now()
    state = ChannelState(channel=Channel.SMIME, connected=True, expires=Instant(now + days * DAY))
    [finding] = doctor_channels._certificate(state, now)
    assert str(finding.level) == level
    assert (level == "ok") == (finding.next_step == "")


def test_what_only_the_serving_process_knows_is_read_from_its_numbers() -> None:
    text = (
        "# HELP sambud_channel_left Arrivals\n"
        'sambud_channel_left{channel="sdk"} 2.0\nsambud_channel_circuit_open{channel="sdk"} 1.0\n'
        'sambud_channel_deliveries{channel="sdk",state="queued"} 4.0\n'
    )
    told = doctor_channels.told_by(text)
    assert told == {("left", "sdk"): 2, ("circuit_open", "sdk"): 1}
    said = [one.swedish for one in doctor_channels._serving("sdk", told)]
    assert len(said) == 2
    assert "2 meddelanden ligger kvar" in said[1]


def test_the_keys_that_the_other_side_pins_are_printed_as_its_file_takes_them(place: Path) -> None:
    """docs/channels.md §3.1: each authority that this gateway answers for, and no other."""
    done = ask(place, "directory", "keys")
    assert done.exit_code == 0, done.output
    rows = tomllib.loads(done.stdout)["administration"]
    assert [row["id"] for row in rows] == ["alvesta.ifo"]
    assert re.fullmatch(r"[0-9a-f]{64}", rows[0]["signing_key"])


def test_a_way_is_closed_by_a_person_who_has_seen_what_goes_by_it(place: Path) -> None:
    shown = ask(place, "directory", "close-way", SEAT_E, "sdk")
    assert (shown.exit_code, "Inget har ändrats." in shown.stdout) == (0, True), shown.output
    closed = ask(place, "directory", "close-way", SEAT_E, "sdk", "--confirm")
    assert closed.stdout.endswith(f"Vägen till {SEAT_E} över sdk är stängd.\n")
    again = ask(place, "directory", "close-way", SEAT_E, "sdk", "--confirm")
    assert (again.exit_code, "Det finns ingen väg" in again.stderr) == (3, True)
