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
    from sqla_safe.guard import (
        ExplainFilter,
        Explanation,
        Installation,
        explain,
        explain_asyncio,
        explain_excepthook,
        explain_logging,
        install,
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
    "ExplainFilter",
    "Explanation",
    "IdleInTransactionWarning",
    "Installation",
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
    "explain",
    "explain_asyncio",
    "explain_excepthook",
    "explain_logging",
    "inject",
    "install",
    "is_retryable",
    "prepare_sqlite",
    "scoped_services",
    "transactional",
]

_PARTS = {
    "inject": "services",
    **dict.fromkeys(("ExplainFilter", "Explanation", "Installation", "install"), "guard"),
    **dict.fromkeys((name for name in __all__ if name.startswith("explain")), "guard"),
}

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in __all__:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    part = "errors" if name.endswith(("Error", "Warning")) else _PARTS.get(name, "scopes")
    module = import_module(f"{__name__}.{part}")
    value = globals()[name] = getattr(module, name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
