"""A bar on long runs at a terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from types import TracebackType

_DELAY: Final = 0.7  # seconds after which a run counts as long


class Progress:
    """Shows how far each step is, on standard error; elsewhere than at a terminal, nothing."""

    def __init__(self, *, wanted: bool) -> None:
        """Decide whether to show anything."""
        self._shown = wanted and sys.stderr.isatty()
        self._bar: Any = None
        self._step = ""

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take the bar away."""
        self._end()

    def __call__(self, step: str, done: int, total: int) -> None:
        """Show that a step has come to ``done`` files of ``total``."""
        if not self._shown:
            return
        if step != self._step:
            self._end()
            self._step, self._bar = step, _bar(step, total)
        self._bar.update(done - self._bar.n)

    def _end(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _bar(step: str, total: int) -> Any:
    from tqdm import tqdm

    tqdm.monitor_interval = 0  # its thread would be in the way of forked workers
    return tqdm(
        total=total, desc=step, unit=" files", delay=_DELAY, leave=False, dynamic_ncols=True
    )
