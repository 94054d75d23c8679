"""The command ``sqla-safe``."""

from __future__ import annotations

import gc
import os
import sys
from typing import TYPE_CHECKING, Final

from sqla_safe.checker._options import parse
from sqla_safe.checker._problems import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

USAGE: Final = 2
_INTERRUPTED: Final = 130
_NOBODY_READS: Final = 141


def main() -> int:
    """Run ``sqla-safe`` with the arguments of this process.

    Returns:
        The exit code: 0 nothing of level error, 1 findings that count, 2 wrong usage.

    Example:
        >>> main()  # doctest: +SKIP
        0
    """
    was_enabled = gc.isenabled()
    gc.disable()  # there is hardly any garbage, and what would be looked through is much
    try:
        return run(sys.argv[1:])
    finally:
        gc.freeze()  # the process ends, which is no reason to look through it either
        if was_enabled:
            gc.enable()


def run(arguments: Sequence[str]) -> int:
    """Run ``sqla-safe`` with some arguments.

    Args:
        arguments: such as ``["check", "app", "--strict"]``.

    Returns:
        The exit code, as `main`.

    Raises:
        SystemExit: argparse has printed help, a version or an error of usage.

    Example:
        >>> run(["check", "app", "--quiet"])  # doctest: +SKIP
        0
    """
    options = parse(arguments)
    try:
        from sqla_safe.checker import _command  # argparse answers --help without the checker

        code = _command.run(options)
        sys.stdout.flush()  # here, where somebody answers for it, and not at the exit
    except UsageError as error:
        for problem in error.problems:
            print(f"sqla-safe: error: {problem}", file=sys.stderr)  # noqa: T201 - the command speaks
        return USAGE
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:  # `| head`: nobody wants to hear the rest, not even at the exit
        _hush()
        return _NOBODY_READS
    except OSError as error:  # a full disk
        _hush()
        print(f"sqla-safe: error: {error}", file=sys.stderr)  # noqa: T201 - the command speaks
        return USAGE
    return code


def _hush() -> None:
    """Let nothing be written to standard output any more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
