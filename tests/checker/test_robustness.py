"""No file makes the checker fail: a run ends with findings or skips, never with a traceback."""

from __future__ import annotations

import os
import random
import sys
import sysconfig
from pathlib import Path

import hypothesis
import hypothesmith
import pytest
from hypothesis import strategies as st

from sqla_safe.checker import _project as project
from sqla_safe.checker._cache import Cache
from sqla_safe.checker._pipeline import Means, Run, Tree
from sqla_safe.checker._reading import Sources, extracted
from sqla_safe.checker._record import Outcome, decode_facts
from sqla_safe.checker._text import SourceText
from sqla_safe.checker.fixes import mended
from tests.checker.shop import HANDLERS, MODELS
from tests.checker.support import finding, fix

SAMPLE = 150
"""Files of each tree: as many as a few seconds allow; SQLA_SAFE_ALL_FILES=1 takes them all."""


def outcome_of(**sources: bytes) -> Outcome:
    """Return what is found in sources that are in no file."""
    named = {f"{name}.py": source for name, source in sources.items()}
    return Run(Tree([*named], (), Sources(named)), Means(Cache(None))).outcome()


def internal(outcome: Outcome) -> list[str]:
    """Return the errors of the checker itself."""
    return [f"{skip.file}: {skip.reason}" for skip in outcome.skips if "internal" in skip.reason]


def sample_of(folder: Path) -> list[str]:
    """Return some files below a folder, the same ones each time."""
    files = sorted(
        str(file) for file in folder.rglob("*.py") if "site-packages" not in file.parts[3:-3]
    )
    if os.environ.get("SQLA_SAFE_ALL_FILES"):
        return files
    return random.Random(0).sample(files, min(SAMPLE, len(files)))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("tree", ["stdlib", "purelib"])
def test_other_peoples_code_is_checked(tree):
    """The standard library, with its tests of broken files, and what is installed here."""
    files = sample_of(Path(sysconfig.get_path(tree)))
    outcome = Run(Tree(files), Means(Cache(None))).outcome()
    assert internal(outcome) == []
    assert outcome.files == len(files) > 100


@hypothesis.given(hypothesmith.from_grammar())
@hypothesis.settings(
    max_examples=60, suppress_health_check=list(hypothesis.HealthCheck), derandomize=True
)
def test_generated_code_is_checked(source):
    """Whatever the grammar allows."""
    assert internal(outcome_of(generated=source.encode("utf-8", "surrogatepass"))) == []


@hypothesis.given(st.data())
@hypothesis.settings(max_examples=60, suppress_health_check=list(hypothesis.HealthCheck))
def test_mutilated_code_is_checked(data):
    """Lines that are missing, doubled or moved, as in an editor."""
    lines = (HANDLERS + MODELS).splitlines(keepends=True)
    chosen = data.draw(st.lists(st.sampled_from(lines), max_size=30))
    source = "".join(chosen).encode()
    outcome = outcome_of(models=MODELS.encode(), handlers=source)
    assert internal(outcome) == []


@hypothesis.given(st.binary(max_size=200))
def test_any_bytes_are_read(source):
    """As facts or as a skip."""
    read = extracted("x.py", source)
    assert (read.skip is None) == bool(read.facts)
    assert read.skip is None or "internal" not in read.skip.reason


@pytest.mark.parametrize(
    "source",
    [
        b"",
        b"\n",
        b"\xef\xbb\xbf",
        b"# -*- coding: nonsense -*-\n",
        b"# -*- coding: utf-16 -*-\n",
        b"x = 1\x00",
        b"\xff",
        b"x = '\\ud800'\n",
        b"(" * 5000,
        b"-" * 20000 + b"1",
        b"x = " + b"[" * 150 + b"]" * 150,
        b"x = " + b" + ".join([b"1"] * 5000),
        b"if x:\n" + b"".join(b" " * n + b"if x:\n" for n in range(1, 99)) + b" " * 99 + b"pass\n",
        b"x" + b".a" * 3000,
        b"f" + b"()" * 3000,
        b"if a:\n  pass\n" + b"elif a:\n  pass\n" * 3000,
        b"x = 1\r\x0cy = 2\r",
        "é = 'ü'  # 漢字\n".encode(),
        b"def f():\n\tif 1:\n        x\n",
        b"print 'hello'\n",
        b"async = 1\n",
    ],
    ids=lambda source: (
        source[:20].decode("ascii", "backslashreplace").encode("unicode_escape").decode()
        + f" {len(source)}"
    ),
)
def test_odd_files_are_findings_or_skips(source):
    """Deep, broken, old and foreign ones."""
    assert internal(outcome_of(odd=source)) == []


def test_a_syntax_that_is_newer_than_this_python_is_a_skip_with_a_line():
    """A checker for 3.11 meets code for 3.14."""
    newer = (
        b"x = 1\nclass A[T]: pass\n" if sys.version_info < (3, 12) else b"x = 1\nclass A[: pass\n"
    )
    [skip] = outcome_of(newer=newer).skips
    assert skip.line == 2
    assert skip.reason.startswith(f"Python 3.{sys.version_info.minor} cannot parse it: ")


@pytest.mark.parametrize("word", ["joined_load", "of", ""])
def test_what_a_file_that_cannot_be_parsed_loads_is_no_surprise(word):
    """Nobody can say that a relationship is loaded nowhere when such a file loads it."""
    handler = b"from models import User\n\nasync def show(user: User):\n    print(user.orders)\n"
    query = b"def query(statement:\n    return %s(models.User.orders)\n" % word.encode()
    found = outcome_of(models=MODELS.encode(), handler=handler, query=query)
    assert [each.code for each in found.findings] == ([] if "load" in word else ["SQS010"])
    assert len(found.skips) == 1


def test_a_warning_of_the_parser_is_not_shown(recwarn):
    """What a file's literals warn of is not our business."""
    outcome_of(odd=b"x = '\\d'\nassert (1, 2)\nx is 1\n")
    assert list(recwarn) == []


@hypothesis.given(hypothesmith.from_grammar(), st.integers(0, 9), st.integers(0, 40))
@hypothesis.settings(
    max_examples=40, suppress_health_check=list(hypothesis.HealthCheck), derandomize=True
)
def test_texts_and_fixes_take_any_source_and_any_place(source, line, column):
    """They may be of another moment than the finding."""
    content = source.encode("utf-8", "surrogatepass")
    text = SourceText(content)
    assert isinstance(text.function_at(line), str)
    assert isinstance(text.comments, dict)
    assert isinstance(text.ends, dict)
    place = {"line": line, "column": column, "name": "A", "block_line": line}
    wanted = [
        finding(line, column, column + 1, fix=fix("keep-value", attribute="a", **place)),
        finding(
            line, column, column + 1, fix=fix("add-loader", option="selectinload(A.a)", **place)
        ),
        finding(line, column, column + 1, fix=fix("use-merge-result", **place)),
        finding(line, column, column + 1, fix=fix("refresh", after_line=line, **place)),
    ]
    fixed = mended(content, wanted)
    compile(fixed.source, "x.py", "exec", dont_inherit=True)


def test_facts_can_be_linked_in_any_number():
    """None at all, or one alone."""
    assert project.findings.__doc__
    assert project.link([]).fingerprint is not None
    facts = decode_facts(extracted("x.py", b"x = 1\n").facts)
    assert project.findings(project.link([facts]), facts) == []
