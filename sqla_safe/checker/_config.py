"""``[tool.sqla-safe]`` in pyproject.toml: what can be set, and what is wrong in it."""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, Final, Literal, cast, get_args, get_origin, get_type_hints

import msgspec

from sqla_safe.checker import _selection
from sqla_safe.checker._problems import UsageError, unknown
from sqla_safe.checker._settings import Settings
from sqla_safe.checker.findings import Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_PYPROJECT: Final = "pyproject.toml"

OutputFormat = Literal["concise", "full", "json", "github", "gitlab", "sarif"]

EXCLUDED: Final = (
    ".bzr", ".direnv", ".eggs", ".git", ".git-rewrite", ".hg", ".ipynb_checkpoints", ".mypy_cache",
    ".nox", ".pants.d", ".pyenv", ".pytest_cache", ".pytype", ".ruff_cache", ".sqla_safe_cache",
    ".svn", ".tox", ".venv", ".vscode", "__pypackages__", "_build", "buck-out", "dist",
    "node_modules", "site-packages", "venv",
)  # fmt: skip
"""What no run looks into, unless ``exclude`` says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What ``[tool.sqla-safe]`` can set; the names there have hyphens.

    Patterns of paths are those of ``.gitignore`` and count from the folder of the file.
    """

    select: tuple[str, ...] = (_selection.ALL,)
    ignore: tuple[str, ...] = ()
    per_file_ignores: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    severity: dict[str, Severity] = field(default_factory=dict[str, Severity])
    exclude: tuple[str, ...] = EXCLUDED
    extend_exclude: tuple[str, ...] = ()
    force_exclude: bool = False
    respect_gitignore: bool = True
    context: tuple[str, ...] = ()
    """Files and folders that are read for models and services, but not reported on."""
    scopes: tuple[str, ...] = ()
    session_names: tuple[str, ...] = ()
    expire_on_commit: bool | None = None
    baseline: str | None = None
    cache_dir: str | None = None
    jobs: int | None = None
    output_format: OutputFormat = "full"
    strict: bool = False

    def settings(self) -> Settings:
        """Return what is for the analysis."""
        return Settings(
            scopes=self.scopes,
            session_names=self.session_names,
            expire_on_commit=self.expire_on_commit,
        )


@dataclass(frozen=True, slots=True)
class Found:
    """A configuration, and the folder that its paths count from."""

    config: Config
    root: Path


def load(given: Iterable[str], start: Path) -> Found:
    """Return the configuration.

    Args:
        given: the values of ``--config``: a TOML file, or ``key = value`` that override it.
        start: the folder from which pyproject.toml is looked for, upwards.
    """
    files = [value for value in given if not _is_override(value)]
    if len(files) > 1:
        raise UsageError(f"--config: one file can be used, not {len(files)}: {', '.join(files)}")
    table, root, where = _read_file(Path(files[0])) if files else _nearest(start)
    config, problems = _converted(table, where)
    for value in given:
        if _is_override(value):
            config, more = _overridden(config, value)
            problems += more
    if problems:
        raise UsageError(*problems)
    return Found(config, root)


def validated(config: Config, where: str) -> list[str]:
    """Name the rules in a configuration that do not exist."""
    selectors = {
        "select": config.select,
        "ignore": config.ignore,
        "severity": tuple(config.severity),
        **{f"per-file-ignores.{glob!r}": codes for glob, codes in config.per_file_ignores.items()},
    }
    found = [
        problem
        for name, values in selectors.items()
        for problem in _selection.problems(values, f"{where}{name}")
    ]
    for name in ("scopes", "session-names"):
        patterns: tuple[str, ...] = getattr(config, name.replace("-", "_"))
        found += [
            f"{where}{name}: the pattern {pattern!r} {problem}"
            for pattern in patterns
            if (problem := _unusable(pattern))
        ]
    if config.jobs is not None and config.jobs < 1:
        found.append(f"{where}jobs: expected 1 or more, got {config.jobs}")
    return found


def _unusable(pattern: str) -> str:
    """Say what is wrong with a pattern of names."""
    if not pattern.strip("*?"):
        return "matches every name; write the names, such as 'get_*_service'"
    if re.search(r"[^\w*?\[\]!-]", pattern):
        return "matches no name of Python; write the name alone, such as 'get_*_service'"
    return ""


def _is_override(value: str) -> bool:
    return "=" in value and not Path(value).is_file()


def _overridden(config: Config, text: str) -> tuple[Config, list[str]]:
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return config, [f"--config {text!r}: {error}"]
    return _converted(table, "--config: ", config)


def _nearest(start: Path) -> tuple[dict[str, Any], Path, str]:
    """Return the nearest table upwards, its folder, and its place in messages.

    Without one it is nothing, and the folder of the project.
    """
    for folder in (start, *start.parents):
        file = folder / _PYPROJECT
        if file.is_file():
            table = _toml(file).get("tool", {}).get("sqla-safe")
            if table is not None:
                return _table(table, file), folder, _place(file)
    return {}, _project(start), ""


def _project(start: Path) -> Path:
    """Return the folder of the project around; else the working directory, if that is around."""
    for folder in (start, *start.parents):
        if any((folder / name).exists() for name in (_PYPROJECT, ".git")):
            return folder
    here = Path.cwd()
    return here if start.is_relative_to(here) else start


def _place(file: Path) -> str:
    """Say where a setting stands: the file as seen from here, and the table."""
    here = Path.cwd()
    shown = file.relative_to(here) if file.is_relative_to(here) else file
    return f"{shown}: [tool.sqla-safe] " if file.name == _PYPROJECT else f"{shown}: "


def _read_file(file: Path) -> tuple[dict[str, Any], Path, str]:
    """Read the file of ``--config``: a pyproject.toml, or one that holds the table alone."""
    whole = _toml(file)
    if file.name == _PYPROJECT:
        whole = whole.get("tool", {}).get("sqla-safe", {})
    return _table(whole, file), file.absolute().parent, _place(file)


def _table(value: Any, file: Path) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UsageError(f"{file}: [tool.sqla-safe] is no table")
    return cast("dict[str, Any]", value)


def _toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"{file}: {os.strerror(error.errno or 0)}") from error
    except ValueError as error:  # no UTF-8, or no TOML
        raise UsageError(f"{file}: {error}") from error


def _converted(
    table: Mapping[str, Any], where: str, base: Config | None = None
) -> tuple[Config, list[str]]:
    """Return the configuration that a table gives, and all that is wrong in the table."""
    types, values, problems = _types(), dict[str, Any](), list[str]()
    for name, value in table.items():
        if name not in types:
            problems.append(where + unknown("key", name, types))
            continue
        try:
            values[name.replace("-", "_")] = msgspec.convert(value, types[name])
        except msgspec.ValidationError:
            expected = _described(types[name])
            mended = _mended(name, value, types[name])
            problems.append(f"{where}{name}: expected {expected}, got {value!r}{mended}")
    config = replace(base or Config(), **values)
    return config, problems + validated(config, where)


def _mended(name: str, value: Any, kind: Any) -> str:
    """Return the line to write instead, where it is plain what was meant."""
    if get_origin(kind) is tuple and isinstance(value, str):
        return f'; write `{name} = ["{value}"]`'
    says_bool = kind is bool or bool in get_args(kind)
    if says_bool and isinstance(value, str) and value.lower() in ("true", "false"):
        return f"; write `{name} = {value.lower()}`"
    return ""


def _types() -> dict[str, Any]:
    hints = get_type_hints(Config)
    return {each.name.replace("_", "-"): hints[each.name] for each in fields(Config)}


def _described(kind: Any) -> str:
    """Say in TOML's words what a value may be."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return "one of " + ", ".join(map(repr, arguments))
    if origin is tuple:
        return "a list of strings"
    if origin is dict:
        return f"a table with values that are {_described(arguments[1])}"
    if NoneType in arguments:
        return _described(arguments[0])
    return {str: "a string", int: "an integer", bool: "true or false"}[kind]
