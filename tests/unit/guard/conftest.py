"""Fixtures: every test begins without a guard, whatever ran before it."""

from __future__ import annotations

from tests.guards import watching_as_before

__all__ = ["watching_as_before"]
