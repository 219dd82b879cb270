"""Checkpoints and proofs as text, in the formats of C2SP (tlog-checkpoint, tlog-proof), so that others can check
them."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

PROOF_HEADER: Final = "c2sp.org/tlog-proof@v1"


@dataclass(frozen=True, slots=True)
class TreeHead:
    """What a checkpoint says."""

    origin: str
    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class Proof:
    """A parsed tlog-proof."""

    leaf: bytes
    index: int
    path: tuple[bytes, ...]
    checkpoint: str


def checkpoint_text(origin: str, size: int, root: bytes) -> str:
    """The text that is signed: origin, size, root."""
    return f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n"


def parse_checkpoint(note: str) -> TreeHead:
    """What a checkpoint note says; its signature is checked elsewhere. ValueError when it does not parse."""
    text, separator, _ = note.rpartition("\n\n")
    lines = text.split("\n")
    if not separator or len(lines) != 3 or not lines[1].isascii() or not lines[1].isdigit():
        raise ValueError("not a checkpoint")
    if lines[1] != str(int(lines[1])):
        raise ValueError("a size has no leading zeroes")
    root = base64.b64decode(lines[2], validate=True)
    if len(root) != 32:
        raise ValueError("a root has 32 octets")
    return TreeHead(lines[0], int(lines[1]), root)


def proof_text(leaf: bytes, index: int, path: Sequence[bytes], checkpoint: str) -> str:
    """A tlog-proof; the leaf rides as the extra line, and a verifier computes its hash from there."""
    hashes = "".join(f"{base64.b64encode(hash_).decode()}\n" for hash_ in path)
    return f"{PROOF_HEADER}\nextra {base64.b64encode(leaf).decode()}\nindex {index}\n{hashes}\n{checkpoint}"


def parse_proof(text: str) -> Proof:
    """The parts of a proof. ValueError when it does not parse."""
    head, separator, checkpoint = text.partition("\n\n")
    lines = head.split("\n")
    if not separator or lines[0] != PROOF_HEADER or len(lines) < 3:
        raise ValueError("not a proof")
    if not lines[1].startswith("extra ") or not lines[2].startswith("index "):
        raise ValueError("a proof names its leaf and its index")
    return Proof(
        base64.b64decode(lines[1].removeprefix("extra "), validate=True),
        int(lines[2].removeprefix("index ")),
        tuple(base64.b64decode(line, validate=True) for line in lines[3:]),
        checkpoint,
    )
