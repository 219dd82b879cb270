"""The rows that are promised: what each is, its unit, and between which figures it should lie.

Floors and goals were set before anything was measured, for two shared cores; a figure below its floor is told as that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Target:
    """One row: `what` for the operator, `english` for the documents. `peer` names what must be installed for it."""

    row: str
    name: str
    what: str
    english: str
    floor: float
    goal: float
    unit: str = "×"
    less_is_better: bool = False
    peer: str = ""

    def outcome(self, figure: float) -> str:
        sign = -1 if self.less_is_better else 1
        if sign * figure >= sign * self.goal:
            return "mål"
        return "golv" if sign * figure >= sign * self.floor else "UNDER GOLV"

    @property
    def more(self) -> bool:
        return not self.less_is_better


def _less(row: str, name: str, what: str, english: str, floor: float, goal: float, unit: str, peer: str = "") -> Target:
    return Target(row, name, what, english, floor, goal, unit, less_is_better=True, peer=peer)


MESH, POSTFIX, SYNAPSE = "mesh", "postfix", "synapse"
TARGETS: Final = (
    Target("P1", "p1_r1", "mottagning, 16 klienter, av R1 (utan HTTP)", "accept, 16 clients, of R1", 0.6, 0.7),
    Target("P1", "p1_r0", "mottagning, 16 klienter, av R0 (samma rader rått)", "… of R0", 0.04, 0.05),
    Target(
        "P1",
        "p1_sketch",
        "mottagning, 16 klienter, TLS, av den säkra skissen",
        "… of the secure sketch, TLS 1.3",
        0.25,
        0.5,
    ),
    Target("P2", "p2_r0", "mottagning, 1 klient, av R0", "accept, 1 client, of R0", 0.08, 0.12),
    Target(
        "P3",
        "p3_mesh",
        "ärendemeddelande 1 KiB, 32 anslutningar, mot mesh-sandbox",
        "accept of a 1 KiB case message, 32 connections, against mesh-sandbox's send",
        2,
        5,
        peer=MESH,
    ),
    Target(
        "P4",
        "p4_postfix",
        "hela vägen, 8 arbetare, mot Postfix + S/MIME i processen",
        "end to end, 8 workers, against Postfix + S/MIME in process",
        0.7,
        1.3,
        peer=POSTFIX,
    ),
    Target("P4", "p4_synapse", "hela vägen, 8 arbetare, mot Synapse", "… against Synapse", 4, 8, peer=SYNAPSE),
    _less(
        "P4",
        "p4_cpu",
        "serverns processortid för hela vägen, av mesh-sandbox",
        "… server processor time of a full cycle, of mesh-sandbox's",
        0.7,
        0.4,
        "×",
        MESH,
    ),
    _less("P5", "p5_cpu", "processortid för en mottagning", "processor time of one accept", 6, 4, "ms"),
    Target(
        "P6",
        "p6_up",
        "1 GiB upp över TLS, av att bara strömma till fil",
        "1 GiB up over TLS, sealed and synced, of bare streaming",
        0.3,
        0.5,
    ),
    Target(
        "P6",
        "p6_down",
        "1 GiB ned över TLS, av filsändning rakt av",
        "1 GiB down over TLS, of plain sending",
        0.25,
        0.4,
    ),
    Target(
        "P6",
        "p6_mesh",
        "10 MiB skicka + hämta mot mesh-sandbox utan gzip",
        "10 MiB send + retrieve, against mesh-sandbox without gzip",
        0.5,
        0.9,
        peer=MESH,
    ),
    _less("P7", "one_up", "minnestillväxt, en stor fil upp", "memory growth, 1 GiB up", 64, 24, "MiB"),
    _less("P7", "one_down", "minnestillväxt, en stor fil ned", "… 1 GiB down", 64, 24, "MiB"),
    _less("P7", "many_up", "minnestillväxt, åtta filer samtidigt upp", "… 8 × 100 MiB at once, up", 192, 96, "MiB"),
    _less("P7", "many_down", "minnestillväxt, åtta filer samtidigt ned", "… 8 × 100 MiB at once, down", 192, 96, "MiB"),
    _less(
        "P8",
        "p8_api",
        "inkorgssida i API:t, p99, lång mot kort historia",
        "inbox page through the API, p99, long history against short",
        3,
        1.5,
        "×",
    ),
    _less("P8", "p8_page", "samma för sidan i webbläsaren, p99", "… the page in a browser, p99", 3, 1.5, "×"),
    Target(
        "P9",
        "p9_leaves",
        "kontroll av loggens blad och träd, av bara SHA-256",
        "audit verify, leaves and tree, of bare SHA-256",
        0.1,
        0.18,
    ),
    Target(
        "P9",
        "p9_sides",
        "samma med förseglade sidorader (audit verify)",
        "… with the sealed side rows, as the command does",
        0.1,
        0.18,
    ),
    _less("P9", "p9_memory", "minnestillväxt vid kontroll", "… memory growth", 50, 20, "MiB"),
    _less("P10", "p10_start", "start till första sidan", "start to first page", 2, 1.2, "s"),
    _less("P10", "p10_memory", "minne i vila", "resident memory, idle", 160, 110, "MiB"),
    Target(
        "P11",
        "p11_ratio",
        "gruppskrivning mot var för sig, 32 anropare",
        "group commit against own commit, 32 callers",
        2,
        3,
    ),
    Target("P11", "p11_group", "meddelanden i en synk", "… messages in one sync", 4, 8, ""),
    _less(
        "P12",
        "p12_p99",
        "p99 för att skicka medan 5 lösenord/s prövas, mot utan",
        "send p99 while 5 passwords a second are checked, against without",
        4,
        2,
        "×",
    ),
    _less("S6", "s6_out", "SDK, 30 MB ut: minnestillväxt", "SDK message of 30 MB out: memory growth", 192, 128, "MiB"),
    _less("S6", "s6_in", "SDK, 30 MB in: minnestillväxt", "… in", 192, 128, "MiB"),
    Target("SDK", "sdk_minute", "överlämnade på en minut", "messages handed over in a minute", 1000, 1050, ""),
    _less("SDK", "sdk_p99", "överlämning, p99", "hand-over, p99", 2, 1, "s"),
    _less("SDK", "sdk_accepted", "överlämning, median", "hand-over, median", 100, 50, "ms"),
    _less("SDK", "sdk_confirmed", "till kvittensen, median", "from then to the receipt, median", 3, 2, "s"),
    _less(
        "S5",
        "s5_local",
        "10 000 väntar på en död granne: inom Sambud, p99 mot utan kön",
        "10,000 wait for a dead neighbour: inside the gateway, p99 against without them",
        1.4,
        1.2,
        "×",
    ),
    _less(
        "S5",
        "s5_channel",
        "10 000 väntar på en död granne: en annan kanal, p99 mot utan kön",
        "… over a channel that answers",
        1.4,
        1.2,
        "×",
    ),
    _less("S7", "s7_slope", "minnets lutning under halv last", "memory slope under half load", 2, 1, "MiB/min"),
    _less(
        "S7",
        "s7_files",
        "öppna filer, sista tredjedelen mot första",
        "open files, last third of the first",
        1.05,
        1,
        "×",
    ),
)
#: Absolute figures, for orientation: they move with the neighbours of the machine. Swedish, English.
ORIENTATION: Final[Mapping[str, tuple[str, str]]] = {
    "sdk_confirmed_p99": ("SDK: till kvittensen, p99, s", "SDK: from hand-over to the receipt, p99, s"),
    "dead_local_free": ("inom Sambud, p99 utan kö, ms", "inside, p99 without a queue, ms"),
    "dead_local_full": (
        "inom Sambud, p99 med 10 000 i kö, ms",
        "inside, p99 with 10,000 queued for a dead neighbour, ms",
    ),
    "dead_channel_free": ("annan kanal, p99 utan kö, ms", "another channel, p99 without a queue, ms"),
    "dead_channel_full": ("annan kanal, p99 med 10 000 i kö, ms", "another channel, p99 with 10,000 queued, ms"),
    "soak_minutes": ("uthållighet: minuter", "soak: minutes"),
    "soak_messages": ("uthållighet: meddelanden", "soak: messages, each sent, delivered and opened"),
    "soak_resident": ("uthållighet: minne till sist, MiB", "soak: resident at the end, MiB"),
    "http_16": ("mottagning över HTTP, 16 klienter, per sekund", "accept over HTTP, 16 clients, a second"),
    "r1": ("R1: samma väg utan HTTP, 16 samtidiga, per sekund", "R1: without HTTP, 16 at once, a second"),
    "r0_16": (
        "R0: samma rader rått i lika stora grupper, per sekund",
        "R0: the same rows raw, in equal groups, a second",
    ),
    "https_16": ("mottagning över TLS 1.3, 16 klienter, per sekund", "accept over TLS 1.3, 16 clients, a second"),
    "sketch": ("den säkra skissen över TLS 1.3, 16 klienter, per sekund", "the secure sketch, a second"),
    "http_1": ("mottagning över HTTP, 1 klient, per sekund", "accept over HTTP, 1 client, a second"),
    "r0_1": ("R0: en mottagning per transaktion, per sekund", "R0: one by one, a second"),
    "group": ("mottagningar per transaktion med 16 klienter", "accepts in a transaction, 16 clients"),
    "rows": ("rader i en mottagning", "rows of an accept"),
    "small": ("ärendemeddelande 1 KiB, 32 anslutningar, per sekund", "case message of 1 KiB, 32 connections, a second"),
    "mesh_send": ("mesh-sandbox: skicka 1 KiB, 32 anslutningar, per sekund", "mesh-sandbox: send of 1 KiB, a second"),
    "cycle": ("hela vägen, 8 arbetare, per sekund", "end to end, 8 workers, a second"),
    "mesh_cycle": ("mesh-sandbox: hela vägen, per sekund", "mesh-sandbox: end to end, a second"),
    "postfix_cycle": ("Postfix + S/MIME: hela vägen, per sekund", "Postfix + S/MIME: end to end, a second"),
    "synapse_cycle": ("Synapse: hela vägen, per sekund", "Synapse: end to end, a second"),
    "cycle_cpu": ("serverns processortid för hela vägen, ms", "server processor time of a full cycle, ms"),
    "mesh_cpu": ("mesh-sandbox: serverns processortid, ms", "mesh-sandbox: server processor time of a full cycle, ms"),
    "postfix_cpu": ("Postfix: alla processers processortid, ms", "Postfix: processor time of all its processes, ms"),
    "synapse_cpu": ("Synapse: serverns processortid, ms", "Synapse: server processor time of a full cycle, ms"),
    "up_mb_s": ("1 GiB upp över TLS, MB/s", "1 GiB up over TLS, MB/s"),
    "bare_up_mb_s": ("bara strömma till fil över TLS, MB/s", "bare streaming to a synced file over TLS, MB/s"),
    "down_mb_s": ("1 GiB ned över TLS, MB/s", "1 GiB down over TLS, MB/s"),
    "bare_down_mb_s": ("filsändning rakt av över TLS, MB/s", "plain sending of a file over TLS, MB/s"),
    "ten_mb_s": ("10 MiB skicka + hämta, MB/s", "10 MiB send + retrieve, MB/s"),
    "mesh_ten_mb_s": ("mesh-sandbox: 10 MiB skicka + hämta, MB/s", "mesh-sandbox: 10 MiB send + retrieve, MB/s"),
    "one_up_mb_s": ("en stor fil upp, HTTP, MB/s", "1 GiB up, HTTP, MB/s"),
    "one_down_mb_s": ("en stor fil ned, HTTP, MB/s", "1 GiB down, HTTP, MB/s"),
    "many_up_mb_s": ("åtta filer samtidigt upp, MB/s", "8 × 100 MiB up, MB/s"),
    "many_down_mb_s": ("åtta filer samtidigt ned, MB/s", "8 × 100 MiB down, MB/s"),
    "verify_leaves": (
        "kontrollerade loggrader per sekund, blad och träd",
        "log records verified a second, leaves and tree",
    ),
    "verify_sides": ("kontrollerade loggrader per sekund, med sidorader", "… with side rows"),
    "sha256": ("bara SHA-256, rader per sekund", "bare SHA-256, records a second"),
    "records": ("rader i den kontrollerade loggen", "records in that log"),
    "own_commit": ("var för sig, 32 anropare, per sekund", "own commits, 32 callers, a second"),
    "group_commit": ("i grupp, 32 anropare, per sekund", "group commits, 32 callers, a second"),
    "path_group": (
        "mottagningar i en synk, hela vägen, 32 anropare",
        "accepts in one sync, the whole path, 32 callers",
    ),
    "send_p99": ("p99 för att skicka i måttlig takt, ms", "send p99 at a moderate pace, ms"),
    "busy_p99": ("p99 medan lösenord prövas, ms", "send p99 while passwords are checked, ms"),
    "sign_in": ("inloggning medan det pågår, ms", "a sign-in meanwhile, ms"),
}
STEPS: Final = ("compose", "decide", "seal", "store", "rest")
#: What a growth curve shows at each size of history.
CURVES: Final[Mapping[str, tuple[str, str]]] = {
    "accept": ("mottagning, processortid, ms", "accept, processor time, ms"),
    "claim": ("anspråk på 32 leveranser, ms", "claim of 32 deliveries, ms"),
    "deliver": ("leverans, ms", "delivery, ms"),
    "api": ("inkorgssida i API:t, median, ms", "inbox page through the API, median, ms"),
    "page": ("sida i webbläsaren, median, ms", "page in a browser, median, ms"),
    "verify": ("kontroll av 1 000 loggrader, ms", "verify of 1,000 log records, ms"),
}
