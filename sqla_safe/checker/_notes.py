"""What annotations, aliases of types and attributes of classes mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqla_safe.checker import _ir as ir
from sqla_safe.checker._index import (
    Class,
    Function,
    Index,
    Module,
    Written,
    flat,
    is_elsewhere,
    is_import,
    last_name,
)
from sqla_safe.checker._values import ClassRef, Const, External, FunctionRef, Ref, State, Value

if TYPE_CHECKING:
    from sqla_safe.checker._ir import Expr
    from sqla_safe.checker._models import Models
    from sqla_safe.checker._names import Names


class Notes:
    """Reads what is written beside names."""

    def __init__(self, index: Index, names: Names, models: Models) -> None:
        """Take what names mean."""
        self._index, self._names, self._models = index, names, models
        self._seen: dict[tuple[str, str], Class | None] = {}

    def singleton(self, module: Module, name: str) -> Class | None:
        """Return the class of an object that a module makes once: `users = UserService()`."""
        binding = module.names.get(name)
        if is_import(binding):
            found = self._index.imported(module, binding)
            return (
                self.singleton(*found) if is_elsewhere(found) and found[0] is not module else None
            )
        if not isinstance(binding, Written):
            return None
        for expr in binding.values:
            if expr is not None and expr[0] == ir.CALL:
                target = self._names.value(module, expr[1])
                if isinstance(target, ClassRef) and isinstance(target.of, Class):
                    return None if self._models.is_model(target.of) else target.of
        return None

    def made_with(self, module: Module, name: str) -> tuple[tuple[str, Value], ...]:
        """Return the attributes of such an object that are classes: `users = Crud(User)`."""
        binding = module.names.get(name)
        if is_import(binding):
            found = self._index.imported(module, binding)
            return self.made_with(*found) if is_elsewhere(found) and found[0] is not module else ()
        for expr in binding.values if isinstance(binding, Written) else ():
            if expr is not None and expr[0] == ir.CALL:
                target = self._names.value(module, expr[1])
                if isinstance(target, ClassRef) and isinstance(target.of, Class):
                    return self._classes_kept(target.of, module, expr)
        return ()

    def _classes_kept(
        self, cls: Class, module: Module, call: ir.Node
    ) -> tuple[tuple[str, Value], ...]:
        """Return the attributes that a constructor sets to the classes it is given."""
        init = self._names.method(cls, "__init__")
        if init is None:
            return ()
        params = [name for name, _, _ in init.params[1:]]
        given = {**dict(zip(params, call[2], strict=False)), **dict(call[3])}
        classes = {name: self._names.value(module, part) for name, part in given.items()}
        return tuple(
            (target[2], classes[node[2][1]])
            for node in flat(init.body)
            for target in (node[1] if node[0] == ir.ASSIGN else ())
            if target is not None
            and target[0] == ir.ATTRIBUTE
            and node[2] is not None
            and node[2][0] == ir.NAME
            and isinstance(classes.get(node[2][1]), ClassRef)
        )

    def alias(self, module: Module, name: str) -> tuple[Module, Expr] | None:
        """Return what an alias of a type stands for: `SessionDep = Annotated[...]`."""
        binding = module.names.get(name)
        for _ in range(5):
            if isinstance(binding, Written):
                value = binding.values[-1] if binding.values else None
                return (module, value) if value is not None and value[0] == ir.ITEM else None
            if not is_import(binding):
                return None
            found = self._index.imported(module, binding)
            if not is_elsewhere(found):
                return None
            module, binding = found[0], found[0].names.get(found[1])
        return None

    def class_named(self, module: Module, note: Expr) -> Class | str | None:
        """Return the class that an annotation names."""
        value = self._names.value(module, note)
        if isinstance(value, ClassRef):
            return value.of
        if note is not None and note[0] == ir.NAME and note[1] not in module.names:
            key = (module.path, note[1])
            if key not in self._seen:
                self._seen[key] = self._in_sight(module, note[1])
            if (found := self._seen[key]) is not None:
                return found
        return value.name if isinstance(value, External) else None

    def _in_sight(self, module: Module, name: str) -> Class | None:
        """Return the model that a file means by a name it binds in its functions, or nowhere."""
        found = [each for each in self._models.called(name) if self._models.is_model(each)]
        if len(found) != 1:
            return None
        targets = [self._index.imported(module, each) for each in module.imports]
        modules = [each[0] if is_elsewhere(each) else each for each in targets]
        home = found[0].module
        is_near = any(
            isinstance(each, Module) and (each is home or _is_below(home, each)) for each in modules
        )
        return found[0] if is_near else None

    def class_value(self, cls: Class, name: str) -> Value:
        """Return what the body of a class assigns to a name."""
        found = self._names.class_attribute(cls, name)
        if found is None:
            return None
        owner, written = found
        value = written.values[-1] if written.values else None
        if value is not None and value[0] == ir.CONST:
            return Const(value[1])
        return self._names.value(owner.module, value)

    def return_note(self, function: Function, ref: FunctionRef, state: State) -> Expr:
        """Return the annotation of what a function returns, with type variables filled in."""
        note = function.returns
        bound = state.heap.get(ref.bound.oid) if isinstance(ref.bound, Ref) else None
        cls = ref.bound.of if isinstance(ref.bound, ClassRef) else getattr(bound, "cls", None)
        if not isinstance(cls, Class) or function.cls is None:
            return note
        given = self._argument(cls, function.cls)
        return note if given is None else self._filled(function.module, note, given)

    def _argument(self, cls: Class, base: Class) -> Class | None:
        """Return the model in `class UserRepository(BaseRepository[User])`."""
        for each in self._names.mro(cls):
            if not isinstance(each, Class):
                continue
            for expr in each.bases:
                if expr is not None and expr[0] == ir.ITEM:
                    inner = expr[2]
                    first = inner[1][0] if inner is not None and inner[0] == ir.TUPLE else inner
                    target = self.class_named(each.module, first)
                    if isinstance(target, Class) and self._models.is_model(target):
                        return target
        del base
        return None

    def _filled(self, module: Module, note: Expr, given: Class) -> Expr:
        if note is None:
            return None
        if note[0] == ir.NAME:
            written = module.names.get(note[1])
            is_variable = isinstance(written, Written) and any(
                value is not None and value[0] == ir.CALL and last_name(value[1]) == "TypeVar"
                for value in written.values
            )
            is_unknown = (
                (written is None and len(note[1]) <= 2)
                or is_variable
                or (isinstance(written, tuple) and note[1].endswith(("Type", "T", "T_co")))
            )
            return (ir.CONST, given) if is_unknown else note
        if note[0] == ir.ITEM:
            return (*note[:2], self._filled(module, note[2], given), *note[3:])
        if note[0] in (ir.PARTS, ir.TUPLE):
            return (note[0], tuple([self._filled(module, part, given) for part in note[1]]))
        return note


def _is_below(module: Module, package: Module) -> bool:
    return package.is_package and module.parts[: len(package.parts)] == package.parts
