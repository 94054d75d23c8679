"""What integrations say when they are given something else than a sessionmaker."""

from __future__ import annotations

from typing import Any

import pytest
import svcs
from fastapi import APIRouter, FastAPI
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from sqla_safe import (
    Scope,
    ScopeSourceError,
    configure,
    current_scope,
    scoped_services,
    transactional,
)
from sqla_safe.ext.aiogram import ScopeMiddleware
from sqla_safe.ext.dishka import ScopeProvider
from sqla_safe.ext.fastapi import depends, setup_scopes
from sqla_safe.ext.pytest import rolled_back
from sqla_safe.ext.svcs import scoped_container

ENGINE = create_engine("sqlite://")
ASYNC_ENGINE = create_async_engine("sqlite+aiosqlite://")

CALLS: dict[str, Any] = {
    "setup_scopes(app, Session)": lambda source: setup_scopes(FastAPI(), source),
    "depends(Session, ...)": depends,
    "ScopeMiddleware(Session, ...)": ScopeMiddleware,
    "ScopeProvider(Session, ...)": ScopeProvider,
    "scoped_container(registry, Session, ...)": lambda s: scoped_container(svcs.Registry(), s),
    "rolled_back(Session)": rolled_back,
    "@transactional(Session, ...)": transactional,
    "configure(Session, ...)": configure,
    "current_scope(Session)": current_scope,
}
GIVEN: dict[str, tuple[Any, str]] = {
    "Engine": (ENGINE, "Session = sessionmaker(engine); {call} "),
    "AsyncEngine": (ASYNC_ENGINE, "Session = async_sessionmaker(engine); {call} "),
    "Session": (Session(), "the sessionmaker that made the session: {call} "),
    "AsyncSession": (AsyncSession(), "the async_sessionmaker that made the session: {call} "),
    "scoped_session": (scoped_session(sessionmaker()), "its session_factory for Session: {call} "),
    "the class Session": (Session, "sessionmaker(engine) or async_sessionmaker(engine) for "),
    "function": (lambda: None, "{call}, with your sessionmaker "),
    "NoneType": (None, "for Session: {call} "),
    "str": ("sqlite://", "for Session: {call} "),
}


def refusal(call: Any, given: Any) -> str:
    """Return the text of the error, which holds no value of what was given."""
    with pytest.raises(ScopeSourceError) as caught:
        call(given)
    assert "sqlite://" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("got", GIVEN)
def test_the_error_names_what_was_given_and_the_line_of_this_integration(call, got) -> None:
    """Not that of `scoped_services`, which nobody wrote."""
    given, instead = GIVEN[got]
    text = refusal(CALLS[call], given)
    name = call.partition("(")[0].removeprefix("@")
    assert text.startswith(f"{name} takes a sessionmaker or an async_sessionmaker, not {got}. ")
    assert instead.format(call=call) in text


@pytest.mark.parametrize("call", CALLS)
def test_an_open_scope_is_not_said_to_be_allowed(call) -> None:
    """Only blocks join a scope that is handed over; the text does not say that others do."""
    with scoped_services(sessionmaker()) as scope:
        text = refusal(CALLS[call], scope)
    assert f"takes a sessionmaker or an async_sessionmaker, not {Scope.__name__}. " in text


def test_a_middleware_says_that_it_needs_the_async_kind() -> None:
    """Of a sync sessionmaker the text does not say that sessionmakers are accepted."""
    text = refusal(ScopeMiddleware, sessionmaker())
    assert text.startswith("ScopeMiddleware takes an async_sessionmaker, not a sync sessionmaker. ")


@pytest.mark.parametrize(
    "app",
    [APIRouter(), sessionmaker(), None, FastAPI],
    ids=["router", "sessionmaker", "none", "class"],
)
def test_setup_scopes_says_that_the_application_comes_first(app) -> None:
    """A router, swapped arguments, and a class are told by what they are."""
    text = refusal(lambda given: setup_scopes(given, sessionmaker()), app)
    assert text.startswith("setup_scopes takes the FastAPI application first, not ")
    assert "Instead: setup_scopes(app, Session)" in text
