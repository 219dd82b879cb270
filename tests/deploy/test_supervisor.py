"""What the service manager is told, and what it may hand over (sd_notify(3), systemd.exec(5) LoadCredential=)."""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.supervisor import ALIVE, READY, STOPPING, interval_s, keep_alive, tell
from gateway.errors import SetupError
from keys.roots import create_root, read_root
from tests.path.test_startup import Machine

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """The far side: a datagram socket, as the service manager opens one."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind(str(tmp_path / "notify"))
        line.settimeout(60)
        yield line


@pytest.mark.slow
def test_serve_tells_when_it_answers_that_it_lives_and_that_it_ends(tmp_path: Path, manager: socket.socket) -> None:
    """Ready only when the port answers: units that come after may call at once."""
    machine = Machine(tmp_path)
    assert machine.run("init").returncode == 0
    told = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000"}
    with subprocess.Popen(
        [sys.executable, "-m", "gateway", "serve"],
        cwd=ROOT,
        env=machine.environment(**told),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as serving:
        try:
            assert manager.recv(100) == READY.encode()
            assert serving.stdout is not None
            address = serving.stdout.readline().split("http://localhost:")[1].split()[0]
            with socket.create_connection(("127.0.0.1", int(address)), timeout=10):
                pass
            assert [manager.recv(100) for _ in range(3)] == [ALIVE.encode()] * 3
            serving.send_signal(signal.SIGTERM)
            words = {manager.recv(100)}
            while STOPPING.encode() not in words:
                words.add(manager.recv(100))
            assert words <= {ALIVE.encode(), STOPPING.encode()}
            assert serving.wait(30) == 0
        finally:
            serving.kill()


def test_nobody_is_told_where_nobody_asked_and_a_deaf_manager_harms_nobody(tmp_path: Path) -> None:
    assert not tell(READY, {})
    assert not tell(READY, {"NOTIFY_SOCKET": "relative"})
    assert not tell(READY, {"NOTIFY_SOCKET": str(tmp_path / "nobody")})


def test_a_name_that_is_no_file_is_reached_as_well() -> None:
    """sd_notify(3): an address that begins with @ is in the abstract namespace."""
    name = f"sambud-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind("\0" + name)
        assert tell(ALIVE, {"NOTIFY_SOCKET": "@" + name})
        assert line.recv(100) == ALIVE.encode()


@pytest.mark.parametrize(
    ("environment", "every"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "60000000"}, 30.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}, None),  # meant for our parent, not for us
    ],
)
def test_we_say_that_we_live_twice_in_the_time_the_manager_waits(
    environment: dict[str, str], every: float | None
) -> None:
    assert interval_s(environment) == every


async def test_where_nobody_waits_nothing_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    await keep_alive()


# --- the root key, handed over ---------------------------------------------------------------------------------------

NOBODY = 65534


def reading_as(user: int, key: Path, data: Path) -> str:
    """What `user` gets when it reads the key: "read", or the Swedish sentence."""
    code = (
        "import sys; from pathlib import Path; from keys.roots import read_root; from gateway.errors import SetupError\n"
        "import os; os.setgroups([]); os.setgid(65534); os.setuid(int(sys.argv[3]))\n"
        "try: print('read' if len(read_root(Path(sys.argv[1]), data_dir=Path(sys.argv[2]))) == 32 else 'odd')\n"
        "except SetupError as error: print(error.swedish)"
    )
    command = [sys.executable, "-c", code, str(key), str(data), str(user)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def access_list(*entries: tuple[int, int, int]) -> bytes:
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


OWNER, USER, GROUP_OBJ, GROUP, MASK, OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
ANY = 0xFFFFFFFF
READ, WRITE = 4, 2
HANDED = [(OWNER, READ, ANY), (USER, READ, NOBODY), (GROUP_OBJ, 0, ANY), (MASK, READ, ANY), (OTHER, 0, ANY)]
TO_ANOTHER = [(OWNER, READ, ANY), (USER, READ, 1), (USER, READ, NOBODY), *HANDED[2:]]
TO_A_GROUP = [*HANDED[:3], (GROUP, READ, 7), *HANDED[3:]]
TO_ROOTS_GROUP = [*HANDED[:2], (GROUP_OBJ, READ, ANY), *HANDED[3:]]
TO_ALL = [*HANDED[:4], (OTHER, READ, ANY)]
WRITABLE = [HANDED[0], (USER, READ | WRITE, NOBODY), HANDED[2], (MASK, READ | WRITE, ANY), HANDED[4]]


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can hand over a file of root's")
@pytest.mark.parametrize(
    ("entries", "says"),
    [
        (HANDED, "read"),
        (TO_ANOTHER, "kan läsas av andra"),
        (TO_A_GROUP, "kan läsas av andra"),
        (TO_ROOTS_GROUP, "kan läsas av andra"),
        (TO_ALL, "kan läsas av andra"),
        (WRITABLE, "kan läsas av andra"),
        (None, "kan inte läsas"),
    ],
    ids=["to-us", "to-another", "to-a-group", "to-roots-group", "to-all", "writable", "not-at-all"],
)
def test_a_root_key_of_roots_is_taken_when_its_access_list_names_us_alone(
    entries: list[tuple[int, int, int]] | None, says: str
) -> None:
    """systemd.exec(5): a credential lies with root, and an access list opens it to the service's user."""
    with tempfile.TemporaryDirectory() as made:  # pytest's own folders are closed to other users
        folder = Path(made)
        folder.chmod(0o755)
        key = folder / "root.key"
        create_root(key)
        if entries is not None:
            os.setxattr(key, "system.posix_acl_access", access_list(*entries))
        assert says in reading_as(NOBODY, key, folder / "data")


def test_a_key_of_our_own_that_a_group_can_read_is_still_refused(tmp_path: Path) -> None:
    key = tmp_path / "root.key"
    create_root(key)
    assert len(read_root(key, data_dir=tmp_path / "data")) == 32
    key.chmod(0o440)
    with pytest.raises(SetupError, match="root key"):
        read_root(key, data_dir=tmp_path / "data")


@pytest.mark.slow
def test_a_root_key_is_made_as_a_file_of_its_own_once_and_init_takes_it(tmp_path: Path) -> None:
    """Where a service manager hands the key over it is made first, by root."""
    machine = Machine(tmp_path)
    made = machine.run("root-key", "create", str(machine.root_key))
    assert made.returncode == 0
    assert machine.root_key.stat().st_mode & 0o777 == 0o400
    before = machine.root_key.read_bytes()
    machine.refuses("root-key", "create", str(machine.root_key), says="finns redan", next_step="aldrig över")
    begun = machine.run("init")
    assert begun.returncode == 0
    assert "Rotnyckeln" not in begun.stdout, "it was not made here, and lies elsewhere than it seems to"
    assert machine.root_key.read_bytes() == before
