"""SQS030: an entity is put into a cache, FSM state, global or attribute."""

import pickle

from fastapi import FastAPI

from sqla_safe import asnapshot
from tests.checker.samples.world import Keeping, SyncSession, User, user_service

app = FastAPI()
cache = {}
last_user = None


async def into_a_global_dict(user_id):
    async with user_service() as users:
        user = await users.get(user_id)
    cache[user_id] = user  # warning: SQS030


async def into_a_global(user_id):
    global last_user
    async with Keeping() as session:
        last_user = await session.get(User, user_id)  # warning: SQS030


async def into_fsm_data(state, session, user_id):
    user = await session.get(User, user_id)
    await state.update_data(user=user)  # warning: SQS030


def of_a_parameter(user: User):
    cache[user.id] = {"user": user}  # warning: SQS030


class Handler:
    async def into_an_attribute(self, user_id):
        async with Keeping() as session:
            self.user = await session.get(User, user_id)  # warning: SQS030


async def snapshots_and_ids(state, session, user_id):
    user = await session.get(User, user_id)
    cache[user_id] = await asnapshot(user)
    await state.update_data(user_id=user.id)
    local = {}
    local[user_id] = user


def into_a_global_dict_until_the_commit(user_id):
    with SyncSession() as session:
        cache[user_id] = session.get(User, user_id)  # error: SQS030


async def pickled(session, redis, user_id):
    user = await session.get(User, user_id)
    await redis.set("user", pickle.dumps(user))  # warning: SQS030
    await redis.set("name", pickle.dumps(user.name))


async def into_an_application(user_id):
    async with Keeping() as session:
        user = await session.get(User, user_id)
        app.state.admin = user  # warning: SQS030
        app.state.admin_id = user.id


async def into_a_request(request, user_id):
    async with Keeping() as session:
        request.state.user = await session.get(User, user_id)


class Work:
    def run(self, user_id):
        with SyncSession() as session:
            self.session = session
            self.user = session.get(User, user_id)

    def keep(self, user_id):
        with SyncSession() as session:
            self.user = session.get(User, user_id)  # warning: SQS030
