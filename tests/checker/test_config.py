"""`[tool.sqla-safe]`: where it is found, what it means, and what is said of mistakes."""

from __future__ import annotations

from dataclasses import fields

import pytest

from sqla_safe.checker._config import Config, load
from sqla_safe.checker._problems import UsageError
from sqla_safe.checker._settings import Settings
from sqla_safe.checker.rules import RULES
from tests.checker.support import write

FORMATS = "'concise', 'full', 'json', 'github', 'gitlab', 'sarif'"
LEVELS = "'error', 'warning', 'info'"
GOT = "got {'SQS001': 'bad', 'X': 'info'}"
PLACE = "pyproject.toml: [tool.sqla-safe] "
ALL_RULES = f"valid are: ALL, {', '.join(RULES)}"


def problems_of(folder, table: str, *overrides: str) -> tuple[str, ...]:
    """Return what is wrong with a table."""
    write(folder, {"pyproject.toml": f"[tool.sqla-safe]\n{table}"})
    with pytest.raises(UsageError) as caught:
        load(overrides, folder)
    return caught.value.problems


def test_without_a_file_there_are_defaults(here):
    """Nothing has to be configured."""
    assert load([], here).config == Config()


def test_the_nearest_table_upwards_counts(here):
    """A pyproject.toml without the table is passed over, as in ruff."""
    write(
        here,
        {
            "pyproject.toml": "[tool.sqla-safe]\nstrict = true\n",
            "app/pyproject.toml": "[project]\nname = 'app'\n",
            "app/handlers/x.py": "",
        },
    )
    found = load([], here / "app" / "handlers")
    assert (found.config.strict, found.root) == (True, here)


def test_without_a_table_the_project_is_the_root(here):
    """The cache belongs beside pyproject.toml."""
    write(here, {"pyproject.toml": "", "app/x.py": ""})
    assert load([], here / "app").root == here


def test_without_a_project_the_working_directory_is_the_root(here):
    """If it is around what is checked."""
    write(here, {"app/x.py": ""})
    assert load([], here / "app").root == here


def test_a_file_can_be_named(here):
    """It holds the table alone, or is a pyproject.toml elsewhere."""
    write(
        here,
        {
            "ci/checker.toml": "strict = true\n",
            "other/pyproject.toml": "[tool.sqla-safe]\njobs = 3\n",
        },
    )
    assert load(["ci/checker.toml"], here).config.strict
    assert load(["other/pyproject.toml"], here).config.jobs == 3


def test_a_setting_can_be_given_on_the_command_line(here):
    """It is put over the file."""
    write(here, {"pyproject.toml": "[tool.sqla-safe]\nstrict = true\njobs = 2\n"})
    config = load(["strict = false"], here).config
    assert (config.strict, config.jobs) == (False, 2)


def test_all_mistakes_are_named_at_once(here):
    """Nobody wants to learn of them one by one."""
    assert problems_of(
        here,
        'selct = ["SQS01"]\nselect = "SQS01"\nstrict = 3\njobs = 0\nbaseline = 1\n'
        'output-format = "xml"\nignore = ["SQS999"]\nseverity = { SQS001 = "bad", X = "info" }\n'
        'per-file-ignores = { "a.py" = ["SQS998"] }\nexclude = [1]\n',
    ) == (
        PLACE + "unknown key 'selct'; did you mean 'select'?",
        PLACE + "select: expected a list of strings, got 'SQS01'; write `select = [\"SQS01\"]`",
        PLACE + "strict: expected true or false, got 3",
        PLACE + "baseline: expected a string, got 1",
        PLACE + f"output-format: expected one of {FORMATS}, got 'xml'",
        PLACE + f"severity: expected a table with values that are one of {LEVELS}, {GOT}",
        PLACE + "exclude: expected a list of strings, got [1]",
        PLACE + "ignore: unknown rule 'SQS999'; " + ALL_RULES,
        PLACE + "per-file-ignores.'a.py': unknown rule 'SQS998'; " + ALL_RULES,
        PLACE + "jobs: expected 1 or more, got 0",
    )


def test_an_unknown_key_without_a_likeness_gets_them_all(here):
    """The valid ones are what one would look up."""
    [problem] = problems_of(here, "zzz = 1\n")
    names = ", ".join(each.name.replace("_", "-") for each in fields(Config))
    assert problem == PLACE + f"unknown key 'zzz'; valid are: {names}"


def test_a_severity_needs_a_rule(here):
    """The keys of the table are selectors too."""
    [problem] = problems_of(here, 'severity = { SQX = "info" }\n')
    assert problem.startswith(PLACE + "severity: unknown rule 'SQX'; valid are: ")


def test_mistakes_on_the_command_line_are_named_as_such(here):
    """They join those of the file."""
    assert problems_of(here, "zzz = 1\n", "jobs = 'x'", "jobs = = 1")[1:] == (
        "--config: jobs: expected an integer, got 'x'",
        "--config 'jobs = = 1': Invalid value (at line 1, column 8)",
    )


def test_two_files_are_one_too_many(here):
    """Which of them counts would be a guess."""
    write(here, {"a.toml": "", "b.toml": ""})
    with pytest.raises(UsageError, match=r"one file can be used, not 2: a.toml, b.toml"):
        load(["a.toml", "b.toml"], here)


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("pyproject.toml", b"[tool", r"pyproject.toml: Expected ']'"),
        ("pyproject.toml", b"a = '\xff'", r"pyproject.toml: 'utf-8' codec can't decode"),
        ("pyproject.toml", b"tool.sqla-safe = 1", r"\[tool.sqla-safe\] is no table"),
    ],
    ids=["no TOML", "no text", "no table"],
)
def test_a_file_that_is_none_is_one_line(here, name, content, text):
    """No traceback for a typing error."""
    (here / name).write_bytes(content)
    with pytest.raises(UsageError, match=text):
        load([], here)


def test_a_named_file_must_exist(here):
    """It is not silently replaced by the defaults."""
    with pytest.raises(UsageError, match=r"gone.toml: No such file or directory"):
        load(["gone.toml"], here)


def test_what_is_told_of_the_code_base_reaches_the_analysis(here):
    """The three settings of the analysis, under their names in the file."""
    write(
        here,
        {
            "pyproject.toml": '[tool.sqla-safe]\nscopes = ["get_*_service"]\n'
            'session-names = ["tx"]\nexpire-on-commit = false\n'
        },
    )
    settings = load([], here).config.settings()
    assert settings == Settings(
        scopes=("get_*_service",), session_names=("tx",), expire_on_commit=False
    )


LIST = "expected a list of strings"
KEEP = "; write `expire-on-commit = false`"
NAMES = "such as 'get_*_service'"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('scopes = "get_*"', f"scopes: {LIST}, got 'get_*'; write `scopes = [\"get_*\"]`"),
        (
            'expire-on-commit = "False"',
            "expire-on-commit: expected true or false, got 'False'" + KEEP,
        ),
        (
            'session-names = ["*"]',
            f"session-names: the pattern '*' matches every name; write the names, {NAMES}",
        ),
        (
            'scopes = ["my tx"]',
            f"scopes: the pattern 'my tx' matches no name of Python; write the name alone, {NAMES}",
        ),
    ],
    ids=["no list", "no boolean", "every name", "no name"],
)
def test_a_setting_of_the_analysis_is_checked(here, line, problem):
    """File, key, what is wrong, and what to write."""
    assert problems_of(here, line) == (PLACE + problem,)


def test_a_named_file_is_named(here):
    """Also where it is no pyproject.toml."""
    write(here, {"ci/checker.toml": "jobs = 0\n"})
    with pytest.raises(UsageError, match=r"^ci/checker.toml: jobs: expected 1 or more, got 0$"):
        load(["ci/checker.toml"], here)
