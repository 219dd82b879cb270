"""K0, the root key: one file outside the data directory, readable by the gateway's user alone.

Why this exists: whoever holds K0 and the database can read every standard inbox, so K0 must not lie where the data
lies, nor be readable by others. Only the file provider exists so far; a passphrase and PKCS #11 are not yet here.

Rules: the file is the gateway user's own, mode 0400; or, as a service manager hands over a credential
(systemd.exec(5), LoadCredential=), it is root's and an access list names the gateway's user as its only other reader.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
import struct
from pathlib import Path
from typing import Final

from gateway.errors import SetupError

#: acl(5) as Linux keeps it (uapi/linux/posix_acl_xattr.h): a version, then tag, permissions and id of each entry.
_ACL_NAME: Final = "system.posix_acl_access"
_ACL_VERSION: Final = 2
_ACL_ENTRY: Final = struct.Struct("<HHI")
_USER_OBJ, _USER, _MASK = 0x01, 0x02, 0x10
_READ: Final = 0x4
_FORM: Final = re.compile(r"\Asambud-root-1 ([0-9a-f]{64})\n\Z")


def create_root(path: Path) -> None:
    """Write a new root key to `path`, mode 0400, create-only.

    Raises:
        SetupError: the file exists; a root key is never overwritten.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
    except FileExistsError:
        raise SetupError(
            f"{path} exists",
            swedish=f"Rotnyckeln {path} finns redan.",
            next_step="Använd den, eller ange en annan fil. En rotnyckel skrivs aldrig över.",
        ) from None
    with os.fdopen(descriptor, "w") as file:
        file.write(f"sambud-root-1 {secrets.token_hex(32)}\n")
        file.flush()
        os.fsync(file.fileno())


def read_root(path: Path, *, data_dir: Path) -> bytes:
    """The 32 octets of K0.

    Raises:
        SetupError: missing, inside the data directory, readable by others, owned by another, or not a root key.
    """
    resolved = path.resolve()
    if resolved.is_relative_to(data_dir.resolve()):
        raise _trouble(
            path, "ligger i datakatalogen", "Flytta den till en katalog som inte säkerhetskopieras med data."
        )
    try:
        descriptor = os.open(resolved, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        raise _trouble(path, "saknas", "Lägg tillbaka filen, eller skapa en ny gateway med 'sambud init'.") from None
    except OSError:
        raise _trouble(path, "kan inte läsas", "Kontrollera att användaren som kör sambud äger filen.") from None
    with os.fdopen(descriptor) as file:
        if not (_own(file.fileno()) or _handed_over(file.fileno())):
            raise _trouble(path, "kan läsas av andra", f"Kör: chmod 0400 {path}, som den användare som kör sambud.")
        text = file.read(200)
    match = _FORM.match(text)
    if match is None:
        raise _trouble(path, "är inte en rotnyckel", "Kontrollera att rätt fil är angiven i SAMBUD_ROOT_KEY_FILE.")
    return bytes.fromhex(match[1])


def _own(descriptor: int) -> bool:
    status = os.fstat(descriptor)
    return status.st_uid == os.geteuid() and not stat.S_IMODE(status.st_mode) & 0o177


def _handed_over(descriptor: int) -> bool:
    """Root's file that nobody but root and this user can read, and nobody can write."""
    if os.fstat(descriptor).st_uid != 0:
        return False
    try:
        listed = os.getxattr(descriptor, _ACL_NAME)
    except OSError:  # no access list, or a file system without them
        return False
    if len(listed) % _ACL_ENTRY.size != 4 or int.from_bytes(listed[:4], "little") != _ACL_VERSION:
        return False
    return all(
        not permissions & ~_READ
        and (not permissions or tag in (_USER_OBJ, _MASK) or (tag, who) == (_USER, os.geteuid()))
        for tag, permissions, who in _ACL_ENTRY.iter_unpack(listed[4:])
    )


def _trouble(path: Path, what: str, next_step: str) -> SetupError:
    return SetupError(f"root key {path}: {what}", swedish=f"Rotnyckeln {path} {what}.", next_step=next_step)
