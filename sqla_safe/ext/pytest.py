"""Tests of code that uses sqla_safe: one transaction per test, and how many statements it runs.

The plugin that pytest loads by itself is `sqla_safe.ext.pytest_plugin`; this module has what tests
and fixtures call. It works with any runner of async tests, and without pytest too.
"""

from sqla_safe.ext._testing._rolled_back import AsyncRolledBack, RolledBack, rolled_back
from sqla_safe.ext._testing._statements import Statements, assert_statements

__all__ = ["AsyncRolledBack", "RolledBack", "Statements", "assert_statements", "rolled_back"]
