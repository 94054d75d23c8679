"""Views: rows loaded straight into classes of one's own, without entities."""

from __future__ import annotations

from sqla_safe.views._api import (
    afetch,
    afetch_one,
    afetch_one_or_none,
    astream_views,
    fetch,
    fetch_one,
    fetch_one_or_none,
    stream_views,
    view_plan,
)
from sqla_safe.views._explain import ViewPlan
from sqla_safe.views._markers import Expr, Path

__all__ = [
    "Expr",
    "Path",
    "ViewPlan",
    "afetch",
    "afetch_one",
    "afetch_one_or_none",
    "astream_views",
    "fetch",
    "fetch_one",
    "fetch_one_or_none",
    "stream_views",
    "view_plan",
]
