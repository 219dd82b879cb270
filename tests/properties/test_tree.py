"""The Merkle tree of the log: RFC 6962 §2.1, RFC 9162 §2.1.3.2 and §2.1.4.2."""

from __future__ import annotations

import hashlib

from gateway.tree import (
    EMPTY_ROOT,
    CompactRange,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_at,
    root_of,
    verify_consistency,
    verify_inclusion,
)

N = 100
LEAVES = [leaf_hash(bytes([n])) for n in range(N)]


def plain_root(hashes: list[bytes]) -> bytes:
    """MTH by its definition, recursively: the other implementation."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    return node_hash(plain_root(hashes[:k]), plain_root(hashes[k:]))


def hash_at(level: int, index: int) -> bytes:
    return plain_root(LEAVES[index << level : (index + 1) << level])


def test_roots_are_those_of_the_definition_for_every_size() -> None:
    growing = CompactRange()
    assert growing.root() == EMPTY_ROOT == plain_root([])
    for size in range(1, N + 1):
        growing.append(LEAVES[size - 1])
        assert growing.root() == plain_root(LEAVES[:size]) == root_of(LEAVES[:size]) == root_at(hash_at, size)


def test_the_known_answer_of_rfc_6962_for_an_empty_leaf() -> None:
    """SHA-256(0x00), as every Certificate Transparency implementation has it."""
    assert leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"


def test_every_inclusion_proof_up_to_100_holds_and_no_mutated_one() -> None:
    """Catalogue A05."""
    proofs = mutated = 0
    for size in range(1, N + 1):
        root = plain_root(LEAVES[:size])
        for index in range(size):
            proof = inclusion_proof(hash_at, index, size)
            assert verify_inclusion(LEAVES[index], index, size, proof, root)
            proofs += 1
            for at in range(len(proof)):
                wrong = [*proof[:at], bytes(32), *proof[at + 1 :]]
                assert not verify_inclusion(LEAVES[index], index, size, wrong, root)
                mutated += 1
            assert not verify_inclusion(LEAVES[index], index, size, [*proof, bytes(32)], root)
            assert not verify_inclusion(LEAVES[index], (index + 1) % size, size, proof, root) or size == 1
            assert not verify_inclusion(LEAVES[index], size, size, proof, root)
            mutated += 3
    print(f"A05: {proofs} inclusion proofs, {mutated} mutated")


def test_every_consistency_proof_up_to_100_holds_and_no_mutated_one() -> None:
    """Catalogue A05."""
    proofs = mutated = 0
    for new in range(1, N + 1):
        new_root = plain_root(LEAVES[:new])
        for old in range(new + 1):
            old_root = plain_root(LEAVES[:old])
            proof = consistency_proof(hash_at, old, new)
            assert verify_consistency(old, new, proof, old_root, new_root)
            proofs += 1
            if not 0 < old < new:
                continue
            for at in range(len(proof)):
                wrong = [*proof[:at], bytes(32), *proof[at + 1 :]]
                assert not verify_consistency(old, new, wrong, old_root, new_root)
                mutated += 1
            assert not verify_consistency(old, new, proof, bytes(32), new_root)
            assert not verify_consistency(old, new, [*proof, bytes(32)], old_root, new_root)
            mutated += 2
    print(f"A05: {proofs} consistency proofs, {mutated} mutated")
