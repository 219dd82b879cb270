"""What a disk may hold after the power went: states rebuilt from a recording of every write, sync, link and rename.

Why this exists: a kill leaves the page cache, so it cannot tell a sync from none. Here the recording (strace, with all
data) is cut at any point; what was synced before it stands, and of the rest anything may be lost, kept, mixed or torn.

Rules (POSIX, stricter than ext4): data is durable when its file was synced after the write; a name is durable when its
folder was synced after the link, rename, creation or unlink; a write may be torn at any 512 octets; a file whose name is not
durable may be gone. `-shm` is memory and is gone. Writes of one call are in the order of the recording.
"""

from __future__ import annotations

import ast
import random
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

SECTOR = 512
CALLS = (
    "write,pwrite64,writev,pwritev,fsync,fdatasync,ftruncate,fallocate,link,linkat,rename,renameat,renameat2,"
    "openat,creat,unlink,unlinkat,mkdir,mkdirat,rmdir,sync_file_range,copy_file_range,sendfile"
)
OPTIONS = ("-y", "-xx", "-s", "4000000", "-e", f"trace={CALLS}")
MODES = ("lost", "kept", "ordered", "mixed", "torn")
_CALL = re.compile(r"^(\d+) +(\w+)\((.*)\) += (-?\d+)(?:<.*>)?(?: \(INJECTED\))?$")
_BEGUN = re.compile(r"^(\d+) +(\w+)\((.*) <unfinished \.\.\.>$")
_ENDED = re.compile(r"^(\d+) +<\.\.\. (\w+) resumed>(.*)\) += (-?\d+)(?:<.*>)?$")
_QUOTED = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


@dataclass(slots=True)
class Event:
    """One change of the disk, or a sync, with the places in the recording where it began and ended."""

    kind: str  # write, truncate, sync, create, link, rename, unlink, mkdir, said
    begun: int
    ended: int
    path: str = ""
    other: str = ""
    offset: int = 0
    data: bytes = b""


@dataclass(slots=True)
class File:
    """A file by what it is, not by its name: what it held at the start, and what was done to it."""

    content: bytes = b""
    changes: list[Event] = field(default_factory=list)
    syncs: list[Event] = field(default_factory=list)


@dataclass(slots=True)
class Recording:
    """Everything that happened to a folder."""

    files: list[File] = field(default_factory=list)
    #: (folder, event, name, file index or None for a removal); folders by path, which none of ours ever changes
    names: list[tuple[str, Event, str, int | None]] = field(default_factory=list)
    folder_syncs: list[tuple[str, Event]] = field(default_factory=list)
    start: dict[str, int] = field(default_factory=dict)  # path -> file index
    folders: dict[str, Event | None] = field(default_factory=dict)
    said: list[tuple[int, str]] = field(default_factory=list)  # what was acknowledged, and when
    length: int = 0


def record(log: Path, folder: Path, before: Path, mark: str) -> Recording:
    """Read a trace of what a process did to `folder`, which was a copy of `before`.

    Args:
        mark: the file whose writes are the acknowledgements; it is no part of the disk.
    """
    found = Recording()
    for path in sorted(before.rglob("*")):
        name = path.relative_to(before).as_posix()
        if path.is_dir():
            found.folders[name] = None
        else:
            found.start[name] = len(found.files)
            found.files.append(File(path.read_bytes()))
    current = dict(found.start)
    offsets: dict[tuple[str, str], int] = {}
    for number, (thread, call, rest, begun) in enumerate(_calls(log)):
        _take(found, current, offsets, call, rest, begun, number, str(folder), mark, thread)
        found.length = number + 1
    return found


def _calls(log: Path) -> Iterator[tuple[str, str, str, int]]:
    """Every call that succeeded, where it ended; with the number of calls that had ended when it began."""
    open_calls: dict[str, tuple[str, str, int]] = {}
    ended = 0
    for line in log.read_text("ascii", "replace").splitlines():
        if match := _CALL.match(line):
            thread, call, rest, result, begun = match[1], match[2], match[3], int(match[4]), ended
        elif match := _BEGUN.match(line):
            open_calls[match[1]] = (match[2], match[3], ended)
            continue
        elif match := _ENDED.match(line):
            call, first, begun = open_calls.pop(match[1])
            thread, rest, result = match[1], first + match[3], int(match[4])
        else:
            continue
        if result >= 0:
            yield thread, call, rest, begun
            ended += 1


def _take(
    found: Recording,
    current: dict[str, int],
    offsets: dict[tuple[str, str], int],
    call: str,
    rest: str,
    begun: int,
    number: int,
    folder: str,
    mark: str,
    thread: str,
) -> None:
    """Put one call into the recording; what it cannot read is an error, never left out."""
    strings = [_octets(match) for match in _QUOTED.findall(rest)]
    descriptor = re.match(r"(\d+)<([^>]*)>", rest)
    path = _decoded(descriptor[2]) if descriptor else ""
    below = path.removeprefix(folder + "/") if path.startswith(folder + "/") else ""
    if call in ("write", "pwrite64", "ftruncate", "fsync", "fdatasync"):
        if path == folder and call in ("fsync", "fdatasync"):  # SQLite syncs folders by fdatasync
            found.folder_syncs.append((".", Event("sync", begun, number)))
            return
        if not below or below.endswith(("-shm", ".lock")):
            return
        if below == mark:
            found.said.append((number, strings[0].decode()))
            return
        if below in found.folders:
            found.folder_syncs.append((below, Event("sync", begun, number)))
            return
        below = below.removesuffix(" (deleted)")
        file = found.files[current[below]]
        if call in ("fsync", "fdatasync"):
            file.syncs.append(Event("sync", begun, number))
        elif call == "ftruncate":
            file.changes.append(Event("truncate", begun, number, offset=int(rest.rpartition(",")[2])))
        elif call == "pwrite64":
            file.changes.append(Event("write", begun, number, offset=int(rest.rpartition(",")[2]), data=strings[0]))
        else:
            key = (below, descriptor[1] if descriptor else "")
            at = offsets.get(key, 0)
            offsets[key] = at + len(strings[0])
            file.changes.append(Event("write", begun, number, offset=at, data=strings[0]))
        return
    paths = [one.decode() for one in strings]
    paths = [one.removeprefix(folder + "/") for one in paths if one.startswith(folder + "/")]
    if not paths or paths[0].endswith(("-shm", ".lock")) or paths[0] == mark:
        return
    if call == "openat":
        if "O_TRUNC" in rest and paths[0] in current:
            found.files[current[paths[0]]].changes.append(Event("truncate", begun, number))
            for key in [key for key in offsets if key[0] == paths[0]]:
                del offsets[key]
        if "O_CREAT" in rest and paths[0] not in current:
            _named(found, current, paths[0], len(found.files), Event("create", begun, number))
            found.files.append(File())
            for key in [key for key in offsets if key[0] == paths[0]]:
                del offsets[key]
    elif call in ("mkdir", "mkdirat"):
        found.folders[paths[0]] = Event("mkdir", begun, number)
    elif call in ("link", "linkat"):
        _named(found, current, paths[1], current[paths[0]], Event("link", begun, number))
    elif call.startswith("rename"):
        event = Event("rename", begun, number)
        _named(found, current, paths[1], current[paths[0]], event)
        _named(found, current, paths[0], None, event)
    elif call in ("unlink", "unlinkat"):
        _named(found, current, paths[0], None, Event("unlink", begun, number))
    else:
        raise AssertionError(f"a call that the simulator does not know: {call}({rest[:200]}")


def _named(found: Recording, current: dict[str, int], path: str, file: int | None, event: Event) -> None:
    folder, _, name = path.rpartition("/")
    found.names.append((folder or ".", event, name, file))
    if file is None:
        current.pop(path, None)
    else:
        current[path] = file


def _octets(quoted: str) -> bytes:
    return bytes.fromhex(quoted.replace("\\x", ""))


def _decoded(path: str) -> str:
    return ast.literal_eval(f'b"{path}"').decode() if "\\x" in path else path


# --- a state ---------------------------------------------------------------------------------------------------------


def acknowledged(recording: Recording, cut: int) -> list[str]:
    """What had been told when the power went."""
    return [text for number, text in recording.said if number < cut]


def state(recording: Recording, cut: int, mode: str, generator: random.Random, target: Path) -> None:
    """Write one possible disk at `cut` into `target`."""
    folders = _folders(recording, cut, mode, generator)
    names = _names(recording, cut, mode, generator)
    target.mkdir()
    for path in sorted(folders):
        (target / path).mkdir()
    for (folder, name), file in names.items():
        if file is not None and (folder == "." or folder in folders):
            content = _content(recording.files[file], cut, mode, generator)
            (target / folder / name).write_bytes(content)


def _keeps(mode: str, generator: random.Random) -> bool:
    return mode == "kept" or (mode in ("mixed", "torn") and generator.random() < 0.5)


def _folders(recording: Recording, cut: int, mode: str, generator: random.Random) -> set[str]:
    standing: set[str] = set()
    for path, event in sorted(recording.folders.items()):
        parent = path.rpartition("/")[0] or "."
        if parent != "." and parent not in standing:
            continue
        if event is None or (
            event.ended < cut
            and (_durable(event, [s for f, s in recording.folder_syncs if f == parent], cut) or _keeps(mode, generator))
        ):
            standing.add(path)
    return standing


def _names(recording: Recording, cut: int, mode: str, generator: random.Random) -> dict[tuple[str, str], int | None]:
    """Which name leads to which file. A rename is one change in one folder: both its halves or neither."""
    standing: dict[tuple[str, str], int | None] = {
        (path.rpartition("/")[0] or ".", path.rpartition("/")[2]): file for path, file in recording.start.items()
    }
    waiting = [one for one in recording.names if one[1].ended < cut]
    pending = {
        id(e) for f, e, _, _ in waiting if not _durable(e, [s for g, s in recording.folder_syncs if g == f], cut)
    }
    ordered = sorted(pending, key=lambda i: next(e.ended for _, e, _, _ in waiting if id(e) == i))
    if mode == "ordered":
        kept = set(ordered[: generator.randint(0, len(ordered))])
    else:
        kept = {one for one in ordered if _keeps(mode, generator)}
    for folder, event, name, file in waiting:
        if id(event) not in pending or id(event) in kept:
            standing[folder, name] = file
    return standing


def _durable(event: Event, syncs: list[Event], cut: int) -> bool:
    return any(sync.begun > event.ended and sync.ended < cut for sync in syncs)


def _content(file: File, cut: int, mode: str, generator: random.Random) -> bytes:
    content = bytearray(file.content)
    begun = [one for one in file.changes if one.begun < cut]
    pending = [one for one in begun if not _durable(one, file.syncs, cut)]
    prefix = generator.randint(0, len(pending)) if mode == "ordered" else 0
    kept = {id(one) for one in pending[:prefix]} if mode == "ordered" else set()
    for change in begun:
        if change not in pending or id(change) in kept or mode == "kept":
            _apply(content, change, None)
        elif mode == "torn":
            _apply(content, change, generator)
        elif mode == "mixed" and generator.random() < 0.5:
            _apply(content, change, None)
    return bytes(content)


def _apply(content: bytearray, change: Event, torn: random.Random | None) -> None:
    if change.kind == "truncate":
        if torn is None or torn.random() < 0.5:
            del content[change.offset :]
            content.extend(bytes(change.offset - len(content)))
        return
    at = change.offset
    while at < change.offset + len(change.data):
        end = min(change.offset + len(change.data), (at // SECTOR + 1) * SECTOR)
        if torn is None or torn.random() < 0.5:
            if len(content) < at:
                content.extend(bytes(at - len(content)))
            content[at:end] = change.data[at - change.offset : end - change.offset]
        at = end


def removed(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
