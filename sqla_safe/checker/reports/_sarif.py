"""SARIF 2.1.0, for code scanning."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from sqla_safe import __version__
from sqla_safe.checker._fingerprints import numbered
from sqla_safe.checker.rules import RULES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sqla_safe.checker._fingerprints import Identity
    from sqla_safe.checker.findings import Finding, Severity
    from sqla_safe.checker.reports._report import Report

_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS: Final[Mapping[Severity, str]] = {"error": "error", "warning": "warning", "info": "note"}


def render(report: Report) -> Iterator[str]:
    """Give the whole log: one run, with every rule and the findings as its results."""
    run = {
        "tool": {"driver": _driver()},
        "columnKind": "unicodeCodePoints",
        "results": [_result(*each) for each in numbered(report.findings, report.text)],
    }
    log = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}
    yield json.dumps(log, indent=2)


def _driver() -> dict[str, Any]:
    rules = [
        {
            "id": rule.code,
            "name": rule.name,
            "shortDescription": {"text": rule.summary.replace("`", "")},
            "fullDescription": {"text": rule.explanation},
            "help": {"text": rule.explanation, "markdown": rule.explanation},
            "defaultConfiguration": {"level": "warning"},
            "properties": {"tags": ["correctness", "sqlalchemy"], "precision": "high"},
        }
        for rule in RULES.values()
    ]
    return {"name": "sqla-safe", "version": __version__, "rules": rules}


def _result(finding: Finding, identity: Identity, number: int) -> dict[str, Any]:
    seed = "\0".join((*identity[1:], str(number)))
    text = f"{finding.message}\n{finding.hint}" if finding.hint else finding.message
    return {
        "ruleId": finding.code,
        "ruleIndex": list(RULES).index(finding.code),
        "level": _LEVELS[finding.severity],
        "message": {"text": text},
        "locations": [{"physicalLocation": _location(finding)}],
        "partialFingerprints": {
            "sqlaSafe/v1": sha256(seed.encode("utf-8", "surrogateescape")).hexdigest()
        },
    }


def _location(finding: Finding) -> dict[str, Any]:
    return {
        "artifactLocation": {"uri": _uri(finding.file)},
        "region": {
            "startLine": finding.line,
            "startColumn": finding.column,
            "endLine": finding.end_line,
            "endColumn": finding.end_column,
        },
    }


def _uri(file: str) -> str:
    path = Path(file)
    return path.as_uri() if path.is_absolute() else quote(path.as_posix(), safe="/")
