"""Known findings do not count, wherever their lines have moved to."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from sqla_safe.checker._baseline import Baseline
from sqla_safe.checker._problems import UsageError
from sqla_safe.checker._text import SourceText
from tests.checker.support import SOURCE, finding, texts


@pytest.fixture
def file(here):
    """Give the file of a baseline that holds the finding in SOURCE."""
    Baseline(here / "known.json").write([finding()], texts(app=SOURCE))
    return here / "known.json"


def new(file, source: str, *findings):
    """Return the findings that a baseline does not hold, how many it holds, and the stale ones."""
    baseline = Baseline.read(file)
    left, held, vain = baseline.split(findings, texts(app=source))
    return left, held, baseline.stale(vain, ["app.py"])


def test_a_baseline_is_readable_and_sorted(file):
    """Reviewers see what is accepted."""
    assert json.loads(file.read_text()) == {
        "version": 1,
        "findings": [
            {
                "file": "app.py",
                "code": "SQS011",
                "function": "show",
                "text": 'return getattr(user, "balance", 0)',
                "count": 1,
            }
        ],
    }


def test_a_known_finding_does_not_count(file):
    """It is held back, and counted."""
    assert new(file, SOURCE, finding()) == ([], 1, [])


def test_a_finding_that_moved_is_still_known(file):
    """Lines above it, and another indentation, change nothing."""
    moved = "import os\n\n\n" + SOURCE.replace("    return", "        return")
    assert new(file, moved, finding(7)) == ([], 1, [])


@pytest.mark.parametrize(
    ("source", "changes"),
    [
        (SOURCE, {"code": "SQS001"}),
        (SOURCE.replace("show", "tell"), {}),
        (SOURCE.replace("balance", "credit"), {}),
    ],
    ids=["another rule", "another function", "another line"],
)
def test_another_finding_counts_and_the_old_one_is_stale(file, source, changes):
    """What was mended must not be held ready for the next mistake."""
    found = finding(**changes)
    left, held, stale = new(file, source, found)
    assert (left, held) == ([found], 0)
    assert [(key.file, key.code) for key in stale] == [("app.py", "SQS011")]


def test_the_second_of_two_equal_findings_counts(file):
    """One was accepted, not any number of them."""
    twice = SOURCE + SOURCE.splitlines()[3] + "\n"
    left, held, _ = new(file, twice, finding(4), finding(5))
    assert (left, held) == ([finding(5)], 1)


def test_what_was_not_checked_is_not_stale(file):
    """A run over one file says nothing about the others."""
    (file.parent / "app.py").write_text(SOURCE)
    baseline = Baseline.read(file)
    _, _, vain = baseline.split([], texts(app=SOURCE))
    assert baseline.stale(vain, ["other.py"]) == []
    (file.parent / "app.py").unlink()
    assert len(baseline.stale(vain, ["other.py"])) == 1


def test_paths_count_from_the_baseline(here):
    """So that it can be used from any working directory."""
    text = SourceText(SOURCE.encode())
    deep = replace(finding(), file=str(here / "app" / "x.py"))
    (here / "ci").mkdir()
    baseline = Baseline(here / "ci" / "known.json")
    assert baseline.write([deep], lambda _: text) == 1
    assert json.loads(baseline.file.read_text())["findings"][0]["file"] == "../app/x.py"
    again = replace(finding(), file="app/x.py")
    assert Baseline.read(baseline.file).split([again], lambda _: text)[1] == 1


def test_methods_and_nested_functions_have_their_full_names(here):
    """Two `get` of two classes are not one."""
    source = (
        "class A:\n    def get(self):\n        def inner():\n            user.x\n        return 1\n"
    )
    text = SourceText(source.encode())
    assert [text.function_at(line) for line in (1, 2, 4, 5)] == [
        "A",
        "A.get",
        "A.get.inner",
        "A.get",
    ]


def test_a_file_that_cannot_be_parsed_has_no_functions():
    """It has changed since it was checked."""
    assert SourceText(b"def f(:\n").function_at(1) == ""


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"[]", "it is no baseline: Expected `object`, got `array`"),
        (b"{", "it is no baseline: Input data was truncated"),
        (b'{"version": 2, "findings": []}', "version 2 is not known"),
    ],
    ids=["a list", "half", "newer"],
)
def test_a_file_that_is_no_baseline_is_a_mistake(here, content, problem):
    """Rather than that every finding counts, or none."""
    (here / "known.json").write_bytes(content)
    with pytest.raises(UsageError, match=problem):
        Baseline.read(here / "known.json")


def test_a_missing_baseline_says_how_to_make_one(here):
    """The first run of a pipeline tells what to do."""
    with pytest.raises(UsageError, match=r"No such file or directory; --write-baseline makes one"):
        Baseline.read(here / "known.json")
