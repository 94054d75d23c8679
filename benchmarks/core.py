"""The users by hand: rows that SQLAlchemy Core selects, put together as msgspec Structs."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from models import Avatar, Photo, User
from shapes import AvatarView, PhotoView, UserView
from sqlalchemy import ARRAY, Integer, String, any_, bindparam, func, select

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Row, Select
    from sqlalchemy.orm import Session

    Query = Callable[[Sequence[int]], tuple[Select[Any], Any]]

CHUNK = 500
"""As many keys as SQLAlchemy's own `selectinload` sends at a time."""

user = User.__table__.c
avatar = Avatar.__table__.c
photo = Photo.__table__.c
USER_ROWS = select(
    user.id, user.telegram_id, user.name, user.email, user.balance, user.is_active, user.created_at
).order_by(user.id)
AVATAR_ROWS = select(
    avatar.user_id, avatar.id, avatar.name, avatar.status, avatar.created_at
).order_by(avatar.user_id, avatar.id)
PHOTO_ROWS = select(photo.avatar_id, photo.id, photo.url, photo.width, photo.height).order_by(
    photo.avatar_id, photo.id
)
KEYS = bindparam("keys", expanding=True)
USERS_BUILT = USER_ROWS.where(user.id <= bindparam("size"))
AVATARS_BUILT = AVATAR_ROWS.where(avatar.user_id.in_(KEYS))
PHOTOS_BUILT = PHOTO_ROWS.where(photo.avatar_id.in_(KEYS))


def by_hand(session: Session, size: int) -> list[UserView]:
    """Write it with Core, as people do: each statement where it is needed."""
    users = session.execute(USER_ROWS.where(user.id <= size)).all()
    return assembled(
        session,
        users,
        lambda keys: (AVATAR_ROWS.where(avatar.user_id.in_(keys)), None),
        lambda keys: (PHOTO_ROWS.where(photo.avatar_id.in_(keys)), None),
    )


def by_hand_built(session: Session, size: int) -> list[UserView]:
    """Write it with Core, each statement built once and for all."""
    return assembled(
        session,
        session.execute(USERS_BUILT, {"size": size}).all(),
        lambda keys: (AVATARS_BUILT, {"keys": keys}),
        lambda keys: (PHOTOS_BUILT, {"keys": keys}),
    )


def assembled(
    session: Session, users: Sequence[Row[Any]], avatars: Query, photos: Query
) -> list[UserView]:
    """Ask for what the users have, and put it together."""
    avatar_rows = rows_in_chunks(session, avatars, [row[0] for row in users])
    photos_of: dict[int, list[PhotoView]] = defaultdict(list)
    for key, *values in rows_in_chunks(session, photos, [row[1] for row in avatar_rows]):
        photos_of[key].append(PhotoView(*values))
    avatars_of: dict[int, list[AvatarView]] = defaultdict(list)
    for key, number, name, status, created_at in avatar_rows:
        own = tuple(photos_of[number])
        avatars_of[key].append(AvatarView(number, name, status, created_at, own))
    return [UserView(*row, tuple(avatars_of[row[0]])) for row in users]


def rows_in_chunks(session: Session, query: Query, keys: Sequence[int]) -> list[Row[Any]]:
    """Ask with so many keys at a time."""
    chunks = [keys[start : start + CHUNK] for start in range(0, len(keys), CHUNK)]
    return [row for chunk in chunks for row in session.execute(*query(chunk)).all()]


ARRAY_KEYS = any_(bindparam("keys", type_=ARRAY(Integer)))
JSON_KEYS = select(func.json_each(bindparam("keys", type_=String())).table_valued("value").c.value)
AS_ONE: dict[str, tuple[Select[Any], Select[Any], Callable[[list[int]], Any]]] = {
    "postgresql": (
        AVATAR_ROWS.where(avatar.user_id == ARRAY_KEYS),
        PHOTO_ROWS.where(photo.avatar_id == ARRAY_KEYS),
        list,
    ),
    "sqlite": (
        AVATAR_ROWS.where(avatar.user_id.in_(JSON_KEYS)),
        PHOTO_ROWS.where(photo.avatar_id.in_(JSON_KEYS)),
        json.dumps,
    ),
}


def by_core(session: Session, size: int) -> Sequence[Any]:
    """Do what every view must do: ask SQLAlchemy's connection for the rows, and no more."""
    avatars_of, photos_of, pack = AS_ONE[session.get_bind().dialect.name]
    users = core_rows(session, USERS_BUILT, {"size": size})
    avatars = core_rows(session, avatars_of, {"keys": pack([row[0] for row in users])})
    return (
        users,
        avatars,
        core_rows(session, photos_of, {"keys": pack([row[1] for row in avatars])}),
    )


def core_rows(session: Session, statement: Select[Any], parameters: dict[str, Any]) -> Any:
    """Take the rows from the driver's cursor, which is quicker than making `Row` objects."""
    result: Any = session.connection().execute(statement, parameters)
    rows = result.cursor.fetchall()
    result.close()
    return rows
