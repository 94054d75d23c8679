"""`sqla-safe check`, as it is typed."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sqla_safe import __version__
from sqla_safe.checker._nearby import imported
from sqla_safe.checker._reading import Sources
from sqla_safe.checker.rules import RULES
from sqla_safe.guard._codes import CODES
from tests.checker.shop import COLUMN, FILES, HANDLERS, INFO, LINE, MODELS
from tests.checker.support import write


@pytest.fixture
def shop(here):
    """Give a folder with an application that has one bug."""
    write(here, FILES)
    return here


def configure(folder, text: str) -> None:
    """Write the table of the configuration."""
    write(folder, {"pyproject.toml": f"[tool.sqla-safe]\n{text}\n"})


def found(ran) -> list[tuple[str, int, str]]:
    """Return file, line and code of each finding of a run with JSON."""
    return [(each["file"], each["line"], each["code"]) for each in json.loads(ran.out)]


def test_a_bug_is_shown_and_the_exit_code_is_one(shop, command):
    """With its line, and with what to write instead."""
    ran = command.check()
    assert ran.code == 1
    assert f"--> app/handlers.py:{LINE}:{COLUMN}\n" in ran.out
    assert "        return len(user.orders)\n" in ran.out
    assert "selectinload(User.orders)" in ran.out
    assert "Found 1 error in 1 of 2 files\n" in ran.out
    assert ran.err == ""


def test_nothing_found_is_zero(here, command):
    """And says so."""
    write(here, {"x.py": "print('hello')\n"})
    ran = command.check()
    assert (ran.code, ran.out, ran.err) == (0, "All checks passed!\n", "")


def test_no_files_are_a_note(here, command):
    """A pipeline that checks nothing should be noticed."""
    ran = command.check()
    assert ran.code == 0
    assert ran.err == "no Python files were found below the given paths\n"


def test_exit_zero_is_zero(shop, command):
    """For measuring."""
    assert command.check("--exit-zero").code == 0


def test_only_errors_count_unless_strict(shop, command):
    """Levels can be set by rule; --strict counts all of them."""
    configure(shop, "severity = { SQS01 = 'info', SQS010 = 'warning' }")
    ran = command.check("--output-format", "json")
    assert (ran.code, json.loads(ran.out)[0]["severity"]) == (0, "warning")
    assert command.check("--strict").code == 1
    configure(shop, "severity = { SQS010 = 'warning' }\nstrict = true")
    assert command.check().code == 1
    assert command.check("--no-strict").code == 0


def test_json_has_paths_as_they_were_given(shop, command):
    """So that a program finds them again."""
    assert found(command.check("app", "--output-format", "json")) == [
        ("app/handlers.py", LINE, "SQS010")
    ]
    whole = str(shop / "app")
    assert found(command.check(whole, "--output-format=json")) == [
        (f"{whole}/handlers.py", LINE, "SQS010")
    ]


@pytest.mark.parametrize(
    ("options", "count"),
    [
        (["--select", "SQS010"], 1),
        (["--select", "SQS001,SQS002"], 0),
        (["--select", "SQS001", "--select", "SQS01"], 1),
        (["--ignore", "SQS01"], 0),
        (["--select", "SQS", "--ignore", "SQS010"], 0),
    ],
)
def test_rules_are_selected(shop, command, options, count):
    """By codes and their beginnings, with commas or again."""
    assert len(found(command.check("--output-format", "json", *options))) == count


def test_what_the_command_line_selects_was_meant(shop, command):
    """Whatever is ignored in the configuration."""
    configure(shop, 'ignore = ["SQS010"]')
    assert command.check().code == 0
    assert command.check("--select", "SQS010").code == 1
    assert command.check("--config", "ignore = []").code == 1


def test_rules_can_be_ignored_by_file(shop, command):
    """With patterns that count from the configuration."""
    configure(shop, 'per-file-ignores = { "app/handlers.py" = ["SQS01"] }')
    assert command.check().code == 0
    os.chdir(shop / "app")
    assert command.check(".").code == 0
    configure(shop, 'per-file-ignores = { "tests/**" = ["ALL"] }')
    assert command.check(".").code == 1


def test_a_noqa_takes_the_finding_back(shop, command):
    """On its line."""
    marked = HANDLERS.replace("user.orders)", "user.orders)  # noqa: SQS010")
    write(shop, {"app/handlers.py": marked})
    assert command.check().code == 0


def test_unknown_rules_are_wrong_usage(shop, command):
    """On the command line too."""
    ran = command.check("--select", "SQS999")
    assert ran.code == 2
    assert ran.err.startswith("sqla-safe: error: --select: unknown rule 'SQS999'; valid are: ALL,")
    assert ran.err.count("\n") == 1


def test_a_wrong_configuration_is_wrong_usage(shop, command):
    """One line for each mistake, and nothing is checked."""
    configure(shop, "strict = 1\njobs = 'x'")
    ran = command.check()
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.splitlines() == [
        "sqla-safe: error: pyproject.toml: [tool.sqla-safe] strict: expected true or false, got 1",
        "sqla-safe: error: pyproject.toml: [tool.sqla-safe] jobs: expected an integer, got 'x'",
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--frobnicate"],
        ["--output-format", "xml"],
        ["--jobs", "x"],
        ["--jobs", "0"],
        ["nowhere.py"],
    ],
)
def test_a_wrong_command_line_is_two(shop, command, arguments):
    """As everywhere."""
    assert command.check(*arguments).code == 2


def test_a_command_is_needed(command):
    """There may be others one day."""
    assert command().code == 2
    assert command("chek").code == 2


def test_version_and_help(command):
    """Without importing what checks."""
    assert command("--version").out == f"sqla-safe {__version__}\n"
    helped = command("check", "--help")
    assert helped.code == 0
    assert "exit codes:" in helped.out


def test_files_that_cannot_be_read_are_skipped_and_named(shop, command):
    """The others are checked; a newer syntax is no reason to stop."""
    write(shop, {"app/a.py": "def f(:\n", "app/c.py": "x = 1\n\nmatch = = 2\n"})
    (shop / "app" / "b.py").write_bytes(b"\xff\xfe\x00")
    ran = command.check()
    version = f"Python {sys.version_info.major}.{sys.version_info.minor}"
    assert ran.code == 1
    lines = ran.err.splitlines()
    assert lines[0] == f"app/a.py:1: skipped: {version} cannot parse it: invalid syntax"
    assert lines[1].startswith(f"app/b.py:1: skipped: {version} cannot ")
    assert lines[2] == f"app/c.py:3: skipped: {version} cannot parse it: invalid syntax"
    assert "(3 files skipped)" in ran.out


def test_quiet_shows_findings_and_nothing_else(shop, command):
    """No summary, no skipped files."""
    write(shop, {"app/a.py": "def f(:\n"})
    ran = command.check("-q", "--output-format", "concise")
    assert (len(ran.out.splitlines()), ran.err) == (1, "")


def test_statistics_count_rules(shop, command):
    """Instead of findings."""
    ran = command.check("--statistics")
    assert ran.code == 1
    assert ran.out.splitlines()[0].startswith("1  SQS010  [*]  lazy-load-in-async: ")


def test_statistics_are_json_for_programs(shop, command):
    """A list with an object for each rule that was found."""
    ran = command.check("--statistics", "--output-format", "json")
    counted = {"code": "SQS010", "name": "lazy-load-in-async", "count": 1, "fixable": True}
    assert (ran.code, json.loads(ran.out)) == (1, [counted])


def test_functions_that_were_not_followed_to_the_end_are_counted(shop, command, monkeypatch):
    """In the last line, also of the statistics."""
    caller = "from app.handlers import show\n\n\nasync def twice():\n    await show(1)\n"
    write(shop, {"app/callers.py": caller})
    monkeypatch.setattr("sqla_safe.checker._run.MOST_STEPS", 1)
    said = "1 function leads to too much code: not all of its calls were followed."
    assert command.check().out.splitlines()[-1] == said
    assert command.check("--statistics").out.splitlines()[-1] == said


def test_a_report_can_be_written_to_a_file(shop, command):
    """And the summary is still shown."""
    ran = command.check("-o", "report.json", "--output-format", "json")
    assert (ran.code, ran.out) == (1, "")
    assert len(json.loads((shop / "report.json").read_text())) == 1
    shown = command.check("-o", "report.txt", "--color", "always")
    assert "Found " in shown.out
    assert "\x1b" not in (shop / "report.txt").read_text()
    assert command.check("-o", "nowhere/report.json").code == 2


def test_colours_are_for_terminals(shop, command, monkeypatch):
    """Unless somebody asks for them."""
    assert "\x1b" not in command.check().out
    assert "\x1b[" in command.check("--color", "always").out
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[" in command.check().out
    assert "\x1b" not in command.check("--output-format", "json").out


# --- standard input --------------------------------------------------------------


@pytest.fixture
def typed(monkeypatch):
    """Give what puts a text on standard input."""

    def put(text: str) -> None:
        stream = io.TextIOWrapper(io.BytesIO(text.encode()))
        monkeypatch.setattr(sys, "stdin", stream)

    return put


def test_standard_input_is_checked_under_its_name(shop, command, typed):
    """With the models of the project, if the configuration names them as context."""
    configure(shop, 'context = ["app"]')
    typed("# a line more\n" + HANDLERS)
    ran = command.check("-", "--stdin-filename", "app/handlers.py", "--output-format", "json")
    assert found(ran) == [("app/handlers.py", LINE + 1, "SQS010")]


def test_standard_input_needs_no_name(here, command, typed):
    """It is shown as <stdin>."""
    typed("def f(:\n")
    assert command.check("-").err.startswith("<stdin>:1: skipped: ")


def test_standard_input_and_files_do_not_mix(shop, command, typed):
    """One of them was not meant."""
    assert command.check("-", "app").code == 2
    assert command.check("app", "--stdin-filename", "x.py").code == 2


def test_context_is_read_but_not_reported_on(shop, command):
    """A single file is understood as part of its project."""
    configure(shop, 'context = ["app"]')
    write(shop, {"app/other.py": HANDLERS})
    assert found(command.check("app/other.py", "--output-format", "json")) == [
        ("app/other.py", LINE, "SQS010")
    ]


def test_a_named_file_is_understood_with_what_it_imports(shop, command):
    """Models and sessionmakers are read where the project has them, and not reported on."""
    write(shop, {"app/other.py": HANDLERS})
    write(shop, {"app/further.py": HANDLERS.replace("from app.", "from .")})
    for name in ("app/other.py", "app/further.py"):
        ran = command.check(name, "--output-format", "json")
        assert found(ran) == [(name, LINE, "SQS010")]


def test_an_import_leads_through_packages(here, command):
    """By names in brackets, and by what the package imports itself."""
    write(here, {"src/shop/__init__.py": "from . import models\n", "src/shop/models.py": MODELS})
    handlers = HANDLERS.replace(
        "from app.models import Session, User",
        "from shop.models import (\n    Session,  # one\n    User,\n)",
    )
    write(here, {"src/shop/web/handlers.py": handlers, "src/shop/web/__init__.py": ""})
    ran = command.check("src/shop/web/handlers.py", "--output-format", "json")
    assert found(ran) == [("src/shop/web/handlers.py", LINE + 3, "SQS010")]


def test_a_module_can_be_imported_whole(shop, command):
    """`import app.models`; a file that cannot be read is passed over."""
    handlers = HANDLERS.replace("from app.models import Session, User", "import app.models as m")
    handlers = handlers.replace("Session()", "m.Session()").replace("User", "m.User")
    write(shop, {"app/whole.py": handlers})
    ran = command.check("app/whole.py", "--output-format", "json")
    assert found(ran) == [("app/whole.py", LINE, "SQS010")]
    assert imported(["gone.py"], str(shop), Sources().read, wanted=bool) == []


def test_what_is_left_out_is_not_imported(shop, command):
    """Neither is what lies outside of the project."""
    ran = command.check(
        "app/handlers.py", "--extend-exclude", "models.py", "--output-format", "json"
    )
    assert found(ran) == []


def test_an_editor_needs_no_configuration(shop, command, typed):
    """What is typed is understood with what it imports."""
    typed("# a line more\n" + HANDLERS)
    ran = command.check("--stdin-filename", "app/new.py", "--output-format", "json")
    assert found(ran) == [("app/new.py", LINE + 1, "SQS010")]


# --- baseline ----------------------------------------------------------------------


def test_a_baseline_holds_known_findings_back(shop, command):
    """Write it once, then only new ones count."""
    configure(shop, "baseline = 'ci/known.json'")
    (shop / "ci").mkdir()
    wrote = command.check("--write-baseline")
    assert (wrote.code, wrote.err) == (0, f"wrote 1 finding to {shop / 'ci' / 'known.json'}\n")
    held = command.check()
    assert (held.code, held.out) == (0, "All checks passed! (1 in the baseline)\n")
    write(shop, {"app/handlers.py": "import os\n\n" + HANDLERS.replace("show", "tell")})
    ran = command.check()
    assert ran.code == 1
    assert ran.err == (
        "the baseline holds 1 entry no longer found (--write-baseline cleans it):\n"
        "  ../app/handlers.py: SQS010 in show: return len(user.orders)\n"
    )


def test_a_baseline_can_be_named_on_the_command_line(shop, command):
    """Relative to where one is."""
    os.chdir(shop / "app")
    assert command.check("--write-baseline", "--baseline", "known.json").code == 0
    assert (shop / "app" / "known.json").exists()
    assert command.check("--baseline", "known.json").code == 0
    assert command.check("--baseline", "other.json").code == 2


def test_a_baseline_without_a_name_has_the_usual_one(shop, command):
    """Beside pyproject.toml; it is used when the configuration says so."""
    configure(shop, "")
    command.check("app", "--write-baseline")
    assert (shop / "sqla-safe-baseline.json").exists()


# --- repairs -------------------------------------------------------------------------


def test_fix_mends_files(shop, command):
    """And says how much."""
    ran = command.check("--fix")
    assert (ran.code, ran.out) == (0, "All checks passed! (1 fixed)\n")
    fixed = (shop / "app" / "handlers.py").read_text()
    assert "select(User).options(selectinload(User.orders)).where" in fixed
    assert "from sqlalchemy.orm import selectinload\n" in fixed
    assert command.check("--fix").out == "All checks passed!\n"


def test_diff_shows_what_would_be_mended(shop, command):
    """And changes nothing."""
    ran = command.check("--diff")
    assert ran.code == 1
    assert ran.out.startswith("--- app/handlers.py\n+++ app/handlers.py\n@@ ")
    assert "\n+from sqlalchemy.orm import selectinload\n" in ran.out
    assert ran.err == "1 finding would be fixed\n"
    assert (shop / "app" / "handlers.py").read_text() == HANDLERS
    assert command.check("--diff", "--exit-zero").code == 0


def test_diff_of_nothing_is_empty(here, command):
    """And zero."""
    write(here, {"x.py": "x = 1\n"})
    assert (command.check("--diff").code, command.check("--diff").out) == (0, "")


def test_a_diff_knows_a_last_line_without_an_end(shop, command):
    """As `diff` and `git apply` do."""
    write(shop, {"app/handlers.py": HANDLERS.rstrip("\n")})
    assert command.check("--diff").out.count("\n\\ No newline at end of file\n") == 1


def test_fix_of_standard_input_goes_to_standard_output(shop, command, typed):
    """What is still found goes to standard error."""
    configure(shop, 'context = ["app"]')
    typed(HANDLERS)
    ran = command.check("--fix", "-", "--stdin-filename", "app/handlers.py")
    assert "selectinload(User.orders)" in ran.out
    assert ran.err == "All checks passed! (1 fixed)\n"
    assert (shop / "app" / "handlers.py").read_text() == HANDLERS


def test_a_file_that_cannot_be_written_is_named(shop, command, monkeypatch):
    """The others are written, and the exit code says that not all was done."""

    def refuse(file, content):
        raise PermissionError(13, "Permission denied", str(file))

    monkeypatch.setattr("sqla_safe.checker._atomic.write", refuse)
    ran = command.check("--fix")
    assert ran.code == 2
    assert ran.err == "sqla-safe: error: app/handlers.py: not changed: Permission denied\n"


def test_a_file_that_somebody_else_changes_meanwhile_is_left_alone(shop, command, monkeypatch):
    """Their work is not lost."""
    from sqla_safe.checker import fixes

    mended = fixes.mended

    def slowly(source, findings):
        (shop / "app" / "handlers.py").write_text("theirs = 1\n")
        return mended(source, findings)

    monkeypatch.setattr(fixes, "mended", slowly)
    ran = command.check("--fix")
    assert ran.code == 2
    assert "somebody else has changed it meanwhile" in ran.err
    assert (shop / "app" / "handlers.py").read_text() == "theirs = 1\n"


def test_fix_without_libcst_says_what_to_install(shop, command, monkeypatch):
    """In one line."""
    monkeypatch.setattr("sqla_safe.checker.fixes.find_spec", lambda name: None)
    ran = command.check("--fix")
    assert ran.code == 2
    assert ran.err == (
        "sqla-safe: error: --fix and --diff need libcst, which is not installed: "
        "pip install 'sqla-safe[fix]'\n"
    )


def test_a_written_file_keeps_its_permissions_and_links(shop, command):
    """A script stays executable, a link stays a link."""
    file = shop / "app" / "handlers.py"
    file.rename(shop / "real.py")
    (shop / "real.py").chmod(0o755)
    file.symlink_to(shop / "real.py")
    assert command.check("--fix", "app").code == 0
    assert file.is_symlink()
    assert (shop / "real.py").stat().st_mode & 0o777 == 0o755
    assert "selectinload" in (shop / "real.py").read_text()


def test_what_cannot_be_mended_stays(shop, command):
    """Beside what can."""
    write(shop, {"app/names.py": INFO.replace("return user.name", "return user")})
    ran = command.check("--fix", "--strict")
    assert ran.code == 1
    assert "Found 1 note in 1 of 3 files (1 fixed)\n" in ran.out


def test_a_fix_that_cannot_be_made_is_no_fix(shop, command, monkeypatch):
    """The finding stays, and the file is what it was."""
    from sqla_safe.checker import fixes

    monkeypatch.setattr(fixes, "mended", lambda source, _: fixes.Fixed(source, 0))
    assert "Found 1 error in 1 of 2 files\n" in command.check("--fix").out
    assert (shop / "app" / "handlers.py").read_text() == HANDLERS


def test_mending_comes_to_an_end(shop, command, monkeypatch):
    """Even if each pass uncovers something new."""
    from sqla_safe.checker import fixes

    passes: list[int] = []

    def endless(source, findings):
        passes.append(1)
        return fixes.Fixed(b"# again\n" + source, 1)

    monkeypatch.setattr(fixes, "mended", endless)
    assert "(10 fixed)" in command.check("--fix").out
    assert len(passes) == 10


# --- odd moments -------------------------------------------------------------------


def test_a_file_that_goes_while_it_is_shown_has_no_source(shop, command, monkeypatch):
    """The finding is shown all the same."""
    from sqla_safe.checker._pipeline import Run

    outcome = Run.outcome

    def gone(self):
        found = outcome(self)
        (shop / "app" / "handlers.py").unlink()
        return found

    monkeypatch.setattr(Run, "outcome", gone)
    ran = command.check()
    assert ran.code == 1
    assert "--> app/handlers.py:9:20\n" in ran.out


def test_streams_of_other_kinds_are_written_to(here, command, monkeypatch):
    """A program may have put its own in their place."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    command.check()
    assert stream.getvalue() == "no Python files were found below the given paths\n"


def test_paths_on_several_drives_have_no_folder_in_common(shop, command, monkeypatch):
    """The working directory is the root then."""

    def refuse(paths):
        raise ValueError(paths)

    monkeypatch.setattr("os.path.commonpath", refuse)
    assert command.check("app").code == 1


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


def test_a_long_run_at_a_terminal_shows_a_bar(shop, command, monkeypatch):
    """For each step, and takes it away again."""
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr("sqla_safe.checker._progress._DELAY", 0)
    command.check("--output-format", "json")
    assert "reading:" in screen.getvalue()
    assert "checking:" in screen.getvalue()
    assert screen.getvalue().endswith("\r")
    quiet = Screen()
    monkeypatch.setattr(sys, "stderr", quiet)
    command.check("--output-format", "json", "--quiet")
    assert quiet.getvalue() == ""


def test_a_short_run_at_a_terminal_shows_nothing(shop, command, monkeypatch):
    """A bar that flickers is no help."""
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    command.check("--output-format", "json")
    assert screen.getvalue() == ""


# --- explain ---------------------------------------------------------------------------


@pytest.mark.parametrize("code", RULES)
def test_every_rule_is_explained(command, code):
    """Also in small letters, and with its run-time codes."""
    ran = command("check", "--explain", code.lower())
    rule = RULES[code]
    assert ran.code == 0
    assert ran.out.startswith(f"{code} {rule.name}\n{rule.summary}\n\n{rule.explanation}\n")
    assert [name for name in rule.runtime if name not in ran.out] == []
    assert ("--fix" in ran.out) is rule.fixable


@pytest.mark.parametrize("code", CODES)
def test_every_run_time_code_is_explained(command, code):
    """And names the rules that would have found it."""
    ran = command("check", "--explain", code)
    assert ran.out.startswith(f"{code}\n{CODES[code]}\n")
    named = [rule.code for rule in RULES.values() if f"  {rule.code} {rule.name}: " in ran.out]
    assert named == [rule.code for rule in RULES.values() if code in rule.runtime]


def test_an_error_of_the_library_is_explained(command):
    """With the text of its class."""
    assert "The base of everything" in command("check", "--explain", "SQS150").out


def test_an_explanation_fits_the_terminal(command, monkeypatch):
    """Words are not cut at its edge, and code is left as it is; a pipe gets whole lines."""
    screen = Screen()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("COLUMNS", "60")
    for code in ("SQS002", "SQS101"):
        assert command("check", "--explain", code).code == 0
    lines = screen.getvalue().splitlines()
    [code] = [line for line in lines if len(line) > 60]
    assert code.startswith("    async with scoped_services(")
    assert code.endswith("avatars): ...")
    assert "      in is closed" in lines


def test_run_time_codes_of_rules_exist():
    """The links lead somewhere."""
    from sqla_safe import errors

    known = {*CODES, *(getattr(errors, name).code for name in errors.__all__)}
    assert {code for rule in RULES.values() for code in rule.runtime} <= known


def test_an_unknown_code_is_wrong_usage(command):
    """With those that there are."""
    ran = command("check", "--explain", "E501")
    assert ran.code == 2
    assert ran.err.startswith("sqla-safe: error: --explain: unknown code 'E501'; valid are: SQS001")


# --- as a process -------------------------------------------------------------------------


@pytest.mark.parametrize("module", ["sqla_safe", "sqla_safe.checker"])
def test_it_runs_as_a_module(shop, module):
    """Where scripts are not on the path."""
    words = ["check"] if module == "sqla_safe" else []
    ran = subprocess.run(
        [sys.executable, "-m", module, *words, "app", "--output-format", "json"],
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert ran.returncode == 1
    assert len(json.loads(ran.stdout)) == 1
    assert ran.stderr == b""


def test_importing_the_command_imports_neither_sqlalchemy_nor_the_checker():
    """`--help` and shell completion answer at once."""
    code = (
        "import sys; before = set(sys.modules)\n"
        "import sqla_safe.checker.cli\n"
        "heavy = {'sqlalchemy', 'msgspec', 'pathspec', 'tqdm', 'libcst', 'ast', 'sqlite3'}\n"
        "print(sorted(heavy & (sys.modules.keys() - before)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=60)
    assert ran.stdout == b"[]\n"


def test_checking_imports_neither_sqlalchemy_nor_libcst(shop):
    """They cost more than a small check."""
    code = (
        "import sys; from sqla_safe.checker import cli\n"
        "cli.run(['check', 'app', '-q', '--output-format', 'json'])\n"
        "print(sorted({'sqlalchemy', 'tqdm', 'libcst'} & sys.modules.keys()), file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=60)
    assert ran.stderr == b"[]\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("form", ["full", "concise"])
def test_a_full_disk_is_named(shop, form):
    """The findings are lost, and the exit code says so, however much fits into a buffer."""
    with Path("/dev/full").open("wb") as full:
        ran = subprocess.run(
            [sys.executable, "-m", "sqla_safe", "check", "app", "--output-format", form],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            timeout=60,
        )
    assert ran.returncode == 2
    assert ran.stderr.decode().startswith("sqla-safe: error: [Errno 28] ")


def test_a_reader_that_goes_away_is_no_error(shop):
    """`sqla-safe check | head`."""
    write(shop, {f"app/h{number}.py": HANDLERS for number in range(300)})
    process = subprocess.Popen(
        [sys.executable, "-m", "sqla_safe", "check", "app", "--no-cache"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.readline()
    process.stdout.close()
    error = process.stderr.read()
    process.stderr.close()
    assert (process.wait(60), error) == (141, b"")
