"""The generated code: a loop over the rows of one statement that makes the objects of its level."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Enum

from sqla_safe._mapping import key_names
from sqla_safe.errors import ViewDataError
from sqla_safe.views._shapes import Choice, Constant, Guarded, Held, Made, Missing, Value
from sqla_safe.views._source import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqla_safe.views._shapes import Composite, Level, Shape

_EMPTY = {
    "none": "None",
    "list": "[]",
    "tuple": "()",
    "set": "set()",
    "frozenset": "frozenset()",
    "dict": "{}",
}
_GROUPS = {"list": "[]", "tuple": "[]", "set": "set()", "frozenset": "set()", "dict": "{}"}
_FINAL = {"tuple": tuple, "frozenset": frozenset}


class Members(dict[Any, Any]):
    """The few values of an enumeration, converted once each."""

    def __init__(self, convert: Callable[[Any], Any]) -> None:
        super().__init__()
        self._convert = convert

    def __missing__(self, raw: Any) -> Any:
        value = self[raw] = self._convert(raw)
        return value


def converters(level: Level, dialect: Any, description: Sequence[Any]) -> list[Any]:
    """Return what turns each column's raw value into the one that the ORM gives, None for as is."""
    expressions = [column.sample for column in level.columns]
    expressions += list(level.link.keys) if level.link is not None else []
    return [
        _converter(_selected_type(expression, dialect), dialect, described[1])
        # Behind them may be what a DISTINCT is sorted by, which nothing is made of.
        for expression, described in zip(expressions, description, strict=False)
    ]


def _selected_type(expression: Any, dialect: Any) -> Any:
    """Return the type of what stands in a SELECT for an expression."""
    selected = expression.type.dialect_impl(dialect).column_expression(expression)
    return expression.type if selected is None else selected.type


def _converter(kind: Any, dialect: Any, type_code: Any) -> Any:
    convert = kind.dialect_impl(dialect).result_processor(dialect, type_code)
    if convert is not None and isinstance(kind, Enum):
        return Members(convert)
    return convert


def builder(level: Level, converts: Sequence[Any] | None = None) -> Callable[..., Any]:
    """Return ``build(rows, kids, memos)``: a list for the root, else what belongs to each key."""
    return _Builder(level, converts).function()


def _raiser(missing: Missing) -> Callable[[], None]:
    def missed() -> None:
        raise ViewDataError(where=missing.where, problem=missing.problem, instead=missing.instead)

    return missed


def _missing(shape: Made | Choice) -> Missing | None:
    return Missing(shape.where) if shape.absence == "error" else None


def _no_key(shape: Made) -> str:
    return "None" if len(shape.key) == 1 else f"({', '.join(['None'] * len(shape.key))})"


def _no_entity(shape: Made, level: Level) -> Missing:
    entity, [key, *_] = level.mapper.class_.__name__, key_names(level.mapper)
    problem = f"met a row that has no {entity}, as an outer join gives them"
    instead = f"an inner join, or .where({entity}.{key}.is_not(None)) in the statement"
    return Missing(shape.where, problem, instead)


def _unknown(where: str) -> None:
    raise ViewDataError(
        where=where,
        problem="met a row of a subclass that none of its classes is for",
        instead="add a class for it to the union",
    )


class _Builder:
    def __init__(self, level: Level, converts: Sequence[Any] | None) -> None:
        self.level = level
        width = len(level.columns) + (len(level.link.keys) if level.link is not None else 0)
        self.converts = list(converts) if converts is not None else [None] * width
        self.source = Source()
        self.variables = 0
        self.memos: set[int] = set()

    def function(self) -> Callable[..., Any]:
        source, level = self.source, self.level
        with source.block("def build(rows, kids, memos):"):
            start = len(source.lines)
            self._open()
            names = ", ".join(f"c{place}" for place in range(len(self.converts)))
            with source.block(f"for {names}, in rows:"):
                self._row()
            self._finish()
            self._prepare(start)
        function: Callable[..., Any] = source.function("build", level.title)
        return function

    def _open(self) -> None:
        source, kind = self.source, self.level.kind
        source.add("out = []" if kind == "root" else "groups = {}")
        if kind == "root":
            source.add("append = out.append")
        elif kind != "one":
            source.add("find = groups.get")
            source.add("last = groups")
        if self.level.identity:
            source.add("met = set()")
            source.add("meet = met.add")
        if self._is_sorted():
            source.add("group = []")
            source.add(f"add = group.{self._add()}")

    def _is_sorted(self) -> bool:
        """Whether the rows of a key come together: one list at a time will do for all tuples."""
        level = self.level
        return level.kind == "tuple" and level.link is not None and bool(level.link.order_by)

    def _prepare(self, place: int) -> None:
        """What the loop needs by name, known only when it is written."""
        lines = [
            f"    get{number} = kids[{number}].get" for number in range(len(self.level.children))
        ]
        for number in sorted(self.memos):
            lines += [f"    m{number} = memos[{number}]", f"    find{number} = m{number}.get"]
        self.source.lines[place:place] = lines

    def _row(self) -> None:
        kind = self.level.kind
        if kind == "root":
            self._require_row()
            value = self._write(self.level.shape)
            self._skip_hidden(value)
            self.source.add(f"append({value})")
        elif kind == "one":
            key = self._key(self.level.key_columns)
            self.source.add(f"key = {key}")
            with self.source.block("if key not in groups:"):
                self.source.add(f"groups[key] = {self._write(self.level.shape)}")
        else:
            self._grouped(kind)

    def _grouped(self, kind: str) -> None:
        source = self.source
        self._skip_repeated()
        value = self._write(self.level.shape)
        self._skip_hidden(value)
        raw, key = self._raw(self.level.key_columns), self._key(self.level.key_columns)
        with source.block(f"if {raw} != last:"):
            if self._is_sorted():
                self._store()
            source.add(f"last = {raw}")
            source.add(f"key = {key}")
            if not self._is_sorted():
                self._find(kind)
        if kind == "dict":
            place = self.level.key_by
            assert place is not None
            source.add(f"group[{self._value(place)}] = {value}")
        else:
            source.add(f"add({value})")

    def _skip_repeated(self) -> None:
        level = self.level
        if level.identity:
            pair = self._raw([*level.key_columns, *level.identity])
            with self.source.block(f"if {pair} in met:"):
                self.source.add("continue")
            self.source.add(f"meet({pair})")

    def _find(self, kind: str) -> None:
        self.source.add("group = find(key)")
        with self.source.block("if group is None:"):
            self.source.add(f"group = groups[key] = {_GROUPS[kind]}")
        if kind != "dict":
            self.source.add(f"add = group.{self._add()}")

    def _add(self) -> str:
        """The method by which a row's value, or its values, come into a collection."""
        if self.level.kind in ("list", "tuple"):
            return "extend" if self.level.is_flat else "append"
        return "update" if self.level.is_flat else "add"

    def _store(self) -> None:
        """A key can come again: a database may sort by less than makes two of them different."""
        with self.source.block("if group:"):
            self.source.add("found = find(key)")
            self.source.add("groups[key] = tuple(group) if found is None else (*found, *group)")
            self.source.add("group.clear()")

    def _skip_hidden(self, value: str) -> None:
        """A subclass may have criteria of its own, which its base knows nothing of."""
        if isinstance(self.level.shape, Choice):
            with self.source.block(f"if {value} is None:"):
                self.source.add("continue")

    def _finish(self) -> None:
        source, kind = self.source, self.level.kind
        if self._is_sorted():
            self._store()
        elif kind == "root":
            self._require_rows()
        elif kind in _FINAL:
            with source.block("for key, group in groups.items():"):
                source.add(f"groups[key] = {kind}(group)")
        source.add("return out" if kind == "root" else "return groups")

    def _require_row(self) -> None:
        """An outer join of the user's own gives rows that have no entity: their keys are NULL."""
        shape = self.level.shape
        if isinstance(shape, Made) and shape.memo is None:
            self._refuse(shape, f"{self._raw(shape.key)} == {_no_key(shape)}")

    def _require_rows(self) -> None:
        """The same where the objects are kept by key: it takes one look at the end."""
        shape = self.level.shape
        if isinstance(shape, Made) and shape.memo is not None:
            self._refuse(shape, f"{_no_key(shape)} in m{shape.memo.number}")

    def _refuse(self, shape: Made, when: str) -> None:
        with self.source.block(f"if {when}:"):
            self.source.add(f"{self._missed(_no_entity(shape, self.level))}()")

    # --- values --------------------------------------------------------------

    def _value(self, column: int) -> str:
        convert = self.converts[column]
        if convert is None:
            return f"c{column}"
        name = self.source.name("p", convert)
        return f"{name}[c{column}]" if isinstance(convert, Members) else f"{name}(c{column})"

    def _key(self, columns: Sequence[int]) -> str:
        values = [self._value(column) for column in columns]
        return values[0] if len(values) == 1 else f"({', '.join(values)})"

    def _raw(self, columns: Sequence[int]) -> str:
        values = [f"c{column}" for column in columns]
        return values[0] if len(values) == 1 else f"({', '.join(values)})"

    def _variable(self) -> str:
        self.variables += 1
        return f"o{self.variables}"

    def _write(self, shape: Shape) -> str:
        if isinstance(shape, Held):
            return self._held(shape)
        if isinstance(shape, Choice):
            return self._choice(shape)
        if isinstance(shape, Made):
            return self._made(shape)
        return self._expression(shape)

    def _expression(self, shape: Value | Composite | Guarded | Constant) -> str:
        if isinstance(shape, Value):
            return self._value(shape.column)
        if isinstance(shape, Guarded):
            absent = "None" if shape.missing is None else f"{self._missed(shape.missing)}()"
            return f"({absent} if c{shape.key} is None else {self._expression(shape.shape)})"
        if isinstance(shape, Constant):
            return _EMPTY[shape.kind]
        values = ", ".join(self._value(column) for column in shape.columns)
        return f"{self.source.name('composite', shape.build)}({values})"

    # --- objects -------------------------------------------------------------

    def _made(self, shape: Made) -> str:
        variable = self._variable()
        if shape.absence == "never":
            self._met(shape, variable)
            return variable
        with self.source.block(f"if c{shape.key[0]} is None:"):
            self._absent(_missing(shape), variable)
        with self.source.block("else:"):
            self._met(shape, variable)
        return variable

    def _absent(self, missing: Missing | None, variable: str) -> None:
        if missing is not None:
            self.source.add(f"{self._missed(missing)}()")
        self.source.add(f"{variable} = None")

    def _missed(self, missing: Missing) -> str:
        return self.source.name("missed", _raiser(missing))

    def _met(self, shape: Made, variable: str) -> None:
        memo = shape.memo
        if memo is None or not memo.is_needed:
            self._construct(shape, variable)
            return
        self.memos.add(memo.number)
        key = self._key(shape.key) if memo.is_shared else self._raw(shape.key)
        self.source.add(f"{variable} = find{memo.number}({key})")
        with self.source.block(f"if {variable} is None:"):
            self._construct(shape, variable)
            self.source.add(f"m{memo.number}[{key}] = {variable}")

    def _construct(self, shape: Made, variable: str) -> None:
        values = {name: self._write(one) for name, one in shape.fields.items()}
        shape.target.construct(self.source, variable, values)

    def _held(self, shape: Held) -> str:
        get, key = f"get{shape.level}", self._key(shape.columns)
        if shape.kind == "one":
            variable = self._variable()
            self.source.add(f"{variable} = {get}({key})")
            if shape.missing is not None:
                with self.source.block(f"if {variable} is None:"):
                    self._absent(shape.missing, variable)
            elif shape.absent != "none":
                with self.source.block(f"if {variable} is None:"):
                    self.source.add(f"{variable} = {_EMPTY[shape.absent]}")
            return variable
        if shape.kind in _FINAL:
            return f"{get}({key}, {_EMPTY[shape.kind]})"
        if shape.is_own and not self._makes_twice():
            return f"{get}({key}) or {_EMPTY[shape.kind]}"
        return f"{shape.kind}({get}({key}, ()))"

    def _makes_twice(self) -> bool:
        """Whether two objects of this statement can have the same key."""
        shape = self.level.shape
        return self.level.kind == "root" and isinstance(shape, Made) and shape.memo is None

    def _choice(self, shape: Choice) -> str:
        variable = self._variable()
        if shape.key is None:
            self._choose(shape, variable)
            return variable
        missing = _missing(shape)
        with self.source.block(f"if c{shape.key} is None:"):
            self._absent(missing, variable)
        with self.source.block("else:"):
            self._choose(shape, variable)
            if missing is not None:
                with self.source.block(f"if {variable} is None:"):
                    self._absent(missing, variable)
        return variable

    def _choose(self, shape: Choice, variable: str) -> None:
        source = self.source
        source.add(f"kind = {self._value(shape.column)}")
        word = "if"
        for branch in {id(one): one for one in shape.branches.values()}.values():
            mine = {value for value, one in shape.branches.items() if one is branch}
            with source.block(f"{word} kind in {source.name('kinds', mine)}:"):
                source.add(f"{variable} = {self._write(branch)}")
            word = "elif"
        unknown = source.name("unknown", _unknown)
        with source.block("else:"):
            source.add(f"{unknown}({shape.where!r})")
