"""The compact form of a file: nested tuples, each with its kind first.

A syntax tree of Python costs about a kilobyte a line; these tuples keep what the analysis looks at
and can be marshalled. Expressions (None is anything that cannot hold an entity):

    (NAME, name, start)                      (ATTRIBUTE, value, name, start, end)
    (CALL, function, args, keywords, start, end), keywords: ((name or None, value), ...)
    (ITEM, value, index, start, end)         (CONST, value)
    (AWAIT, value)                           (YIELD, value, start)
    (TUPLE, items)                           (DICT, keys, values)
    (COMPREHENSION, element, generators)     generators: ((target, iterable, conditions), ...)
    (IF_ELSE, test, body, orelse)            (BOOL, is_and, values)
    (PARTS, expressions)                     (IS, left, right, negated)
    (NOT, value)                             (LAMBDA, params, body, start)
    (WALRUS, name, value)                    (STAR, value)

Statements:

    (ASSIGN, targets, value, start)          (ANNOTATED, target, annotation, value, start)
    (AUGMENTED, target, value)               (EXPR, value)
    (RETURN, value, start)                   (IF, test, body, orelse)
    (FOR, target, iterable, body, orelse, is_async, start)
    (WHILE, test, body, orelse)              (WITH, items, body, is_async, start)
    (TRY, body, handlers, orelse, final)     handlers: ((type, name, body), ...)
    (RAISE, parts) (BREAK,) (CONTINUE,)      (DEF, function) (CLASS, class)
    (IMPORT, names)                          names: ((alias, module, name or None, level), ...)
    (DELETE, names) (GLOBAL, names)          (MATCH, subject, cases)

A function is (name, is_async, params, returns, decorators, body, start, flags,
called), its params ((name, annotation, default), ...), its body marshalled so that most are never
read, and the names that it calls: `.` stands for the like of `db.session.get(...)`.
A class is (name, bases, keywords, decorators, body, start).

Positions are one number: the line times 65536 plus the column, both counted from 1.
"""

from __future__ import annotations

from typing import Any, Final, TypeGuard

Node = tuple[Any, ...]
Expr = tuple[Any, ...] | None
Block = tuple[Node, ...]

(
    NAME,
    ATTRIBUTE,
    CALL,
    ITEM,
    CONST,
    AWAIT,
    YIELD,
    TUPLE,
    DICT,
    COMPREHENSION,
    IF_ELSE,
    BOOL,
    PARTS,
    IS,
    NOT,
    LAMBDA,
    WALRUS,
    STAR,
) = range(18)

(
    ASSIGN,
    ANNOTATED,
    AUGMENTED,
    EXPR,
    RETURN,
    IF,
    FOR,
    WHILE,
    WITH,
    TRY,
    RAISE,
    BREAK,
    CONTINUE,
    DEF,
    CLASS,
    IMPORT,
    DELETE,
    GLOBAL,
    MATCH,
) = range(32, 51)

LINE_SHIFT: Final = 16
COLUMN_MASK: Final = 0xFFFF

TELLING: Final = frozenset(("session", "query", "awaitable_attrs"))
"""Attributes whose own attributes are those of a session, or of an entity that is waited for."""
OF_A_SESSION: Final = "."
"""What a function counts as called when it uses such an attribute: no function is called so."""

# flags of functions
HAS_YIELD: Final = 1
HAS_WITH: Final = 2


def line_of(position: int) -> int:
    """Return the line of a position."""
    return position >> LINE_SHIFT


def column_of(position: int) -> int:
    """Return the column of a position."""
    return position & COLUMN_MASK


def is_node(value: Any) -> TypeGuard[Node]:
    """Return whether a part of a node is one itself, or a list of them."""
    return isinstance(value, tuple)
