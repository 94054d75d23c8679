"""Attributes whose names are no Python."""

from __future__ import annotations

import pytest
from sqlalchemy import Column, Integer, String, Table
from sqlalchemy.orm import registry
from sqlalchemy.sql import quoted_name

from sqla_safe import dumps, loads, snapshot

NAMES = {
    "quotes": 'it\'s "it"',
    "end of a line": "a\n    raise SystemExit",
    "slash": "a\\",
    "brace": "{0}",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=list(NAMES))
@pytest.mark.parametrize(
    "kind", [str, lambda name: quoted_name(name, quote=True)], ids=["plain", "quoted"]
)
def test_a_name_in_generated_code_is_only_a_name(store, name, kind):
    """Whatever it says."""

    class Thing:
        pass

    Thing.__qualname__ = "Thing"
    made = registry()
    table = Table(
        "thing", made.metadata, Column("id", Integer, primary_key=True), Column("x", String)
    )
    made.map_imperatively(Thing, table, properties={kind(name): table.c.x})
    thing = Thing()
    thing.id = 1
    setattr(thing, name, "value")
    shown = snapshot(store(thing).get_one(Thing, 1))
    assert getattr(shown, name) == "value"
    assert loads(Thing, dumps(shown)) == shown
