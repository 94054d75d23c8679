"""How the demo's transcript looks."""

from __future__ import annotations

import io

import pytest

from avatar_bot.demo.transcript import Transcript, wants_colour
from avatar_bot.locales import ru


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Say yes."""
        return True


@pytest.fixture(autouse=True)
def terminal_of_a_person(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what this machine says about colours."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")


def test_colours_are_for_terminals() -> None:
    """A terminal gets colours, a pipe does not."""
    assert wants_colour(Terminal())
    assert not wants_colour(io.StringIO())


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colours_can_be_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """NO_COLOR, and a terminal without escape sequences, get plain text."""
    monkeypatch.setenv(name, value)
    assert not wants_colour(Terminal())


@pytest.mark.parametrize(("stream", "start"), [(Terminal(), "\x1b["), (io.StringIO(), "✓")])
def test_verdict_is_painted_on_a_terminal(stream: io.StringIO, start: str) -> None:
    """The same line is painted on a terminal and plain in a pipe."""
    Transcript(stream).verdict("it works", met=True)
    assert stream.getvalue().startswith(start)
    assert "✓ it works" in stream.getvalue()


def test_notes_of_an_error_are_shown() -> None:
    """What a library adds to an exception as notes stands below its message."""
    stream = io.StringIO()
    error = ValueError("wrong")
    error.add_note("instead: right")
    Transcript(stream).error(error)
    assert stream.getvalue().splitlines()[:2] == [
        "ERROR  ValueError: wrong",
        "       instead: right",
    ]


@pytest.mark.parametrize(
    ("count", "noun"),
    [
        (0, "кредитов"),
        (1, "кредит"),
        (2, "кредита"),
        (11, "кредитов"),
        (14, "кредитов"),
        (21, "кредит"),
        (112, "кредитов"),
        (122, "кредита"),
        (350, "кредитов"),
    ],
)
def test_amounts_are_good_russian(count: int, noun: str) -> None:
    """The noun takes the form that its number asks for."""
    assert ru.coins(count) == f"{count} {noun}"
