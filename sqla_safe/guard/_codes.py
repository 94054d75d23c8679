"""The codes of what the guard explains; each has its section in the reference of errors."""

from __future__ import annotations

from typing import Final

DETACHED: Final = "SQS101"
IMPLICIT_IO: Final = "SQS102"
AFTER_COMMIT: Final = "SQS103"
AFTER_ROLLBACK: Final = "SQS104"
AFTER_FAILED_FLUSH: Final = "SQS105"
SERVER_GENERATED: Final = "SQS106"
OTHER_SESSION: Final = "SQS107"
CLOSED_SESSION: Final = "SQS108"
N_PLUS_ONE: Final = "SQS109"
STRICT: Final = "SQS110"
RAISELOAD: Final = "SQS111"
BY_HAND: Final = "SQS112"
ROW_GONE: Final = "SQS113"
CONCURRENT_USE: Final = "SQS153"

CODES: Final = {
    DETACHED: "an attribute was read after its scope had ended",
    IMPLICIT_IO: "an attribute that was not loaded was read in async code",
    AFTER_COMMIT: "an attribute was read after a commit had expired it",
    AFTER_ROLLBACK: "an attribute was read after a rollback had expired it",
    AFTER_FAILED_FLUSH: "a session or entity was used after a flush had failed",
    SERVER_GENERATED: "a column that the database fills was read after a flush",
    OTHER_SESSION: "an entity of one session was given to another",
    CLOSED_SESSION: "a session was used after its end",
    N_PLUS_ONE: "an attribute was loaded for one entity after another (N+1)",
    STRICT: "an entity was read after its scope had ended (strict mode)",
    RAISELOAD: "an attribute was read whose loading is forbidden by `raiseload`",
    BY_HAND: "an attribute was read after `expire()`, `refresh()` or `expunge()`",
    ROW_GONE: "an expired entity was read whose row is gone",
}
"""What happened, by code."""
