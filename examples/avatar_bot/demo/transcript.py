"""How a conversation looks on a terminal."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterable

    from avatar_bot.demo.telegram import Call

PACKAGE = Path(__file__).resolve().parents[1]
WIDTH = 78
NAME_WIDTH = 7

BOLD, DIM, RED, GREEN, CYAN = "1", "2", "31", "32", "36"


def wants_colour(stream: TextIO) -> bool:
    """Tell whether `stream` is a terminal whose user has not asked for plain text."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class Transcript:
    """Prints who says what, and where a handler failed."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stdout
        self.colour = wants_colour(self.stream)

    def section(self, title: str, *notes: str) -> None:
        """Begin a part of the story."""
        line = f"── {title} ".ljust(WIDTH, "─")
        self._print("", self._paint(BOLD, line), *(self._paint(DIM, note) for note in notes), "")

    def person(self, name: str, action: str) -> None:
        """Show what a person writes or presses."""
        self._say(name, action, CYAN)

    def bot(self, calls: Iterable[Call]) -> None:
        """Show what the bot has said by these calls."""
        for call in calls:
            if call.text:
                self._say("Бот", _marked(call), GREEN)
            for button in call.buttons:
                self._print(" " * NAME_WIDTH + self._paint(DIM, f"[ {button} ]"))

    def error(self, error: BaseException) -> None:
        """Show an exception with its notes, and the line of the bot that raised it."""
        text = "".join(traceback.format_exception_only(error)).rstrip()
        self._say("ERROR", f"{text}\nraised at {raised_at(error)}", RED)

    def verdict(self, what: str, *, met: bool) -> None:
        """Show whether something expected has happened."""
        self._print(self._paint(GREEN if met else RED, f"{'✓' if met else '✗'} {what}"))

    def _say(self, name: str, text: str, colour: str) -> None:
        """Print `text` beside the name of the speaker."""
        first, *more = text.splitlines()
        self._print(self._paint(colour, name.ljust(NAME_WIDTH)) + first)
        self._print(*(" " * NAME_WIDTH + line if line else "" for line in more))

    def _paint(self, colour: str, text: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self.colour else text

    def _print(self, *lines: str) -> None:
        for line in lines:
            print(line, file=self.stream)


def _marked(call: Call) -> str:
    """Return the text of a call, marked when it is no new message."""
    marks = {"editMessageText": "(edits the message) ", "answerCallbackQuery": "(alert) "}
    return marks.get(call.method, "") + call.text


def raised_at(error: BaseException) -> str:
    """Return file:line, function and code of the last frame that belongs to the bot."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if PACKAGE in Path(frame.filename).parents]
    if not ours:
        return "an unknown line"
    last = ours[-1]
    path = Path(last.filename).relative_to(PACKAGE.parent).as_posix()
    return f"{path}:{last.lineno} in {last.name}\n    {last.line}"
