"""FSM data holds plain data: what belongs to a session is refused."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import MappingProxyType
from typing import Any

import pytest
from aiogram.fsm.context import FSMContext
from aiogram.fsm.state import State, StatesGroup
from aiogram.fsm.storage.base import BaseStorage
from aiogram.types import Message

from sqla_safe import FsmDataError, asnapshot, dumps, to_dict
from tests.integration.aiogram.support import Chat, Note, Notes

Put = Callable[[FSMContext, BaseStorage, Any], Awaitable[object]]


class Steps(StatesGroup):
    one = State()


PUTS: dict[str, Put] = {
    "update_data": lambda state, _, value: state.update_data(kept=value),
    "set_data": lambda state, _, value: state.set_data({"kept": value}),
    "storage.update_data": lambda state, fsm, value: fsm.update_data(state.key, {"kept": value}),
    "storage.set_data": lambda state, fsm, value: fsm.set_data(state.key, {"kept": value}),
}
WRAPS: dict[str, Callable[[Any], Any]] = {
    "itself": lambda value: value,
    "list": lambda value: [1, [value]],
    "tuple": lambda value: (value,),
    "set": lambda value: {value},
    "mapping": lambda value: MappingProxyType({"a": {"b": value}}),
    "key": lambda value: {value: 1},
}
OWNED = {
    "an entity": lambda note, _: note,
    "a session": lambda _, notes: notes.session,
    "a scope": lambda _, notes: notes.session.info["scope"],
}


async def put(chat: Chat, how: Put, make: Callable[[Note, Notes], Any]) -> Any:
    """Let a handler put something into its FSM data; return what is there afterwards."""
    chat.use(Notes)

    @chat.dispatcher.message()
    async def handler(
        message: Message, notes: Notes, scope: Any, state: FSMContext, fsm_storage: BaseStorage
    ) -> Any:
        note = await notes.add("a")
        notes.session.info["scope"] = scope
        await how(state, fsm_storage, make(note, notes))
        return await state.get_data()

    return await chat.write()


@pytest.mark.parametrize("way", PUTS)
@pytest.mark.parametrize("kind", OWNED)
async def test_what_belongs_to_a_session_is_refused(chat: Chat, way: str, kind: str) -> None:
    """Entities, sessions and scopes are refused by every way into the storage."""
    with pytest.raises(FsmDataError, match=rf"'kept' holds {kind}"):
        await put(chat, PUTS[way], OWNED[kind])


@pytest.mark.parametrize("where", WRAPS)
async def test_it_is_found_inside_containers(chat: Chat, where: str) -> None:
    """Lists, tuples, sets and dictionaries are searched, keys included."""
    with pytest.raises(FsmDataError) as raised:
        await put(chat, PUTS["update_data"], lambda note, _: WRAPS[where](note))
    assert (raised.value.name, raised.value.kind) == ("kept", "Note")


async def test_a_refusal_stores_nothing(chat: Chat) -> None:
    """Neither the FSM data nor the database holds anything of the update."""
    with pytest.raises(FsmDataError):
        await put(chat, PUTS["set_data"], OWNED["an entity"])
    storage: Any = chat.dispatcher.fsm.storage
    assert [record.data for record in storage.storage.values() if record.data] == []
    assert await chat.stored() == []


async def test_a_snapshot_is_refused_and_its_data_is_not(chat: Chat) -> None:
    """`to_dict` and `dumps` of a snapshot are plain data; the snapshot itself is an object."""
    chat.use(Notes)

    @chat.dispatcher.message()
    async def handler(message: Message, notes: Notes, state: FSMContext) -> dict[str, Any]:
        snap = await asnapshot(await notes.add("a"))
        with pytest.raises(FsmDataError, match="a snapshot"):
            await state.update_data(note=snap)
        return await state.update_data(note=to_dict(snap), packed=dumps(snap), ids=[snap.id])

    data = await chat.write()
    assert (data["note"]["text"], data["ids"]) == ("a", [1])


async def test_a_list_that_contains_itself_is_searched_once(chat: Chat) -> None:
    """The search ends."""

    def loop(_note: Note, _notes: Notes) -> Any:
        endless: list[Any] = [1]
        endless.append(endless)
        return endless

    data = await put(chat, PUTS["update_data"], loop)
    assert data["kept"][0] == 1


async def test_the_rest_of_the_context_works(chat: Chat) -> None:
    """State, values and clearing go through, and the storage's own attributes are there."""
    chat.use()

    @chat.dispatcher.message()
    async def handler(message: Message, state: FSMContext, fsm_storage: Any) -> tuple[Any, ...]:
        await state.set_state(Steps.one)
        await state.set_data({"a": 1})
        seen = await state.get_state(), await state.get_value("a"), await state.get_data()
        await state.clear()
        own = chat.dispatcher.fsm.storage.storage  # type: ignore[attr-defined]
        return (*seen, await state.get_state(), fsm_storage.storage is own)

    assert await chat.write() == ("Steps:one", 1, {"a": 1}, None, True)


async def test_the_dispatcher_keeps_its_own_storage(chat: Chat) -> None:
    """The check is there for the time of an update; closing goes to the storage itself."""
    chat.use()

    @chat.dispatcher.message()
    async def handler(message: Message, fsm_storage: BaseStorage, state: FSMContext) -> Any:
        assert state.storage is not chat.dispatcher.fsm.storage
        await fsm_storage.close()

    before = chat.dispatcher.fsm.storage
    await chat.write()
    assert chat.dispatcher.fsm.storage is before
