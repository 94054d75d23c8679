"""WriteOnly and dynamic relationships are queried, never loaded."""

from __future__ import annotations

import pytest
from sqlalchemy import ForeignKey
from sqlalchemy.orm import (
    DeclarativeBase,
    DynamicMapped,
    Mapped,
    WriteOnlyMapped,
    mapped_column,
    relationship,
)

from sqla_safe import NotLoadedError, SnapshotPathError, snapshot
from tests.unit.snapshots.support import pickled, sent

KINDS = {"posts": "write_only", "visits": "dynamic"}


class Base(DeclarativeBase):
    """The tables of a blog."""


class Blog(Base):
    __tablename__ = "blog"

    id: Mapped[int] = mapped_column(primary_key=True)
    posts: WriteOnlyMapped[Post] = relationship()
    visits: DynamicMapped[Visit] = relationship()


class Post(Base):
    __tablename__ = "post"

    id: Mapped[int] = mapped_column(primary_key=True)
    blog_id: Mapped[int | None] = mapped_column(ForeignKey("blog.id"))
    blog: Mapped[Blog | None] = relationship(viewonly=True)


class Visit(Base):
    __tablename__ = "visit"

    id: Mapped[int] = mapped_column(primary_key=True)
    blog_id: Mapped[int | None] = mapped_column(ForeignKey("blog.id"))


@pytest.fixture
def blog(store):
    """Give a blog with a post and a visit."""
    return store(Blog(id=1, posts=[Post(id=1)], visits=[Visit(id=1)])).get_one(Blog, 1)


def test_they_are_not_read(blog):
    """Freezing sends nothing."""
    with sent() as statements:
        snapshot(blog)
    assert statements == []


@pytest.mark.parametrize(("name", "kind"), KINDS.items(), ids=KINDS.values())
def test_they_are_not_captured(blog, name, kind):
    """Reading one says what it is, and how to query it."""
    with pytest.raises(NotLoadedError, match=f"{kind} relationship.*{name}.select") as caught:
        getattr(snapshot(blog), name)
    assert caught.value.lazy == kind


@pytest.mark.parametrize(("name", "kind"), KINDS.items(), ids=KINDS.values())
def test_they_are_no_paths(blog, name, kind):
    """With what to write instead."""
    with pytest.raises(SnapshotPathError, match=rf"Blog\.{name} is a {kind} relationship"):
        snapshot(blog, getattr(Blog, name))


def test_what_was_queried_can_be_frozen(blog, store):
    """The rows are entities like others."""
    session = store(Blog(id=1, posts=[Post(id=1), Post(id=2)]))
    live = session.get_one(Blog, 1)
    posts = snapshot(session.scalars(live.posts.select().order_by(Post.id)))
    assert [post.id for post in posts] == [1, 2]
    assert posts[0].blog is posts[1].blog


def test_what_was_added_and_not_flushed_does_not_show(blog):
    """The collection is not part of the snapshot."""
    blog.posts.add(Post(id=9))
    with pytest.raises(NotLoadedError):
        _ = snapshot(blog).posts


def test_a_snapshot_with_them_can_be_pickled(blog):
    """They are missing afterwards too."""
    shown = pickled(snapshot(blog))
    assert shown == snapshot(blog)
    with pytest.raises(NotLoadedError, match="write_only"):
        _ = shown.posts
