"""What a view's annotations can say beyond a name: `Path` and `Expr`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import QueryableAttribute


class Path:
    """Where a field's value comes from, when it is not the attribute of the field's own name.

    ``Annotated[str, Path(User.name)]`` renames,
    ``Annotated[str, Path(User.profile, Profile.city)]`` reaches through relationships, and
    ``Path(Node.children, depth=3)`` lets a view hold itself.

    Args:
        attributes: ORM attributes, each of the class that the one before it leads to.
        depth: how many levels of a view that holds itself are loaded. At the last one the field
            is None where its type allows None, else empty.

    Example:
        >>> @dataclass(frozen=True)
        ... class Shown:
        ...     id: int
        ...     owner: Annotated[str, Path(Avatar.user, User.name)]
    """

    __slots__ = ("attributes", "depth")

    def __init__(self, *attributes: QueryableAttribute[Any], depth: int | None = None) -> None:
        self.attributes: tuple[QueryableAttribute[Any], ...] = attributes
        self.depth: int | None = depth

    def __repr__(self) -> str:
        steps = ", ".join(map(str, self.attributes))
        return f"Path({steps})" if self.depth is None else f"Path({steps}, depth={self.depth})"


class Expr:
    """A field's value as SQL: a function that is given the entity and returns an expression.

    Args:
        build: called with the mapped class, or with its alias where the statement selects one.

    Example:
        >>> def avatars_of(user: type[User]) -> ColumnElement[int]:
        ...     count = select(func.count()).where(Avatar.user_id == user.id)
        ...     return count.scalar_subquery()
        >>> @dataclass(frozen=True)
        ... class Shown:
        ...     id: int
        ...     avatars: Annotated[int, Expr(avatars_of)]
    """

    __slots__ = ("build",)

    def __init__(self, build: Callable[[Any], Any]) -> None:
        self.build: Callable[[Any], Any] = build

    def __repr__(self) -> str:
        return f"Expr({getattr(self.build, '__qualname__', self.build)})"
