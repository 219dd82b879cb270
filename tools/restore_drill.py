"""A real restore drill, written down: `python tools/restore_drill.py` makes docs/restore-drill.md anew.

Why this exists: a restore that was never tried is a hope. This sends, backs up while somebody goes on sending, sends
more, destroys the data folder, restores by the commands that an operator types, and opens every message again. A test
runs the same with fewer messages.
"""

from __future__ import annotations

import asyncio
import os
import platform
import re
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT_FOLDER = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT_FOLDER))

from gateway.model.base import Instant  # noqa: E402  (the checkout is put on the path first)
from tests.clock import ManualClock  # noqa: E402
from tests.county import ROOT, SEAT_E  # noqa: E402
from tests.site import Site  # noqa: E402

DOCUMENT = ROOT_FOLDER / "docs" / "restore-drill.md"
LOG = "sambud.example_audit"


@dataclass
class Drill:
    """What happened."""

    steps: list[tuple[str, str]] = field(default_factory=list)  # a command or an act, and what it said
    acknowledged: list[str] = field(default_factory=list)
    before: int = 0  # acknowledged when the backup began
    quiet_ms: list[float] = field(default_factory=list)
    during_ms: list[float] = field(default_factory=list)
    restored: set[str] = field(default_factory=set)
    opened: int = 0
    restore_s: float = 0.0


class Desk:
    """Types commands, with the settings of the drill."""

    def __init__(self, folder: Path, drill: Drill) -> None:
        self.folder = folder
        self.drill = drill
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT_FOLDER),
            "SAMBUD_DATA_DIR": str(folder / "data"),
            "SAMBUD_ROOT_KEY_FILE": str(folder / "safe" / "root.key"),
            "SAMBUD_BACKUP_RECIPIENTS": str(folder / "recipients"),
            "SAMBUD_BACKUP_EPOCH_KEYS": str(folder / "epochs"),
        }

    async def types(self, line: str) -> str:
        """Run a command line in the drill's folder; it must succeed."""
        words = shlex.split(line)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "gateway",
            *words[1:],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        told = (await process.communicate())[0].decode()
        self.drill.steps.append((f"$ {line}", told))
        if process.returncode:
            raise RuntimeError(f"{line}: {told}")
        return told


async def drill(folder: Path, *, before: int, after: int, pause_s: float = 0.0, short: bool = False) -> Drill:
    """The whole drill in `folder`: `before` messages, a backup while more are sent, `after` messages, loss, restore."""
    done = Drill()
    desk = Desk(folder, done)
    site = Site(folder, ManualClock(Instant(time.time_ns() // 1000)))
    (folder / "safe").mkdir()
    (folder / "safe" / "root.key").write_text(f"sambud-root-1 {ROOT.hex()}\n")
    (folder / "safe" / "root.key").chmod(0o400)
    await site.begin()
    async with site.county() as county:
        worker = await county.sign_in("al-sos")

        async def send(times: list[float]) -> None:
            started = time.perf_counter()
            done.acknowledged.append(await site.send(county, worker))
            times.append((time.perf_counter() - started) * 1000)

        for _ in range(before):
            await send(done.quiet_ms)
        await county.deliver()
        await county.gateway.integrator.flush()
        done.before = len(done.acknowledged)
        backup = asyncio.create_task(desk.types("sambud backup backups"))
        while not backup.done():
            await send(done.during_ms)
            await asyncio.sleep(pause_s)
        await backup
        for _ in range(after):
            await send([])
        await county.gateway.integrator.flush()
    for log in sorted((folder / "data" / "log").glob(f"{LOG}_*")):
        shutil.copy(log / "checkpoint", folder / "checkpoint")
    shutil.rmtree(folder / "data")
    done.steps.append((f"(the data folder is destroyed; {len(done.acknowledged)} messages had been acknowledged)", ""))
    await _restored(desk, site, done, short=short)
    return done


async def _restored(desk: Desk, site: Site, done: Drill, *, short: bool) -> None:
    [messages], [keys] = desk.folder.glob("backups/*.sbm"), desk.folder.glob("backups/*.sbk")
    files = f"backups/{messages.name} backups/{keys.name} --key offline/recipient.key"
    started = time.perf_counter()
    await desk.types(f"sambud restore {files} --data data --checkpoint checkpoint")
    done.restore_s = time.perf_counter() - started
    if not short:
        await desk.types("sambud audit verify")
    site.clock.set(max(site.clock.now(), Instant(time.time_ns() // 1000)))  # a sign-in moved it on
    done.restored = site.stored()
    async with site.county() as county:
        await county.deliver()
        chief = await county.sign_in("ek-chef")
        for message in [one for one in done.acknowledged if one in done.restored]:
            if done.opened and done.opened % 50 == 0:  # a window covers sixty openings
                await county.step_up(chief, SEAT_E)
            await county.open(chief, SEAT_E, message)  # type: ignore[arg-type]
            done.opened += 1
        await county.gateway.integrator.flush()
    done.steps.append((f"(every restored message is opened by a member of its inbox: {done.opened})", ""))
    if not short:
        await desk.types("sambud doctor")
    await desk.types(f"sambud restore {files} --drill")


def rendered(done: Drill) -> str:
    """The document."""
    lost = len(done.acknowledged) - done.opened
    quiet, during = statistics.median(done.quiet_ms), statistics.median(done.during_ms)
    lines = [
        "# A restore drill, as it went",
        "",
        "Made by `python tools/restore_drill.py`, never edited: a gateway sends, is backed up while it goes on",
        "sending, loses its data folder, and is restored by the commands below.",
        "",
        f"- {done.before} messages when the backup began, {len(done.acknowledged)} acknowledged at the loss;",
        f"  {done.opened} restored and opened, {lost} newer than the backup and lost, as the new log says.",
        f"- Restored in {done.restore_s:.1f} s. Opening a case, recording consent and sending took {quiet:.0f} ms",
        f"  (median) before, {during:.0f} ms while the backup ran ({len(done.during_ms)} sent meanwhile), at most",
        f"  {max(done.quiet_ms):.0f} and {max(done.during_ms):.0f} ms; the two processes share the cores.",
        f"- {time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, shared, Python {platform.python_version()}.",
        "",
    ]
    for head, said in done.steps:
        if head.startswith("$"):
            lines += ["", "```", head, *_shortened(said), "```"]
        else:
            lines += ["", head.strip("()")[:1].upper() + head.strip("()")[1:] + "."]
    return "\n".join(lines) + "\n"


def _shortened(said: str) -> list[str]:
    found = [re.sub(r"\S*/(sambud-drill-)\w+", r"\1…", line) for line in said.strip().splitlines()]
    return found if len(found) <= 12 else [*found[:4], f"… {len(found) - 8} lines …", *found[-4:]]


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="drill-"))
    try:
        done = asyncio.run(drill(folder, before=40, after=10))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    DOCUMENT.write_text(rendered(done), "utf-8")
    print(f"{done.opened} of {len(done.acknowledged)} opened again, restored in {done.restore_s:.1f} s")


if __name__ == "__main__":
    main()
