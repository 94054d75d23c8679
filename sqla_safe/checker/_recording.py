"""What is known of calls, and what that rests on: so that other files can make use of it.

The findings of a file must not depend on the files before it. So what one file knows of a call is
taken over by another only where nothing around the call had a say in it, and then the other file
counts the steps, and knows of the calls in it, as if it had followed all of them itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

if TYPE_CHECKING:
    from sqla_safe.checker._index import Function, Module
    from sqla_safe.checker._memo import Summary
    from sqla_safe.checker._run import Run

_MOST: Final = 20_000  # records that are held from file to file


class Record(Struct, frozen=True, eq=False):
    """What following a call has told, and what it rests on."""

    key: Any
    summary: Summary
    steps: int
    """The steps of the function itself, without those of the calls in it."""
    has_ended: bool
    """Whether the function itself has closed a session."""
    parts: tuple[Record, ...]
    """What was known, or became known, of the calls in it."""
    asked: frozenset[Function]
    """The functions that must not be around it: what it calls would not be followed again."""
    is_free: bool
    """Whether it would come out the same wherever none of these is around it."""


class Recording:
    """A call that is being followed."""

    __slots__ = (
        "asked",
        "base",
        "had_ended",
        "inner_has_ended",
        "inner_steps",
        "is_free",
        "own",
        "parts",
        "start",
    )

    def __init__(self, run: Run) -> None:
        """Begin here."""
        self.base, self.start = len(run.stack), run.steps
        self.had_ended, run.has_ended = run.has_ended, False
        self.inner_steps = 0
        self.inner_has_ended = False
        self.is_free = True
        self.asked: set[Function] = set()
        self.parts: list[Record] = []
        self.own: set[Record] = set()
        run.recordings.append(self)

    def take(self, record: Record, own: set[Record], steps: int, *, has_ended: bool) -> None:
        """Note a call that was followed inside of this one."""
        self.parts.append(record)
        self.own |= own
        self.asked |= record.asked
        self.inner_steps += steps
        self.inner_has_ended |= has_ended

    def use(self, record: Record, stack: list[Function]) -> None:
        """Note a call that was known before this one began."""
        self.parts.append(record)
        self.asked |= record.asked
        self.is_free &= record.is_free and record.asked.isdisjoint(stack)


class Memory:
    """The calls that the file being looked at knows, and those that files before it knew."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._here: dict[Any, Record] = {}
        self._before: dict[Any, Record] = {}
        self._file: Module | None = None

    def begin(self, file: Module) -> None:
        """Look at the next file."""
        self._file = file
        self._here.clear()
        if len(self._before) > _MOST:
            self._before.clear()

    def known(self, run: Run, key: Any) -> Summary | None:
        """Return what is known of a call."""
        record = self._here.get(key)
        if record is not None:
            _note_use(run, record)
            return record.summary
        record = self._before.get(key)
        return record.summary if record is not None and self._adopt(run, record) else None

    def _adopt(self, run: Run, record: Record) -> bool:
        """Take a record over from a file before, with all that this file would know by now."""
        mocked = run.linked.mocked
        if not record.asked.isdisjoint(run.stack):
            return False
        if mocked and any(function.name in mocked for function in record.asked):
            return False
        new: dict[Any, Record] = {record.key: record}
        if not self._gather(record, new):
            return False
        steps = sum([each.steps for each in new.values()])
        if not run.can_afford(steps):
            return False
        self._here.update(new)
        run.steps += steps
        has_ended = any(each.has_ended for each in new.values())
        if run.recordings:
            run.recordings[-1].take(record, set(new.values()), steps, has_ended=has_ended)
        else:
            run.has_ended |= has_ended
        return True

    def _gather(self, record: Record, new: dict[Any, Record]) -> bool:
        """Collect the parts that this file does not know; it must not know others instead."""
        for part in record.parts:
            known = self._here.get(part.key) or new.get(part.key)
            if known is None:
                new[part.key] = part
                if not self._gather(part, new):
                    return False
            elif known is not part:
                return False
        return True

    def keep(
        self, run: Run, recording: Recording, key: Any, summary: Summary, function: Function
    ) -> None:
        """Note what a call has told that was just followed."""
        run.recordings.pop()
        total = run.steps - recording.start
        steps = total - recording.inner_steps
        parts, asked = tuple(recording.parts), frozenset(recording.asked)
        record = Record(key, summary, steps, run.has_ended, parts, asked, recording.is_free)
        has_ended = run.has_ended or recording.inner_has_ended
        run.has_ended = recording.had_ended
        if run.recordings:
            own = recording.own | {record}
            run.recordings[-1].take(record, own, total, has_ended=has_ended)
        else:
            run.has_ended |= has_ended
        if not run.is_spent:
            self._here[key] = record
            if record.is_free and function.module is not self._file:  # it is called from afar
                self._before.setdefault(key, record)


def _note_use(run: Run, record: Record) -> None:
    for recording in reversed(run.recordings):
        if record in recording.own:
            break
        recording.use(record, run.stack)
