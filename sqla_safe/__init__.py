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
        AsyncLoadError,
        CommitCallbackError,
        CommitOutcomeUnknownError,
        ConcurrentUseError,
        DeletedEntityError,
        DetachedEntityError,
        FrozenSnapshotError,
        FsmDataError,
        IdleInTransactionWarning,
        LeakError,
        ManagedTransactionError,
        MissingExtraError,
        NoScopeError,
        NotLoadedError,
        OuterTransactionError,
        PendingEntityError,
        PoolExhaustedError,
        ReadOnlyScopeError,
        RollbackOnlyError,
        ScopeClosedError,
        ScopeOptionError,
        ScopeSourceError,
        ScopeTimeoutError,
        ServiceBuildError,
        SnapshotDecodeError,
        SnapshotEncodeError,
        SnapshotLimitError,
        SnapshotPathError,
        SnapshotSourceError,
        SnapshotUnmappedError,
        SnapshotVersionError,
        SqlaSafeError,
        SqliteNotPreparedError,
        StaleSnapshotError,
        StatementCountError,
        TaskArgumentError,
        ViewAmbiguousError,
        ViewDataError,
        ViewDefinitionError,
        ViewNotFoundError,
        ViewSourceError,
        ViewStatementError,
        ViewStreamError,
        WriteBackError,
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
    from sqla_safe.snapshots import (
        asnapshot,
        dumps,
        is_snapshot,
        loads,
        replace,
        snapshot,
        to_dict,
        write_back,
    )
    from sqla_safe.views import (
        Expr,
        Path,
        ViewPlan,
        afetch,
        afetch_one,
        afetch_one_or_none,
        astream_views,
        fetch,
        fetch_one,
        fetch_one_or_none,
        stream_views,
        view_plan,
    )

__all__ = [
    "AsyncLoadError",
    "AsyncScope",
    "CommitCallbackError",
    "CommitOutcomeUnknownError",
    "ConcurrentUseError",
    "DeletedEntityError",
    "DetachedEntityError",
    "ExplainFilter",
    "Explanation",
    "Expr",
    "FrozenSnapshotError",
    "FsmDataError",
    "IdleInTransactionWarning",
    "Installation",
    "LeakError",
    "ManagedTransactionError",
    "MissingExtraError",
    "NoScopeError",
    "NotLoadedError",
    "OuterTransactionError",
    "Path",
    "PendingEntityError",
    "PoolExhaustedError",
    "ReadOnlyScopeError",
    "RollbackOnlyError",
    "Scope",
    "ScopeClosedError",
    "ScopeOptionError",
    "ScopeSourceError",
    "ScopeTimeoutError",
    "ServiceBuildError",
    "SnapshotDecodeError",
    "SnapshotEncodeError",
    "SnapshotLimitError",
    "SnapshotPathError",
    "SnapshotSourceError",
    "SnapshotUnmappedError",
    "SnapshotVersionError",
    "SqlaSafeError",
    "SqliteNotPreparedError",
    "StaleSnapshotError",
    "StatementCountError",
    "TaskArgumentError",
    "ViewAmbiguousError",
    "ViewDataError",
    "ViewDefinitionError",
    "ViewNotFoundError",
    "ViewPlan",
    "ViewSourceError",
    "ViewStatementError",
    "ViewStreamError",
    "WriteBackError",
    "afetch",
    "afetch_one",
    "afetch_one_or_none",
    "asnapshot",
    "astream_views",
    "configure",
    "current_scope",
    "dumps",
    "explain",
    "explain_asyncio",
    "explain_excepthook",
    "explain_logging",
    "fetch",
    "fetch_one",
    "fetch_one_or_none",
    "inject",
    "install",
    "is_retryable",
    "is_snapshot",
    "loads",
    "prepare_sqlite",
    "replace",
    "scoped_services",
    "snapshot",
    "stream_views",
    "to_dict",
    "transactional",
    "view_plan",
    "write_back",
]

__version__ = "0.1.0"

_PARTS = {
    "inject": "services",
    **dict.fromkeys(("ExplainFilter", "Explanation", "Installation", "install"), "guard"),
    **dict.fromkeys((name for name in __all__ if name.startswith("explain")), "guard"),
    **dict.fromkeys(("asnapshot", "is_snapshot", "snapshot"), "snapshots"),
    **dict.fromkeys(("dumps", "loads", "replace", "to_dict", "write_back"), "snapshots"),
    **dict.fromkeys(("Expr", "Path", "ViewPlan", "stream_views", "view_plan"), "views"),
    **dict.fromkeys(("afetch", "afetch_one", "afetch_one_or_none", "astream_views"), "views"),
    **dict.fromkeys(("fetch", "fetch_one", "fetch_one_or_none"), "views"),
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value = globals()[name] = getattr(import_module(f"{__name__}.{_part(name)}"), name)
    return value


def _part(name: str) -> str:
    if name.endswith(("Error", "Warning")):
        return "errors"
    return _PARTS.get(name, "scopes")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
