"""``--explain``: what a code means, and the codes of the same bug before and at run time."""

from __future__ import annotations

from inspect import cleandoc
from shutil import get_terminal_size
from textwrap import fill
from typing import TYPE_CHECKING

from sqla_safe.checker._problems import UsageError, unknown
from sqla_safe.checker.rules import RULES

_WIDEST = 100

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sqla_safe.checker._paint import Paint
    from sqla_safe.checker.rules._rule import Rule


def explanation(code: str, paint: Paint) -> str:
    """Return the text for a rule, or for what the library reports at run time.

    Raises:
        UsageError: there is no such code.
    """
    wanted = code.upper()
    if wanted in RULES:
        return "\n".join(_of_rule(RULES[wanted], paint))
    at_run_time = _at_run_time()
    if wanted in at_run_time:
        return "\n".join(_of_run_time(wanted, at_run_time[wanted], paint))
    raise UsageError(f"--explain: {unknown('code', code, (*RULES, *at_run_time))}")


def fitted(text: str) -> str:
    """Return a text with lines that fit the terminal, where words would be cut else."""
    width = min(get_terminal_size().columns, _WIDEST)
    heading, _, rest = text.partition("\n")
    parts = (_part(lines, width) for lines in rest.split("\n\n"))
    return heading + "\n" + "\n\n".join(parts)


def _part(part: str, width: int) -> str:
    """Fill a paragraph, or the rules of a list; code stays as it is."""
    lines = part.splitlines()
    if not any(line.startswith(" ") for line in lines):
        return _filled(" ".join(lines), width, "")
    return "\n".join(
        _filled(line, width, " " * 6) if line.startswith("  SQS") else line for line in lines
    )


def _filled(line: str, width: int, indent: str) -> str:
    return fill(
        line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _of_rule(rule: Rule, paint: Paint) -> Iterator[str]:
    yield paint.bold(f"{rule.code} {rule.name}")
    yield rule.summary
    yield ""
    yield rule.explanation
    if rule.fixable:
        yield ""
        yield "Where it is safe, `sqla-safe check --fix` mends it."
    yield ""
    yield f'At run time: {", ".join(rule.runtime)} (configure(Session, guard="raise")).'


def _of_run_time(code: str, text: str, paint: Paint) -> Iterator[str]:
    first, _, rest = text.partition("\n")
    yield paint.bold(code)
    yield first
    if rest.strip():
        yield rest.rstrip()
    rules = [rule for rule in RULES.values() if code in rule.runtime]
    if rules:
        yield ""
        yield "Before run time, `sqla-safe check` finds it:"
        yield from (f"  {rule.code} {rule.name}: {rule.summary}" for rule in rules)


def _at_run_time() -> Mapping[str, str]:
    """Return the texts of the run-time codes; only here SQLAlchemy is imported."""
    from sqla_safe import errors
    from sqla_safe.guard._codes import CODES

    classes = [getattr(errors, name) for name in errors.__all__]
    texts = {cls.code: cleandoc(cls.__doc__ or "") for cls in classes if cls.code}
    return dict(sorted({**texts, **CODES}.items()))
