"""Scopes: several services, one session, one transaction, one end."""

from sqla_safe.scopes._api import current_scope, scoped_services
from sqla_safe.scopes._policy import configure
from sqla_safe.scopes._retry import is_retryable
from sqla_safe.scopes._scope import AsyncScope, Scope
from sqla_safe.scopes._sqlite import prepare_sqlite
from sqla_safe.scopes._transactional import transactional

__all__ = [
    "AsyncScope",
    "Scope",
    "configure",
    "current_scope",
    "is_retryable",
    "prepare_sqlite",
    "scoped_services",
    "transactional",
]
