"""The forms of a report, and what each of its readers relies on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sarif_pydantic import Sarif

from sqla_safe import __version__
from sqla_safe.checker._paint import paint_for
from sqla_safe.checker.reports._summary import summary
from sqla_safe.checker.rules import RULES
from tests.checker.support import SOURCE, finding, fix, rendered, report

FIX = fix("add-loader", line=1, column=1, option="selectinload(User.balance)")


def test_concise_is_one_line():
    """The place first, as editors and grep want it."""
    assert rendered("concise", report(finding())) == (
        "app.py:4:12: SQS011 error: User.balance is not loaded here"
    )


def test_concise_marks_what_can_be_mended():
    """As ruff does."""
    assert "error: [*] User.balance" in rendered("concise", report(finding(fix=FIX)))


def test_full_shows_the_source_and_the_repair():
    """Two lines before and after, and carets below the expression."""
    assert (
        rendered("full", report(finding()))
        == """\
SQS011 error: User.balance is not loaded here
 --> app.py:4:12
  |
2 |     async with get_users() as users:
3 |         user = await users.get(tg_id)
4 |     return getattr(user, "balance", 0)
  |            ^^^^^^^^^^^^^^^^^^^^^^^^^^^
  |
help: load it: .options(selectinload(User.balance))
"""
    )


def test_full_of_an_expression_over_several_lines_marks_the_first():
    """To its end."""
    source = "x = getattr(\n    user,\n    'balance',\n    0,\n)\n"
    shown = rendered("full", report(finding(1, 5, 2, end_line=5), source=source))
    assert "1 | x = getattr(\n  |     ^^^^^^^^\n2 |     user," in shown


def test_full_keeps_carets_below_wide_characters_and_tabs():
    """A terminal shows some characters two columns wide."""
    source = "\tназвание = '漢字', user.balance\n"
    column = source.index("user") + 1
    shown = rendered("full", report(finding(1, column, column + 12), source=source))
    line, carets = shown.split("\n")[3:5]
    assert line == "1 |     название = '漢字', user.balance"
    assert carets == "  |                        ^^^^^^^^^^^^"


def test_full_lets_no_source_move_the_cursor():
    """A file could hold escape sequences."""
    shown = rendered("full", report(finding(1, 1, 2), source="x = '\x1b[2J\r'\n"))
    assert "\x1b" not in shown
    assert "'\N{REPLACEMENT CHARACTER}[2J" in shown


def test_full_of_a_file_that_has_become_shorter_shows_no_source():
    """It was edited while it was checked."""
    assert rendered("full", report(finding(40, 5, 7), source="")) == (
        "SQS011 error: User.balance is not loaded here\n --> app.py:40:5\n  |\n  |\n"
        "help: load it: .options(selectinload(User.balance))\n"
    )


def test_full_needs_no_hint_and_takes_one_of_several_lines():
    """What follows the first line stands below it."""
    assert "help" not in rendered("full", report(finding(hint="")))
    assert rendered("full", report(finding(hint="one\ntwo"))).endswith("help: one\n      two\n")


def test_colours_are_only_put_in_where_they_are_wanted():
    """Without them the text is the same."""
    coloured = rendered("full", report(finding(fix=FIX), paint=True))
    assert "\x1b[1;31mSQS011 error\x1b[0m" in coloured
    assert "\x1b[1;31m^^^^" in coloured


class Terminal:
    """A stream that says whether it is a terminal."""

    def __init__(self, *, is_one: bool) -> None:
        self._is_one = is_one

    def isatty(self) -> bool:
        return self._is_one


@pytest.mark.parametrize(
    ("when", "terminal", "environment", "on"),
    [
        ("auto", True, {}, True),
        ("auto", False, {}, False),
        ("auto", True, {"TERM": "dumb"}, False),
        ("auto", True, {"NO_COLOR": "1"}, False),
        ("auto", True, {"NO_COLOR": ""}, True),
        ("auto", False, {"FORCE_COLOR": "1"}, True),
        ("auto", True, {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        ("always", False, {"NO_COLOR": "1"}, True),
        ("never", True, {"FORCE_COLOR": "1"}, False),
    ],
)
def test_colour_is_for_terminals_unless_somebody_says_otherwise(when, terminal, environment, on):
    """The option first, then NO_COLOR, then FORCE_COLOR, then the terminal."""
    assert paint_for(Terminal(is_one=terminal), when, environment).on is on


def test_json_has_the_seven_keys():
    """In this order, with the path as it was given."""
    [item] = json.loads(rendered("json", report(finding())))
    assert item == {
        "file": "app.py",
        "line": 4,
        "column": 12,
        "code": "SQS011",
        "severity": "error",
        "message": "User.balance is not loaded here",
        "hint": "load it: .options(selectinload(User.balance))",
    }
    assert list(item) == ["file", "line", "column", "code", "severity", "message", "hint"]


@pytest.mark.parametrize("form", ["json", "gitlab", "sarif"])
def test_forms_for_programs_are_ascii(form):
    """Whatever the locale of the machine is, they can be printed."""
    assert rendered(form, report(finding(message="Баланс"))).isascii()


def test_nothing_found_is_an_empty_list():
    """Programs need not treat it apart."""
    assert json.loads(rendered("json", report())) == []
    assert json.loads(rendered("gitlab", report())) == []


def test_github_gets_one_command_for_each_finding():
    """With what would end a property or the text escaped."""
    odd = finding(message="100 % of a:b,c", hint="one\ntwo", severity="info", file="a,b:c.py")
    shown = rendered("github", report(odd))
    assert shown == (
        "::notice title=sqla-safe (SQS011),file=a%2Cb%3Ac.py,line=4,col=12,endLine=4,endColumn=39"
        "::a,b:c.py:4:12: SQS011 100 %25 of a:b,c%0Aone%0Atwo"
    )


@pytest.mark.parametrize(
    ("severity", "command"), [("error", "error"), ("warning", "warning"), ("info", "notice")]
)
def test_github_knows_three_levels(severity, command):
    """They are shown in different colours."""
    assert rendered("github", report(finding(severity=severity, hint=""))).startswith(
        f"::{command} "
    )


def test_gitlab_gets_what_its_widget_reads():
    """The keys that GitLab requires."""
    [issue] = json.loads(rendered("gitlab", report(finding(severity="warning"))))
    assert issue["description"] == "SQS011: User.balance is not loaded here"
    assert issue["check_name"] == "SQS011"
    assert issue["severity"] == "minor"
    assert issue["location"]["path"] == "app.py"
    assert issue["location"]["lines"] == {"begin": 4, "end": 4}


def test_gitlab_fingerprints_survive_a_move_and_differ():
    """Else fixed and new issues are mixed up in a merge request, and equal ones hidden."""
    twice = SOURCE + SOURCE.splitlines()[3] + "\n"
    moved = "# a line more\n\n" + twice
    before = json.loads(rendered("gitlab", report(finding(4), finding(5), source=twice)))
    after = json.loads(rendered("gitlab", report(finding(6), finding(7), source=moved)))
    prints = [issue["fingerprint"] for issue in before]
    assert prints == [issue["fingerprint"] for issue in after]
    assert len(set(prints)) == 2


def test_gitlab_paths_are_relative_to_the_job(here):
    """GitLab finds no others."""
    inside = finding(file=str(here / "app.py"))
    made = report(inside)
    object.__setattr__(made, "text", lambda _: report().text("app.py"))
    [issue] = json.loads(rendered("gitlab", made))
    assert issue["location"]["path"] == "app.py"


def test_sarif_is_what_the_standard_says():
    """The object model of SARIF 2.1.0 accepts it, and reads what was meant."""
    log = Sarif.model_validate_json(rendered("sarif", report(finding(severity="info"), finding())))
    [run] = log.runs
    assert log.version == "2.1.0"
    assert (run.tool.driver.name, run.tool.driver.version) == ("sqla-safe", __version__)
    assert [rule.id for rule in run.tool.driver.rules] == list(RULES)
    first, second = run.results
    assert (first.rule_id, first.level.value) == ("SQS011", "note")
    assert second.level.value == "error"
    assert first.message.text == (
        "User.balance is not loaded here\nload it: .options(selectinload(User.balance))"
    )
    place = first.locations[0].physical_location
    assert place.artifact_location.uri == "app.py"
    region = place.region
    assert (region.start_line, region.start_column, region.end_column) == (4, 12, 39)


def test_sarif_indices_lead_to_the_rules():
    """Viewers use the index, not the id."""
    log = json.loads(rendered("sarif", report(finding(code="SQS060"))))
    rules = log["runs"][0]["tool"]["driver"]["rules"]
    assert rules[log["runs"][0]["results"][0]["ruleIndex"]]["id"] == "SQS060"


def of_the_samples(command, form: str) -> dict:
    """Return a report on every sample, made by the command."""
    shown = command.check("--exit-zero", "--no-respect-gitignore", "--output-format", form, ".")
    return json.loads(shown.out)


@pytest.fixture
def samples(here):
    """Lay the sample files out in the project."""
    for file in (Path(__file__).parent / "samples").glob("*.py"):
        target = here / "tests" / "checker" / "samples" / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes())
    return here


def test_sarif_of_real_findings_is_what_the_standard_says(samples, command):
    """No property that the object model does not know, and none of the wrong type."""
    log = of_the_samples(command, "sarif")
    accepted = Sarif.model_validate(log).model_dump(mode="json", by_alias=True, exclude_none=True)
    assert unknown_to(log, accepted) == []
    assert {each["ruleId"] for each in log["runs"][0]["results"]} == set(RULES)


def unknown_to(given, accepted, place="") -> list[str]:
    """Return what a log holds that was dropped or changed when it was read."""
    if isinstance(given, dict) and isinstance(accepted, dict):
        return [
            problem
            for key, value in given.items()
            for problem in unknown_to(value, accepted.get(key), f"{place}/{key}")
        ]
    if isinstance(given, list) and isinstance(accepted, list) and len(given) == len(accepted):
        pairs = enumerate(zip(given, accepted, strict=True))
        return [each for at, pair in pairs for each in unknown_to(*pair, f"{place}/{at}")]
    return [] if given == accepted else [place]


def test_sarif_has_what_code_scanning_needs(samples, command):
    """GitHub's rules: what its documentation calls required, and fingerprints that differ."""
    [run] = of_the_samples(command, "sarif")["runs"]
    rules, results = run["tool"]["driver"]["rules"], run["results"]
    for rule in rules:
        assert 0 < len(rule["shortDescription"]["text"]) <= 1024
        assert 0 < len(rule["fullDescription"]["text"]) <= 1024
        assert rule["help"]["text"]
        assert rule["properties"]["tags"]
    for result in results:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["message"]["text"]
        assert result["level"] in ("error", "warning", "note")
        assert len(result["locations"]) == 1
        place = result["locations"][0]["physicalLocation"]
        assert not place["artifactLocation"]["uri"].startswith(("/", "file:"))
        region = place["region"]
        start = region["startLine"], region["startColumn"]
        assert (1, 1) <= start < (region["endLine"], region["endColumn"])
    prints = [
        (each["locations"][0]["physicalLocation"]["artifactLocation"]["uri"], *prints)
        for each in results
        for prints in each["partialFingerprints"].items()
    ]
    assert len(prints) == len(set(prints)) == len(results)


@pytest.mark.parametrize(
    ("file", "uri"),
    [("my app/ä.py", "my%20app/%C3%A4.py"), (str(Path("/srv/a b.py")), "file:///srv/a%20b.py")],
    ids=["relative", "absolute"],
)
def test_sarif_paths_are_uris(file, uri):
    """Spaces and letters of other scripts are encoded."""
    made = report(finding(file=file))
    object.__setattr__(made, "text", lambda _: report().text("app.py"))
    log = json.loads(rendered("sarif", made))
    location = log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
    assert location["artifactLocation"]["uri"] == uri


def test_statistics_count_by_rule():
    """The most frequent first, in columns."""
    many = [finding(code="SQS060")] * 12
    shown = rendered("statistics", report(finding(fix=FIX), *many)).splitlines()
    assert shown == [
        f"12  SQS060  [ ]  {RULES['SQS060'].name}: {RULES['SQS060'].summary}",
        f" 1  SQS011  [*]  {RULES['SQS011'].name}: {RULES['SQS011'].summary}",
    ]


def test_the_summary_counts_levels_files_and_fixes():
    """The one line that everybody reads."""
    made = report(
        finding(fix=FIX),
        finding(),
        finding(severity="warning"),
        finding(severity="info"),
        known=3,
        skipped=2,
        fixed=1,
    )
    assert list(summary(made)) == [
        (
            "Found 2 errors, 1 warning and 1 note in 1 of 1 file"
            " (1 fixed, 3 in the baseline, 2 files skipped)"
        ),
        "[*] 1 fixable with the `--fix` option.",
    ]


def test_the_summary_says_nothing_of_fixes_that_there_are_not():
    """One line."""
    assert list(summary(report(finding()))) == ["Found 1 error in 1 of 1 file"]


def test_the_summary_ends_with_what_was_not_followed():
    """Nobody should take "passed" for more than it is."""
    assert list(summary(report(cut_short=2))) == [
        "All checks passed!",
        "2 functions lead to too much code: not all of their calls were followed.",
    ]
    assert list(summary(report(finding(), cut_short=1)))[-1].startswith("1 function leads to")


def test_the_summary_of_nothing_is_good_news():
    """And says what was held back."""
    assert list(summary(report())) == ["All checks passed!"]
    assert list(summary(report(known=1))) == ["All checks passed! (1 in the baseline)"]
