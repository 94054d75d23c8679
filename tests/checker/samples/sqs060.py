"""SQS060: a lazy relationship is read in a loop, one SELECT for each entity."""

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from tests.checker.samples.world import User


def each(session: Session):
    for user in session.scalars(select(User)):
        print(user.balance)  # info: SQS060


def in_a_comprehension(session: Session):
    return [user.balance for user in session.scalars(select(User)).all()]  # info: SQS060


def loaded(session: Session):
    for user in session.scalars(select(User).options(selectinload(User.balance))):
        print(user.balance, user.name, user.roles)


def one(session: Session, user_id):
    return session.get(User, user_id).balance


def of_one(session: Session, user_id):
    user = session.get(User, user_id)
    print([avatar.user_id for avatar in user.avatars])
    for number in range(3):
        print(number, user.balance)


def nested(session: Session, user_id):
    for avatar in session.get(User, user_id).avatars:
        print(avatar.photos)  # info: SQS060
