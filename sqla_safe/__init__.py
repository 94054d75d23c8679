"""SQLAlchemy sessions that end well.

`scoped_services` shares one session and one transaction between services. See the documentation
for the rules of a scope, and `sqla_safe.errors` for what can go wrong and how to repair it.

Names are loaded on first use, so that ``import sqla_safe`` itself costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqla_safe.errors import (
        CommitCallbackError,
        CommitOutcomeUnknownError,
        ConcurrentUseError,
        IdleInTransactionWarning,
        ManagedTransactionError,
        NoScopeError,
        PoolExhaustedError,
        ReadOnlyScopeError,
        RollbackOnlyError,
        ScopeClosedError,
        ScopeOptionError,
        ScopeSourceError,
        ScopeTimeoutError,
        ServiceBuildError,
        SqlaSafeError,
        SqliteNotPreparedError,
    )
    from sqla_safe.scopes import (
        AsyncScope,
        Scope,
        configure,
        current_scope,
        is_retryable,
        prepare_sqlite,
        scoped_services,
        transactional,
    )
    from sqla_safe.services import inject

__all__ = [
    "AsyncScope",
    "CommitCallbackError",
    "CommitOutcomeUnknownError",
    "ConcurrentUseError",
    "IdleInTransactionWarning",
    "ManagedTransactionError",
    "NoScopeError",
    "PoolExhaustedError",
    "ReadOnlyScopeError",
    "RollbackOnlyError",
    "Scope",
    "ScopeClosedError",
    "ScopeOptionError",
    "ScopeSourceError",
    "ScopeTimeoutError",
    "ServiceBuildError",
    "SqlaSafeError",
    "SqliteNotPreparedError",
    "configure",
    "current_scope",
    "inject",
    "is_retryable",
    "prepare_sqlite",
    "scoped_services",
    "transactional",
]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in __all__:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    part = "errors" if name.endswith(("Error", "Warning")) else "scopes"
    module = import_module(f"{__name__}.{'services' if name == 'inject' else part}")
    value = globals()[name] = getattr(module, name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
