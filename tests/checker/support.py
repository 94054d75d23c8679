"""Findings made by hand, sources in memory, and the command run in this process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqla_safe.checker import cli
from sqla_safe.checker._paint import Paint
from sqla_safe.checker._text import SourceText
from sqla_safe.checker.findings import Finding, Fix
from sqla_safe.checker.reports import renderer
from sqla_safe.checker.reports._report import Report

SOURCE = """\
async def show(tg_id):
    async with get_users() as users:
        user = await users.get(tg_id)
    return getattr(user, "balance", 0)
"""


def finding(line: int = 4, column: int = 12, end: int = 39, **changes: Any) -> Finding:
    """Make a finding, by default the one in SOURCE."""
    facts = {
        "file": "app.py",
        "line": line,
        "column": column,
        "end_line": line,
        "end_column": end,
        "code": "SQS011",
        "severity": "error",
        "message": "User.balance is not loaded here",
        "hint": "load it: .options(selectinload(User.balance))",
    }
    return Finding(**{**facts, **changes})


def fix(kind: Any, **data: str | int) -> Fix:
    """Make what a finding says of its repair."""
    return Fix(kind, tuple(data.items()))


def texts(**sources: str) -> Any:
    """Return what gives sources by the stems of their files."""
    known = {f"{stem}.py": SourceText(source.encode()) for stem, source in sources.items()}
    return lambda file: known[file]


def report(*findings: Finding, source: str = SOURCE, paint: bool = False, **counts: int) -> Report:
    """Make a report on one file, app.py."""
    return Report(findings, texts(app=source), Paint(paint), files=1, **counts)


def rendered(form: str, made: Report) -> str:
    """Return a report in one of the forms."""
    return "\n".join(renderer(form)(made))


@dataclass(frozen=True)
class Ran:
    """What a run of the command has answered."""

    code: int
    out: str
    err: str


class Command:
    """Runs ``sqla-safe`` in this process."""

    def __init__(self, capsys: Any) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str) -> Ran:
        try:
            code = cli.run(arguments)
        except SystemExit as end:  # argparse
            code = end.code if isinstance(end.code, int) else 1
        captured = self._capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    def check(self, *arguments: str) -> Ran:
        """Run ``sqla-safe check`` without a cache."""
        return self("check", "--no-cache", *arguments)


def write(folder: Path, files: dict[str, str]) -> None:
    """Write files below a folder."""
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
