"""Keys that MariaDB finds equal and Python does not."""

from __future__ import annotations

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from sqla_safe import fetch
from tests.databases import Database
from tests.unit.views.test_collations import WORDS, Base, WordCard, shown, store, viewed


@pytest.mark.parametrize("sync_database", ["pymysql"], indirect=True)
def test_rows_are_found_whatever_the_case(sync_database: Database) -> None:
    """Its collations care for no case unless they are told."""
    engine = create_engine(sync_database.url)
    Base.metadata.create_all(engine)
    store(engine)
    with Session(engine) as session:
        expected = shown(session, WORDS)
        assert expected[0][1] == [1, 2, 4]
        assert viewed(fetch(session, WordCard, WORDS)) == expected
    engine.dispose()
