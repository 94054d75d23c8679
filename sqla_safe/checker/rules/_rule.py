"""What a rule is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: its code, and what `--explain` and its page say."""

    code: str
    name: str
    """Short and hyphenated, such as ``read-after-scope``."""
    summary: str
    """One line without a full stop."""
    explanation: str
    """What happens at run time, and what to write instead: a few paragraphs of Markdown."""
    runtime: tuple[str, ...] = ()
    """The codes of the run-time explanations of the same bug, such as ``SQS101``."""
    fixable: bool = False
