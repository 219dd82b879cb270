"""Debian's Postfix and smtp-sink as peers, on loopback, from folders that go with the test.

Postfix reads `deploy/mail/main.cf`, the example that operators are given, and below it what only this machine needs:
places, ports, and that its second domain lies at an smtp-sink.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from bench.peers.process import free_port
from tests.smtp.authority import Authority
from tests.smtp.parcels import OURS, THEIRS
from tests.smtp.servers import server_authority

EXAMPLE: Final = Path(__file__).parent.parent.parent / "deploy" / "mail" / "main.cf"
POSTFIX, SINK, POSTCONF = "/usr/sbin/postfix", "/usr/sbin/smtp-sink", "/usr/sbin/postconf"
MASTER: Final = """\
127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""
HERE: Final = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
mail_owner = postfix
setgid_group = postdrop
maillog_file = {folder}/mail.log
maillog_file_prefixes = {folder}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mail.example
mydestination =
virtual_mailbox_domains = vaxjo.example, region.example
virtual_mailbox_base = {folder}/mail
virtual_mailbox_maps = inline:{{ {boxes} }}
virtual_minimum_uid = 1
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
smtpd_peername_lookup = no
smtpd_tls_chain_files = {folder}/server.pem
smtpd_tls_security_level = encrypt
smtp_tls_security_level = none
smtp_tls_policy_maps =
smtp_dns_support_level = disabled
transport_maps = inline:{{ {sinks} }}
"""


def needed() -> None:
    """Skip, or fail where every peer must be there."""
    if not all(map(os.path.exists, (POSTFIX, SINK))):
        if os.environ.get("SAMBUD_REQUIRE_PEERS") == "1":
            pytest.fail("Postfix is missing: install Debian's postfix")
        pytest.skip("Postfix (Debian: postfix)")
    if os.geteuid() != 0:
        pytest.skip("Postfix is here, but its master starts as root alone: run these tests as root, as .ci/run does")


@dataclass
class Running:
    """A Postfix that takes mail on `port`, over TLS that `ca` vouches for."""

    folder: Path
    port: int
    authority: Authority

    @property
    def ca(self) -> Path:
        return self.folder / "server-ca.pem"

    def maildir(self, domain: str) -> Path:
        """Where it delivers what comes for vaxjo.example or region.example."""
        return self.folder / "mail" / domain.partition(".")[0]

    def configured(self, *names: str) -> list[str]:
        done = subprocess.run(
            [POSTCONF, "-c", str(self.folder / "conf"), *names], capture_output=True, text=True, check=True
        )
        return (done.stdout + done.stderr).splitlines()

    async def logged(self, what: str) -> str:
        """The log, once it says so."""
        async with asyncio.timeout(20):
            while True:
                text = (self.folder / "mail.log").read_text("utf-8")
                if what in text:
                    return text
                await asyncio.sleep(0.02)

    async def delivered(self, domain: str, count: int = 1) -> list[Path]:
        """Wait for this many mails."""
        new = self.maildir(domain) / "new"
        async with asyncio.timeout(20):
            while True:
                found = sorted(new.iterdir()) if new.exists() else []
                if len(found) >= count:
                    return found
                await asyncio.sleep(0.02)


@asynccontextmanager
async def a_postfix(*, sinks: Mapping[str, int] | None = None, more: Sequence[str] = ()) -> AsyncIterator[Running]:
    """Started in the foreground, ended by its own configuration; `sinks` are domains that lie at an smtp-sink."""
    folder = Path(tempfile.mkdtemp(prefix="sambud-postfix-"))
    port, owner, nobody = free_port(), pwd.getpwnam("postfix"), pwd.getpwnam("nobody")
    folder.chmod(0o755)  # the delivery agent is nobody, and must get through
    boxes_of = [f"mail/{name}{part}" for name in ("vaxjo", "region") for part in ("", "/tmp", "/new", "/cur")]
    for part in ("conf", "queue", "data", "mail", *boxes_of):
        (folder / part).mkdir()
    os.chown(folder / "data", owner.pw_uid, owner.pw_gid)
    for part in ("mail", *boxes_of):
        os.chown(folder / part, nobody.pw_uid, nobody.pw_gid)
    authority = server_authority(folder)
    authority.server().written(folder, "server", key=True).chmod(0o600)
    addresses = (OURS, "studs@vaxjo.example", THEIRS, "studs@region.example")
    boxes = ", ".join(f"{{ {one} = {one.partition('@')[2].partition('.')[0]}/ }}" for one in addresses)
    lying = ", ".join(
        f"{{ {domain} = smtp:[127.0.0.1]:{at} }}" for domain, at in (sinks or {"borta.example": 9}).items()
    )
    values = {"boxes": boxes, "folder": folder, "uid": nobody.pw_uid, "gid": nobody.pw_gid, "sinks": lying}
    settings = EXAMPLE.read_text("utf-8") + HERE.format(**values) + "\n".join(more) + "\n"
    (folder / "conf" / "main.cf").write_text(_last_of_each(settings), "utf-8")
    (folder / "conf" / "master.cf").write_text(MASTER.format(port=port), "utf-8")
    run = [POSTFIX, "-c", str(folder / "conf")]
    process = await asyncio.create_subprocess_exec(
        *run, "start-fg", stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        await _listening(port)
        yield Running(folder, port, authority)
    finally:
        stop = await asyncio.create_subprocess_exec(
            *run, "stop", stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )
        await stop.wait()
        await process.wait()
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def a_sink(*options: str) -> AsyncIterator[int]:
    """smtp-sink with these fault modes, on a port of loopback."""
    port = free_port()
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    process = await asyncio.create_subprocess_exec(SINK, *user, *options, f"127.0.0.1:{port}", "100")
    try:
        await _listening(port)
        yield port
    finally:
        process.terminate()
        await process.wait()


async def _listening(port: int) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
                continue
            writer.transport.abort()
            return


def _last_of_each(text: str) -> str:
    """The settings, each once, the last one counting: Postfix does the same, and warns."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found[name.strip()] = value.strip()
    return "".join(f"{name} = {value}\n" for name, value in found.items())
