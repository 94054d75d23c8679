"""What is kept of one file between processes and between runs, and its form as bytes."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

import msgspec

from sqla_safe.checker._facts import ModuleFacts
from sqla_safe.checker.findings import Finding, Skip  # noqa: TC001 - msgspec reads them


class Read(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One file after it was read: its facts, or why there are none."""

    lines: int
    facts: bytes
    skip: Skip | None = None
    loaded: tuple[str, ...] = ()
    """What a file that cannot be parsed seems to load with entities, as facts have it."""


class Looked(msgspec.Struct, frozen=True, array_like=True):
    """What is wrong in one file, and how many of its functions were followed in part only."""

    findings: list[Finding]
    cut_short: int = 0


class Outcome(msgspec.Struct, frozen=True, array_like=True):
    """What a run over files has found."""

    findings: list[Finding]
    skips: list[Skip]
    files: int
    lines: int
    cut_short: int = 0


def digest(*parts: bytes) -> bytes:
    """Return a key for contents; the lengths keep the parts apart."""
    found = blake2b(digest_size=16)
    for part in parts:
        found.update(len(part).to_bytes(8, "little"))
        found.update(part)
    return found.digest()


encode: Final = msgspec.msgpack.Encoder().encode
"""Turn any of these into bytes."""

decode_facts: Final = msgspec.msgpack.Decoder(ModuleFacts).decode
decode_read: Final = msgspec.msgpack.Decoder(Read).decode
decode_looked: Final = msgspec.msgpack.Decoder(Looked).decode
decode_outcome: Final = msgspec.msgpack.Decoder(Outcome).decode
