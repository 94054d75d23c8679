"""From Python's syntax tree to the compact form of `_ir`."""

from __future__ import annotations

import ast
import marshal
from typing import TYPE_CHECKING, Any

from sqla_safe.checker import _ir as ir
from sqla_safe.checker import _noted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from sqla_safe.checker._ir import Block, Expr, Node

_LONGEST_TEXT = 200
_LAST_COLUMN = 65535
_REPLACING = frozenset(("patch", "object", "setattr"))
_SILENT = frozenset(
    (None, "lazyload", "raiseload", "noload", "load_only", "defer", "with_loader_criteria")
)
"""What is no function that makes loader options: methods, and options that load nothing."""
_LOADERS = frozenset(
    (
        "selectinload",
        "joinedload",
        "subqueryload",
        "immediateload",
        "contains_eager",
        "refresh",
        "undefer",
        "snapshot",
        "asnapshot",
        "undefer_group",
        "defaultload",
    )
)
_MAKERS = frozenset(("sessionmaker", "async_sessionmaker"))
_TELLING = _LOADERS | _MAKERS | _REPLACING | {"options", "run_sync"}
_MAKERS_OF = frozenset(("sqlalchemy", "sqlmodel"))
_TASKS = frozenset(("create_task", "ensure_future", "run_coroutine_threadsafe"))
_ANY_CLASS = frozenset(("self", "cls", "model", "Model"))


def _start(node: Any) -> int:
    """Return the position where a node starts."""
    offset: int = node.col_offset
    line: int = node.lineno
    return line << 16 | (offset + 1 if offset < _LAST_COLUMN else _LAST_COLUMN)


def _end(node: Any) -> int:
    """Return the position after a node's end."""
    offset: int = node.end_col_offset
    line: int = node.end_lineno
    return line << 16 | (offset + 1 if offset < _LAST_COLUMN else _LAST_COLUMN)


def _asked(node: Any) -> Any:
    """Return `inspect(user).unloaded` for the `dict` in which code looks whether it has something.

    Both tell what is loaded: `"posts" in inspect(user).dict`, `"posts" in user.__dict__`.
    """
    if isinstance(node, ast.Attribute) and node.attr in ("dict", "__dict__"):
        return ast.copy_location(ast.Attribute(node.value, "unloaded", node.ctx), node)
    return node


class Lowering:
    """One file on its way to the compact form."""

    def __init__(self, source: bytes) -> None:
        """Take the file's bytes: columns of lines that are not ASCII must be counted anew."""
        self._wide: dict[int, bytes] = {} if source.isascii() else _wide_lines(source)
        self._is_plain = not self._wide and len(source) < _LAST_COLUMN
        self.start = self._start_in_wide if self._wide else _start
        self.end = self._end_in_wide if self._wide else _end
        self._flags = 0
        self._depth = 0
        self._globals: set[str] = set()
        self._called: set[str] = set()
        self.set_elsewhere: list[Node] = []
        self.loaded: set[str] = set()
        self.imports: dict[tuple[str, str | None, int], None] = {}
        self.nested: set[str] = set()
        self._makers: dict[str, str] = {}

    def _start_in_wide(self, node: Any) -> int:
        return self._position(node.lineno, node.col_offset)

    def _end_in_wide(self, node: Any) -> int:
        return self._position(node.end_lineno, node.end_col_offset)

    def _position(self, line: int, offset: int) -> int:
        if line in self._wide:
            text: bytes = self._wide[line][:offset]
            offset = len(text.decode(errors="replace"))
        return line << 16 | min(offset + 1, _LAST_COLUMN)

    # --- expressions ---------------------------------------------------------

    def expr(self, node: Any) -> Expr:
        """Lower one expression."""
        return _LOWER(node.__class__, _no_value)(self, node)

    def exprs(self, nodes: Iterable[Any]) -> tuple[Expr, ...]:
        """Lower several expressions."""
        return tuple([_LOWER(node.__class__, _no_value)(self, node) for node in nodes])

    def _parts(self, nodes: Iterable[Any]) -> Expr:
        lowered = [_LOWER(node.__class__, _no_value)(self, node) for node in nodes]
        found = tuple([part for part in lowered if part is not None])
        return (ir.PARTS, found) if found else None

    def on_name(self, node: Any) -> Expr:
        if self._is_plain:  # half of all expressions
            return (ir.NAME, node.id, node.lineno << 16 | node.col_offset + 1)
        return (ir.NAME, node.id, self.start(node))

    def on_attribute(self, node: Any) -> Expr:
        inner, name = node.value, node.attr
        value = _LOWER(inner.__class__, _no_value)(self, inner)
        if value is not None and value[0] == ir.ATTRIBUTE and value[2] in ir.TELLING:
            self._called.add(ir.OF_A_SESSION)
            if value[2] == "awaitable_attrs":
                self.loaded.add(f"*.{name}")
        if self._is_plain:
            start = node.lineno << 16 | node.col_offset + 1
            end = node.end_lineno << 16 | node.end_col_offset + 1
            return (ir.ATTRIBUTE, value, name, start, end)
        return (ir.ATTRIBUTE, value, name, self.start(node), self.end(node))

    def on_call(self, node: Any) -> Expr:
        target = node.func
        function = _LOWER(target.__class__, _no_value)(self, target)
        name = _name_called(function)
        self._called.add(name)
        if name in _TELLING or name in self._makers:
            self._note(node, name)
        args, words = node.args, node.keywords
        call = (
            ir.CALL,
            function,
            self.exprs(args) if args else (),
            tuple([(word.arg, self.expr(word.value)) for word in words]) if words else (),
            self.start(node),
            self.end(node),
        )
        if name == "commit":
            self.loaded.update(_noted.commit(call, is_awaited=False))
        return call

    def _note(self, node: Any, name: str) -> None:
        """Note what a call says of the whole code base."""
        if name in _LOADERS:
            self._note_loaded(node)
        elif name in _MAKERS or name in self._makers:
            self._note_maker(node, self._makers.get(name, name))
        elif name in _REPLACING:
            self._note_replaced(node, name)
        elif name == "options":
            self._note_helpers(node.args)
        elif name == "run_sync" and node.args:
            self.loaded.add(f"!run:{_name_of(node.args[0])}")

    def _note_maker(self, node: Any, name: str) -> None:
        is_bare = not node.args and not node.keywords
        known = getattr(node.func, "id", name) in self._makers
        if not name or (is_bare and not known):  # called like SQLAlchemy's, but the project's own
            return
        self.loaded.add(_noted.maker(node, name))

    def _note_loaded(self, node: Any) -> None:
        parts = list(ast.walk(node))
        owners = {id(part.value) for part in parts if isinstance(part, ast.Attribute)}
        for part in parts:
            if isinstance(part, ast.Attribute):
                owner = getattr(part.value, "id", "*")
                if owner in _ANY_CLASS and id(part) in owners:  # the `self.model` of its author
                    continue
                self.loaded.add(f"{owner}.{part.attr}")
                self.loaded.add(f"*.{part.attr}") if owner in _ANY_CLASS else None
            elif isinstance(part, ast.Constant) and isinstance(part.value, str):
                self.loaded.add("*." + part.value)

    def _note_replaced(self, node: Any, name: str) -> None:
        """Note what a test puts something else in the place of: `patch("app.users.load")`."""
        texts = [part.value for part in node.args[:2] if isinstance(part, ast.Constant)]
        text = texts[0] if texts and isinstance(texts[0], str) else ""
        of_object = name != "patch" and isinstance(node.func, ast.Attribute)
        replaced = text.rpartition(".")[2]
        if ("." in text or of_object) and replaced.isidentifier():
            self.loaded.add(f"!mock:{replaced}")

    def _note_helpers(self, options: list[Any]) -> None:
        """Take what is given to `.options(*for_users(Order.user))` for loaded with its entity."""
        for option in options:
            helper = option.value if isinstance(option, ast.Starred) else option
            if isinstance(helper, ast.Call) and getattr(helper.func, "id", None) not in _SILENT:
                self._note_loaded(helper)

    def on_item(self, node: Any) -> Expr:
        return (
            ir.ITEM,
            self.expr(node.value),
            self.expr(node.slice),
            self.start(node),
            self.end(node),
        )

    def on_const(self, node: Any) -> Expr:
        value = node.value
        if isinstance(value, str):
            return (ir.CONST, value) if len(value) <= _LONGEST_TEXT else None
        is_plain = value is None or isinstance(value, bool)
        return (ir.CONST, value) if is_plain or type(value) is int else None

    def on_await(self, node: Any) -> Expr:
        inner = self.expr(node.value)
        self.loaded.update(_noted.commit(inner, is_awaited=True))
        return (ir.AWAIT, inner)

    def on_yield(self, node: Any) -> Expr:
        self._flags |= ir.HAS_YIELD
        return (ir.YIELD, self.expr(node.value), self.start(node))

    def on_tuple(self, node: Any) -> Expr:
        return (ir.TUPLE, self.exprs(node.elts))

    def on_dict(self, node: Any) -> Expr:
        return (ir.DICT, self.exprs(node.keys), self.exprs(node.values))

    def on_comprehension(self, node: Any) -> Expr:
        return (ir.COMPREHENSION, self.expr(node.elt), self._generators(node))

    def on_dict_comprehension(self, node: Any) -> Expr:
        element = (ir.DICT, (self.expr(node.key),), (self.expr(node.value),))
        return (ir.COMPREHENSION, element, self._generators(node))

    def _generators(self, node: Any) -> tuple[Node, ...]:
        return tuple(
            [
                (self.expr(each.target), self.expr(each.iter), self.exprs(each.ifs))
                for each in node.generators
            ]
        )

    def on_if_else(self, node: Any) -> Expr:
        return (ir.IF_ELSE, self.expr(node.test), self.expr(node.body), self.expr(node.orelse))

    def on_bool(self, node: Any) -> Expr:
        return (ir.BOOL, isinstance(node.op, ast.And), self.exprs(node.values))

    def on_compare(self, node: Any) -> Expr:
        if len(node.ops) == 1 and isinstance(node.ops[0], (ast.Is, ast.IsNot)):
            negated = isinstance(node.ops[0], ast.IsNot)
            return (ir.IS, self.expr(node.left), self.expr(node.comparators[0]), negated)
        if isinstance(node.ops[0], (ast.In, ast.NotIn)):
            return self._parts((node.left, *map(_asked, node.comparators)))
        return self._parts((node.left, *node.comparators))

    def on_binary(self, node: Any) -> Expr:
        # a chain of a thousand `+` is as deep as it is long
        parts: list[Any] = []
        while isinstance(node, ast.BinOp):
            parts.append(node.right)
            node = node.left
        return self._parts((node, *reversed(parts)))

    def on_unary(self, node: Any) -> Expr:
        value = self.expr(node.operand)
        if value is None:
            return None
        return (ir.NOT, value) if isinstance(node.op, ast.Not) else (ir.PARTS, (value,))

    def on_joined(self, node: Any) -> Expr:
        return self._parts(node.values)

    def on_formatted(self, node: Any) -> Expr:
        return self._parts((node.value, node.format_spec) if node.format_spec else (node.value,))

    def on_slice(self, node: Any) -> Expr:
        return (ir.PARTS, self.exprs(part for part in (node.lower, node.upper, node.step) if part))

    def on_lambda(self, node: Any) -> Expr:
        return (ir.LAMBDA, self._params(node.args), self.expr(node.body), self.start(node))

    def on_walrus(self, node: Any) -> Expr:
        return (ir.WALRUS, node.target.id, self.expr(node.value))

    def on_star(self, node: Any) -> Expr:
        return (ir.STAR, self.expr(node.value))

    # --- statements ----------------------------------------------------------

    def block(self, nodes: Sequence[ast.stmt]) -> Block:
        """Lower a list of statements."""
        lowered: list[Node] = []
        for node in nodes:
            lower = _STATEMENTS.get(type(node))
            if lower is not None:
                found = lower(self, node)
                if found is not None:
                    lowered.append(found)
        return tuple(lowered)

    def on_assign(self, node: Any) -> Node:
        lowered = (ir.ASSIGN, self.exprs(node.targets), self.expr(node.value), self.start(node))
        if self._globals and any(getattr(to, "id", None) in self._globals for to in node.targets):
            self.set_elsewhere.append(lowered)
        return lowered

    def on_annotated(self, node: Any) -> Node:
        target, note = self.expr(node.target), self.annotation(node.annotation)
        return (ir.ANNOTATED, target, note, self.expr(node.value), self.start(node))

    def annotation(self, node: Any) -> Expr:
        """Lower an annotation; one that is quoted is parsed."""
        if node is None:
            return None
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            try:
                parsed = ast.parse(node.value.strip(), mode="eval").body
            except (SyntaxError, ValueError):
                return None
            for part in ast.walk(parsed):
                if isinstance(part, ast.expr):
                    ast.copy_location(part, node)
            return self.expr(parsed)
        return self.expr(node)

    def on_augmented(self, node: Any) -> Node:
        return (ir.AUGMENTED, self.expr(node.target), self.expr(node.value))

    def on_expression(self, node: Any) -> Node | None:
        if isinstance(node.value, ast.Call) and node.value.args:
            self._note_task(node.value)
        value = self.expr(node.value)
        is_text = value is None or value[0] == ir.CONST
        return None if is_text else (ir.EXPR, value)

    def _note_task(self, call: Any) -> None:
        name = _name_of(call.func)
        first = call.args[0]
        if name in _TASKS and isinstance(first, ast.Call):
            self.loaded.add(f"!task:{_name_of(first.func)}")

    def on_return(self, node: Any) -> Node:
        return (ir.RETURN, self.expr(node.value), self.start(node))

    def on_if(self, node: Any) -> Node:
        return (ir.IF, self.expr(node.test), self.block(node.body), self.block(node.orelse))

    def on_for(self, node: Any) -> Node:
        return (
            ir.FOR,
            self.expr(node.target),
            self.expr(node.iter),
            self.block(node.body),
            self.block(node.orelse),
            isinstance(node, ast.AsyncFor),
            self.start(node),
        )

    def on_while(self, node: Any) -> Node:
        return (ir.WHILE, self.expr(node.test), self.block(node.body), self.block(node.orelse))

    def on_with(self, node: Any) -> Node:
        self._flags |= ir.HAS_WITH
        items = tuple(
            [(self.expr(item.context_expr), self.expr(item.optional_vars)) for item in node.items]
        )
        is_async = isinstance(node, ast.AsyncWith)
        return (ir.WITH, items, self.block(node.body), is_async, self.start(node))

    def on_try(self, node: Any) -> Node:
        handlers = tuple(
            [
                (self.expr(handler.type), handler.name, self.block(handler.body))
                for handler in node.handlers
            ]
        )
        return (
            ir.TRY,
            self.block(node.body),
            handlers,
            self.block(node.orelse),
            self.block(node.finalbody),
        )

    def on_raise(self, node: Any) -> Node:
        return (ir.RAISE, self._parts(part for part in (node.exc, node.cause) if part))

    def on_assert(self, node: Any) -> Node | None:
        value = self._parts(part for part in (node.test, node.msg) if part)
        return None if value is None else (ir.EXPR, value)

    def on_break(self, _node: Any) -> Node:
        return (ir.BREAK,)

    def on_continue(self, _node: Any) -> Node:
        return (ir.CONTINUE,)

    def on_def(self, node: Any) -> Node:
        return (ir.DEF, self.function(node))

    def on_class(self, node: Any) -> Node:
        return (ir.CLASS, self.class_(node))

    def on_import(self, node: Any) -> Node:
        names = [
            (name.asname or name.name.partition(".")[0], name.name, None, 0 if name.asname else -1)
            for name in node.names
        ]
        self._note_imports(names)
        return (ir.IMPORT, tuple(names))

    def on_import_from(self, node: Any) -> Node:
        module = node.module or ""
        names = [(name.asname or name.name, module, name.name, node.level) for name in node.names]
        self._note_imports(names)
        return (ir.IMPORT, tuple(names))

    def _note_imports(self, names: Iterable[tuple[str, str, str | None, int]]) -> None:
        for alias, module, name, level in names:
            self.imports[(module, name, level)] = None
            if name in _MAKERS or alias in _MAKERS:
                is_real = name is not None and module.partition(".")[0] in _MAKERS_OF
                self._makers[alias] = name if is_real and name is not None else ""

    def on_delete(self, node: Any) -> Node:
        names = tuple([name.id for name in node.targets if isinstance(name, ast.Name)])
        return (ir.DELETE, names)

    def on_global(self, node: Any) -> Node:
        self._globals.update(node.names)
        return (ir.GLOBAL, tuple(node.names))

    def on_match(self, node: Any) -> Node:
        cases = tuple(
            [
                (_captured(case.pattern), self.expr(case.guard), self.block(case.body))
                for case in node.cases
            ]
        )
        return (ir.MATCH, self.expr(node.subject), cases)

    # --- definitions ---------------------------------------------------------

    def function(self, node: Any) -> Node:
        """Lower a function; its body stays marshalled until somebody reads it."""
        outer, self._flags, self._globals = self._flags, 0, set()
        called, self._called = self._called, set()
        if self._depth:
            self.nested.add(node.name)
        self._depth += 1
        body: Any = self.block(node.body)
        self._depth -= 1
        flags, self._flags = self._flags, outer
        return (
            node.name,
            isinstance(node, ast.AsyncFunctionDef),
            self._params(node.args),
            self.annotation(node.returns),
            self.exprs(node.decorator_list),
            body if self._depth else marshal.dumps(body),
            self.start(node),
            flags,
            self._names_called(called),
        )

    def _names_called(self, outer: set[str]) -> tuple[str, ...]:
        called, self._called = self._called, outer
        if self._depth:
            outer |= called
        return tuple(sorted(called))

    def _params(self, node: ast.arguments) -> tuple[Node, ...]:
        positional = node.posonlyargs + node.args
        missing: list[Any] = [None] * (len(positional) - len(node.defaults))
        pairs = list(zip(positional, missing + node.defaults, strict=True))
        pairs += zip(node.kwonlyargs, node.kw_defaults, strict=True)
        pairs += [(rest, None) for rest in (node.vararg, node.kwarg) if rest is not None]
        return tuple(
            [(arg.arg, self.annotation(arg.annotation), self.expr(value)) for arg, value in pairs]
        )

    def class_(self, node: ast.ClassDef) -> Node:
        """Lower a class."""
        keywords = tuple([(word.arg, self.expr(word.value)) for word in node.keywords])
        return (
            node.name,
            self.exprs(node.bases),
            keywords,
            self.exprs(node.decorator_list),
            self.block(node.body),
            self.start(node),
        )


def _name_of(node: Any) -> str:
    """Return the last part of a name, as far as it is one."""
    return str(getattr(node, "attr", None) or getattr(node, "id", ""))


def _name_called(function: Expr) -> str:
    """Return the last part of the name of what is called."""
    if function is None:
        return ""
    kind = function[0]
    return str(function[2] if kind == ir.ATTRIBUTE else function[1] if kind == ir.NAME else "")


def _no_value(_lowering: Lowering, _node: Any) -> Expr:
    """Lower what cannot hold an entity."""
    return None


def _wide_lines(source: bytes) -> dict[int, bytes]:
    lines = source.splitlines() if b"\r" in source else source.split(b"\n")
    return {at: line for at, line in enumerate(lines, 1) if not line.isascii()}


def _captured(pattern: ast.pattern) -> tuple[str, ...]:
    names: list[str] = []
    for part in ast.walk(pattern):
        name = getattr(part, "name", None) or getattr(part, "rest", None)
        if isinstance(name, str):
            names.append(name)
    return tuple(names)


def lower_module(source: bytes, tree: ast.Module) -> bytes:
    """Return the compact form of a file, marshalled."""
    lowering = Lowering(source)
    block = lowering.block(tree.body)
    everything = block + tuple(lowering.set_elsewhere)
    loaded, nested = tuple(sorted(lowering.loaded)), tuple(sorted(lowering.nested))
    return marshal.dumps((everything, loaded, tuple(lowering.imports), nested))


_EXPRESSIONS: dict[type, Callable[[Lowering, Any], Expr]] = {
    ast.Name: Lowering.on_name,
    ast.Attribute: Lowering.on_attribute,
    ast.Call: Lowering.on_call,
    ast.Subscript: Lowering.on_item,
    ast.Constant: Lowering.on_const,
    ast.Await: Lowering.on_await,
    ast.Yield: Lowering.on_yield,
    ast.YieldFrom: Lowering.on_yield,
    ast.Tuple: Lowering.on_tuple,
    ast.List: Lowering.on_tuple,
    ast.Set: Lowering.on_tuple,
    ast.Dict: Lowering.on_dict,
    ast.ListComp: Lowering.on_comprehension,
    ast.SetComp: Lowering.on_comprehension,
    ast.GeneratorExp: Lowering.on_comprehension,
    ast.DictComp: Lowering.on_dict_comprehension,
    ast.IfExp: Lowering.on_if_else,
    ast.BoolOp: Lowering.on_bool,
    ast.Compare: Lowering.on_compare,
    ast.BinOp: Lowering.on_binary,
    ast.UnaryOp: Lowering.on_unary,
    ast.JoinedStr: Lowering.on_joined,
    ast.FormattedValue: Lowering.on_formatted,
    ast.Slice: Lowering.on_slice,
    ast.Lambda: Lowering.on_lambda,
    ast.NamedExpr: Lowering.on_walrus,
    ast.Starred: Lowering.on_star,
}
_LOWER = _EXPRESSIONS.get
_STATEMENTS: dict[type, Callable[[Lowering, Any], Node | None]] = {
    ast.Assign: Lowering.on_assign,
    ast.AnnAssign: Lowering.on_annotated,
    ast.AugAssign: Lowering.on_augmented,
    ast.Expr: Lowering.on_expression,
    ast.Return: Lowering.on_return,
    ast.If: Lowering.on_if,
    ast.For: Lowering.on_for,
    ast.AsyncFor: Lowering.on_for,
    ast.While: Lowering.on_while,
    ast.With: Lowering.on_with,
    ast.AsyncWith: Lowering.on_with,
    ast.Try: Lowering.on_try,
    ast.TryStar: Lowering.on_try,
    ast.Raise: Lowering.on_raise,
    ast.Assert: Lowering.on_assert,
    ast.Break: Lowering.on_break,
    ast.Continue: Lowering.on_continue,
    ast.FunctionDef: Lowering.on_def,
    ast.AsyncFunctionDef: Lowering.on_def,
    ast.ClassDef: Lowering.on_class,
    ast.Import: Lowering.on_import,
    ast.ImportFrom: Lowering.on_import_from,
    ast.Delete: Lowering.on_delete,
    ast.Global: Lowering.on_global,
    ast.Nonlocal: Lowering.on_global,
    ast.Match: Lowering.on_match,
}
