"""`inject`: services that need more than a session, built by type in one scope."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Protocol

import pytest
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from sqlalchemy.orm import Session, sessionmaker

from sqla_safe import Scope, ServiceBuildError, inject, scoped_services
from tests.unit import annotated_elsewhere

Maker = sessionmaker[Session]


class Cache:
    built = 0

    def __init__(self) -> None:
        type(self).built += 1


class Users:
    def __init__(self, session: Session) -> None:
        self.session = session


class Balances:
    def __init__(self, session: Session, users: Users) -> None:
        self.session = session
        self.users = users


class Shop:
    def __init__(self, users: Users, balances: Balances, zone: str, bucket: str = "aisha") -> None:
        self.users = users
        self.balances = balances
        self.zone = zone
        self.bucket = bucket


class WithDefaults:
    def __init__(
        self, session: Session, users: Users | None = None, cache: Cache | None = None, *args: str
    ) -> None:
        self.session = session
        self.users = users
        self.cache = cache
        self.args = args


class DefaultSession:
    def __init__(self, session: Session | None = None) -> None:
        self.session = session


class Named:
    def __init__(self, users: Annotated[Users, "ours"], balances: Balances | None) -> None:
        self.users = users
        self.balances = balances


class Speaks(Protocol):
    def speak(self) -> None: ...


class NeedsRate:
    def __init__(self, session: Session, rate: Decimal) -> None: ...


class NeedsAnything:
    def __init__(self, session: Session, thing: Any) -> None: ...


class NeedsSpeaker:
    def __init__(self, session: Session, speaker: Speaks) -> None: ...


class NeedsScope:
    def __init__(self, session: Session, scope: Scope[Session]) -> None: ...


class NeedsBareScope:
    def __init__(self, session: Session, scope: Scope) -> None: ...  # type: ignore[type-arg]


class Unannotated:
    def __init__(self, session, users: Users) -> None:
        self.session = session
        self.users = users


class AloneUnannotated:
    def __init__(self, db) -> None:
        self.session = db


class KeywordOnly:
    def __init__(self, *, session: Session, users: Users) -> None:
        self.session = session
        self.users = users


class PositionalOnly:
    def __init__(self, session: Session, users: Users, /) -> None:
        self.session = session
        self.users = users


class WithMarker:
    def __init__(self, session: Annotated[Session, "a framework's marker"], users: Users) -> None:
        self.session = session
        self.users = users


class TakesAnything:
    def __init__(self, session: Session, **settings: str) -> None:
        self.settings = settings


class Chicken:
    def __init__(self, egg: Egg) -> None: ...


class Egg:
    def __init__(self, nest: Nest) -> None: ...


class Nest:
    def __init__(self, chicken: Chicken) -> None: ...


class NarcissusItself:
    def __init__(self, other: NarcissusItself) -> None: ...


class NeedsShop:
    def __init__(self, shop: Shop) -> None: ...


class NeedsUnknown:
    def __init__(self, session: Session, mystery) -> None: ...


class NeedsUnion:
    def __init__(self, session: Session, users: Users | Cache) -> None: ...


class AsyncUsers:
    def __init__(self, session: AsyncSession) -> None: ...


class OnAsync:
    def __init__(self, users: AsyncUsers) -> None: ...


class SpecialSession(Session):
    pass


class OnSpecial:
    def __init__(self, session: SpecialSession) -> None:
        self.session = session


def refusal(maker: Maker, *services: object) -> str:
    """Open a scope that must refuse its services, and return the text."""
    with pytest.raises(ServiceBuildError) as caught, scoped_services(maker, *services):
        pytest.fail("the block was entered")
    return str(caught.value)


def test_dependencies_are_built_by_type(maker: Maker) -> None:
    """Services on services are built in the same scope, recursively."""
    with scoped_services(maker, inject(Shop, zone="UTC")) as shop:
        assert isinstance(shop.users, Users)
        assert shop.users.session is shop.balances.session


def test_a_dependency_is_the_scopes_own_instance(maker: Maker) -> None:
    """What is asked for directly and what is depended upon are one instance."""
    with scoped_services(maker, inject(Shop, zone="UTC"), Users, inject(Balances)) as given:
        shop, users, balances = given
        assert shop.users is users is balances.users
        assert shop.balances is balances


def test_the_order_of_asking_does_not_matter(maker: Maker) -> None:
    """A service built first is found by those that depend on it later."""
    with scoped_services(maker, Users, inject(Shop, zone="UTC")) as (users, shop):
        assert shop.users is users


def test_constants_are_passed_on(maker: Maker) -> None:
    """Settings are given as keyword arguments, also over a default."""
    with scoped_services(maker, inject(Shop, zone="UTC", bucket="photos")) as shop:
        assert (shop.zone, shop.bucket) == ("UTC", "photos")


def test_a_constant_may_stand_in_for_a_dependency(maker: Maker) -> None:
    """What is given is not built."""

    class Fake(Users):
        def __init__(self) -> None: ...

    fake = Fake()
    with scoped_services(maker, inject(Balances, users=fake)) as balances:
        assert balances.users is fake


def test_different_constants_are_different_services(maker: Maker) -> None:
    """Two ways to build a class give two instances in one scope."""
    utc, moscow = inject(Shop, zone="UTC"), inject(Shop, zone="Europe/Moscow")
    with scoped_services(maker, utc, moscow, utc) as (first, second, third):
        assert (first.zone, second.zone) == ("UTC", "Europe/Moscow")
        assert third is first


def test_defaults_are_kept(maker: Maker) -> None:
    """A parameter with a default is not built, even if its type could be."""
    Cache.built = 0
    with scoped_services(maker, inject(WithDefaults)) as service:
        assert (service.users, service.cache, service.args) == (None, None, ())
    assert Cache.built == 0


def test_a_session_with_a_default_is_still_the_session(maker: Maker) -> None:
    """A session parameter gets the scope's session, whatever its default."""
    with scoped_services(maker, inject(DefaultSession)) as service, scoped_services(maker) as scope:
        assert service.session is scope.session


@pytest.mark.parametrize(
    "cls",
    [
        Unannotated,
        AloneUnannotated,
        KeywordOnly,
        PositionalOnly,
        WithMarker,
        annotated_elsewhere.Avatars,
    ],
    ids=lambda cls: cls.__name__,
)
def test_the_session_is_found_however_it_is_declared(maker: Maker, cls: type) -> None:
    """By annotation, by name, alone, keyword-only, or annotated for the type checker only."""
    with scoped_services(maker, inject(cls)) as service, scoped_services(maker) as scope:
        assert service.session is scope.session


def test_dependencies_known_to_the_type_checker_only_are_found(maker: Maker) -> None:
    """A class of the same module is found although another annotation cannot be read."""
    with scoped_services(maker, inject(annotated_elsewhere.Avatars)) as avatars:
        assert isinstance(avatars.users, annotated_elsewhere.Users)


def test_an_unreadable_annotation_is_named(maker: Maker) -> None:
    """A parameter whose type is imported for the type checker only must be given."""
    assert "`rate`" in refusal(maker, inject(annotated_elsewhere.Prices))
    rate = object()
    with scoped_services(maker, inject(annotated_elsewhere.Prices, rate=rate)) as prices:
        assert prices.rate is rate


def test_a_class_without_parameters_is_built(maker: Maker) -> None:
    """`inject` is content with a class that needs nothing."""
    with scoped_services(maker, inject(Cache)) as cache:
        assert isinstance(cache, Cache)


def test_a_function_can_be_injected(maker: Maker) -> None:
    """Functions have dependencies too."""

    def pair(users, session: Session) -> tuple[object, Session]:
        return users, session

    marker = object()
    with scoped_services(maker, inject(pair, users=marker)) as built:
        assert built[0] is marker


def test_any_constant_goes_to_a_class_that_takes_anything(maker: Maker) -> None:
    """`**settings` receives what is given."""
    with scoped_services(maker, inject(TakesAnything, zone="UTC")) as service:
        assert service.settings == {"zone": "UTC"}


def test_a_custom_session_class_is_a_session_type() -> None:
    """A parameter annotated with a subclass gets a session of that class."""
    special = sessionmaker(class_=SpecialSession)
    with scoped_services(special, inject(OnSpecial)) as service:
        assert isinstance(service.session, SpecialSession)


def test_the_wrong_session_class_is_refused(maker: Maker) -> None:
    """A parameter that wants another class of session is named."""
    text = refusal(maker, inject(OnSpecial))
    assert "`session` takes SpecialSession" in text


def test_an_unknown_constant_is_refused_at_once() -> None:
    """A misspelt setting fails where it is written, with the names that exist."""
    with pytest.raises(ServiceBuildError) as caught:
        inject(Shop, zome="UTC")
    assert "no parameter `zome`" in str(caught.value)
    assert "`zone`" in str(caught.value)


def test_a_cycle_is_refused_with_its_chain(maker: Maker) -> None:
    """The error shows who needs whom."""
    assert "Chicken -> Egg -> Nest -> Chicken" in refusal(maker, inject(Chicken))


def test_a_class_that_needs_itself_is_a_cycle(maker: Maker) -> None:
    """The shortest cycle is one as well."""
    assert "cycle" in refusal(maker, inject(NarcissusItself))


def test_a_parameter_that_cannot_be_built_is_named_with_the_chain(maker: Maker) -> None:
    """The error names the class, its parameter, who needed it, and the line to write."""
    text = refusal(maker, inject(NeedsShop))
    assert "`zone`" in text
    assert "NeedsShop -> Shop" in text
    assert "inject(Shop, zone=...)" in text


@pytest.mark.parametrize(
    ("cls", "parameter"), [(NeedsUnknown, "mystery"), (NeedsUnion, "users")], ids=["bare", "union"]
)
def test_a_parameter_without_one_class_must_be_given(
    maker: Maker, cls: type, parameter: str
) -> None:
    """No annotation, or a choice of two, does not say what to build."""
    assert f"`{parameter}`" in refusal(maker, inject(cls))


@pytest.mark.parametrize(
    ("cls", "parameter"),
    [
        (NeedsRate, "rate"),
        (NeedsAnything, "thing"),
        (NeedsSpeaker, "speaker"),
        (NeedsScope, "scope"),
        (NeedsBareScope, "scope"),
    ],
)
def test_what_is_no_service_is_not_built(maker: Maker, cls: type, parameter: str) -> None:
    """A `Decimal` made of nothing, `Any` or a protocol is nothing that a service could use."""
    assert f"inject({cls.__name__}, {parameter}=...)" in refusal(maker, inject(cls))


def test_annotated_and_optional_parameters_are_built(maker: Maker) -> None:
    """`Annotated` and `| None` without a default name one class, which is built."""
    with scoped_services(maker, inject(Named), Users, Balances) as (named, users, balances):
        assert named.users is users
        assert named.balances is not None
        assert balances.session is named.balances.session


def test_the_chain_names_each_class_once(maker: Maker) -> None:
    """The class that lacks something is the end of its chain."""
    assert refusal(maker, inject(NeedsShop)).count(" -> ") == 1


@pytest.mark.parametrize("thing", [None, 1, "Shop", []])
def test_what_cannot_be_called_is_refused_at_the_call(thing: Any) -> None:
    """`inject` of no class says so where it is written."""
    with pytest.raises(ServiceBuildError, match="not callable"):
        inject(thing)


def test_the_wrong_kind_of_session_deep_inside_is_named(maker: Maker) -> None:
    """An async service below a sync one is refused with the chain."""
    text = refusal(maker, inject(OnAsync))
    assert "AsyncSession" in text
    assert "OnAsync -> AsyncUsers" in text


async def test_async_dependencies_are_built(
    async_maker: async_sessionmaker[AsyncSession],
) -> None:
    """The same in an async scope."""
    async with scoped_services(async_maker, inject(OnAsync)) as service:
        assert isinstance(service, OnAsync)


def test_a_failure_is_not_remembered(maker: Maker) -> None:
    """After a refused build the same scope still builds other services."""
    with scoped_services(maker) as scope:
        with pytest.raises(ServiceBuildError):
            scope.get(inject(Chicken))
        assert isinstance(scope.get(inject(Balances)), Balances)
        with pytest.raises(ServiceBuildError, match="Chicken -> Egg -> Nest -> Chicken"):
            scope.get(inject(Chicken))


def test_an_injected_class_can_be_called_without_a_scope() -> None:
    """`inject` gives an ordinary callable: it builds from any session, as in a script."""
    session = Session()
    shop = inject(Shop, zone="UTC")(session)
    assert shop.users.session is shop.balances.session is session


def test_repr_shows_what_to_write() -> None:
    """In a traceback an injected service reads as in the source."""
    assert repr(inject(Shop, zone="UTC")) == "inject(Shop)"
