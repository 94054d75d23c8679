"""The thread that cuts off blocking calls which take too long."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

from sqla_safe.scopes._watchdog import Watchdog
from tests.calls import python_calls

SOON, LATER = 0.02, 0.06


def wait_until(condition, seconds: float = 5.0) -> bool:
    """Wait for a condition; tell whether it came."""
    due = time.monotonic() + seconds
    while not condition() and time.monotonic() < due:
        time.sleep(0.002)
    return condition()


def test_an_action_runs_when_its_time_has_come() -> None:
    """Not before its time, and in a thread of its own."""
    watchdog, ran = Watchdog(), []
    begun = time.monotonic()
    watchdog.arm(LATER, lambda: ran.append((time.monotonic() - begun, threading.current_thread())))
    assert wait_until(lambda: bool(ran))
    [(after, thread)] = ran
    assert after >= LATER
    assert thread is not threading.current_thread()


def test_an_action_that_was_called_off_does_not_run() -> None:
    """Disarmed in time, it never happens."""
    watchdog, ran = Watchdog(), []
    watchdog.disarm(watchdog.arm(SOON, lambda: ran.append("called off")))
    watchdog.arm(LATER, lambda: ran.append("armed"))
    assert wait_until(lambda: bool(ran))
    assert ran == ["armed"]


def test_a_later_action_does_not_hold_up_an_earlier_one() -> None:
    """Actions run in the order of their times, not of their arming."""
    watchdog, ran = Watchdog(), []
    slow = watchdog.arm(60, lambda: ran.append("late"))
    watchdog.arm(LATER, lambda: ran.append("second"))
    watchdog.arm(SOON, lambda: ran.append("first"))
    assert wait_until(lambda: len(ran) == 2)
    assert ran == ["first", "second"]
    watchdog.disarm(slow)


def test_calling_off_after_the_fact_is_harmless() -> None:
    """Disarming what has run, or twice, does nothing."""
    watchdog, ran = Watchdog(), []
    key = watchdog.arm(SOON, lambda: ran.append(1))
    assert wait_until(lambda: bool(ran))
    watchdog.disarm(key)
    watchdog.disarm(key)


def test_the_thread_ends_when_there_is_nothing_to_watch() -> None:
    """An idle watchdog keeps no thread; the next action starts one again."""
    before = set(threading.enumerate())
    watchdog, ran = Watchdog(), []
    watchdog.arm(SOON, lambda: ran.append(1))
    assert wait_until(lambda: bool(ran) and set(threading.enumerate()) == before)
    watchdog.arm(SOON, lambda: ran.append(2))
    assert wait_until(lambda: ran == [1, 2])


def test_a_failing_action_does_not_take_others_along() -> None:
    """What one action raises neither ends the thread nor stops the actions after it."""
    watchdog, ran = Watchdog(), []

    def fail() -> None:
        raise OSError("no such socket")

    watchdog.arm(SOON, fail)
    watchdog.arm(LATER, lambda: ran.append("after"))
    assert wait_until(lambda: bool(ran), seconds=1)


def test_a_forked_child_has_a_watchdog_of_its_own() -> None:
    """After a fork the child's watchdog works although the parent's thread did not come along."""
    code = """
import os, threading, warnings
from sqla_safe.scopes._watchdog import watchdog
warnings.simplefilter("ignore", DeprecationWarning)  # forking with threads is what is tried
key = watchdog.arm(60, print)
child = os.fork()
ran = threading.Event()
watchdog.arm(0.02, ran.set)
works = ran.wait(5)
if child == 0:
    os._exit(0 if works else 1)
watchdog.disarm(key)
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) or not works)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=False, timeout=30
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_no_lock_stays_taken_when_a_signal_handler_raises() -> None:
    """All that it calls is C's: an exception cannot come between a lock and its `with` block."""
    watchdog = Watchdog()

    def arm_and_disarm() -> None:
        first = watchdog.arm(60, list)
        second = watchdog.arm(30, list)
        watchdog.disarm(second)
        watchdog.disarm(first)

    called = python_calls(arm_and_disarm)
    assert called == ["Watchdog.arm", "Watchdog.arm", "Watchdog.disarm", "Watchdog.disarm"]
