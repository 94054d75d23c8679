"""Graphs of entities: nested, shared and cyclic ones keep their shape."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import selectinload

from sqla_safe import is_snapshot, snapshot
from tests.unit.snapshots.models.gallery import Avatar, Photo, Tag, Team, User, lisa, many
from tests.unit.snapshots.models.trees import Friend, Node, add_deep_chain, chain


def test_nested_relationships_are_held(store):
    """Two levels of collections read as they do on the entity."""
    shown = snapshot(store(lisa()).get_one(User, 1), User.avatars, Avatar.photos)
    assert [[photo.url for photo in avatar.photos] for avatar in shown.avatars] == [
        ["1.jpg", "2.jpg"],
        ["3.jpg"],
    ]


def test_what_was_loaded_before_is_held_without_a_path(store):
    """Eager loading of the user's own is enough."""
    options = selectinload(User.avatars).selectinload(Avatar.photos)
    user = store(lisa()).scalars(select(User).options(options)).one()
    assert snapshot(user).avatars[1].photos[0].url == "3.jpg"


def test_every_object_of_the_graph_is_a_snapshot(store):
    """Related entities are frozen too, not only the root."""
    shown = snapshot(store(lisa()).get_one(User, 1), User.avatars, Avatar.photos)
    assert all(map(is_snapshot, [shown, *shown.avatars, *shown.avatars[0].photos]))


def test_a_snapshot_is_an_instance_of_its_entity(store):
    """`isinstance` goes on working."""
    assert isinstance(snapshot(store(lisa()).get_one(User, 1)), User)


def test_an_entity_is_no_snapshot(store):
    """`is_snapshot` tells the two apart."""
    assert not is_snapshot(store(lisa()).get_one(User, 1))


def test_a_cycle_leads_back_to_the_same_object(store):
    """The child's parent is the snapshot the child was reached from."""
    shown = snapshot(store(lisa()).get_one(User, 1), User.avatars)
    assert shown.avatars[0].user is shown


def test_a_cycle_can_be_followed_from_its_far_end(store):
    """Starting at the photo, the way up and down again is closed."""
    session = store(lisa())
    shown = snapshot(session.get_one(Photo, 1), Photo.avatar, Avatar.photos)
    assert shown.avatar is not None
    assert shown.avatar.photos[0] is shown


def test_a_shared_object_stays_one_object(store):
    """Two roots with one team have one snapshot of it."""
    session = store(*many(2))
    one, two = snapshot(session.scalars(select(User)).all(), User.team)
    assert one.team is two.team


def test_an_entity_that_is_given_twice_is_frozen_once(store):
    """The tuple holds one object at both places."""
    user = store(lisa()).get_one(User, 1)
    one, two = snapshot([user, user])
    assert one is two


def test_two_snapshots_of_one_entity_are_two_objects(store):
    """Each call freezes the state of its own moment."""
    user = store(lisa()).get_one(User, 1)
    assert snapshot(user) is not snapshot(user)


def test_many_to_many_is_held_from_both_sides(store):
    """A tag's users lead back to the user that the tag was reached from."""
    shown = snapshot(store(lisa()).get_one(User, 1), User.tags, Tag.users)
    assert shown.tags[0].users == (shown,)


def test_many_to_many_shares_its_members(store):
    """Two users with one tag hold the same snapshot of it."""
    one, two = snapshot(store(*many(2)).scalars(select(User)).all(), User.tags)
    assert one.tags[0] is two.tags[0]


def test_a_missing_many_to_one_is_none(store):
    """A foreign key that is NULL needs no row."""
    session = store(User(id=1, name="Lisa"))
    assert snapshot(session.get_one(User, 1)).team is None


def test_an_empty_collection_is_an_empty_tuple(store):
    """Loaded and empty is told from not loaded."""
    session = store(User(id=1, name="Lisa"))
    assert snapshot(session.get_one(User, 1), User.avatars).avatars == ()


def test_a_path_of_any_entity_in_the_graph_is_loaded(store):
    """A path need not start at the root."""
    shown = snapshot(store(lisa()).get_one(User, 1), User.avatars, Avatar.photos, Photo.avatar)
    assert shown.avatars[1].photos[0].avatar is shown.avatars[1]


def test_going_up_and_down_again_finds_the_siblings(store):
    """User -> team -> members holds users that were no roots."""
    shown = snapshot(store(*many(3)).get_one(User, 2), User.team, Team.members)
    assert shown.team is not None
    assert [member.id for member in shown.team.members] == [1, 2, 3]


def test_a_path_is_loaded_for_entities_that_another_path_brought(store):
    """Avatars of all members, not only of the root."""
    session = store(*many(3))
    shown = snapshot(session.get_one(User, 1), User.team, Team.members, User.avatars)
    assert shown.team is not None
    assert [len(member.avatars) for member in shown.team.members] == [2, 2, 2]


# --- self-referential -------------------------------------------------------------------------


def test_a_self_referential_path_is_followed_to_the_leaves(store):
    """One path covers every level of the tree."""
    session = store(chain(5))
    shown, names = snapshot(session.get_one(Node, 1), Node.children), []
    while True:
        names.append(shown.name)
        if not shown.children:
            break
        [shown] = shown.children
    assert names == ["node 1", "node 2", "node 3", "node 4", "node 5"]


def test_a_child_knows_its_parent(store):
    """The parent of a self-referential child is found without a path."""
    shown = snapshot(store(chain(2)).get_one(Node, 1), Node.children)
    assert shown.children[0].parent is shown


def test_a_parent_path_is_followed_to_the_root(store):
    """The way up is a path like any other."""
    shown, names = snapshot(store(chain(4)).get_one(Node, 4), Node.parent), []
    while shown is not None:
        names.append(shown.id)
        shown = shown.parent
    assert names == [4, 3, 2, 1]


def test_a_node_that_is_its_own_parent_holds_itself(store):
    """The shortest cycle there is."""
    session = store(Node(id=1, name="loop", parent_id=1))
    shown = snapshot(session.get_one(Node, 1), Node.children, Node.parent)
    assert shown.parent is shown
    assert shown.children == (shown,)


def test_a_self_referential_many_to_many_keeps_its_cycle(store):
    """Friends of friends come back to the start."""
    ann, ben = Friend(id=1, name="Ann"), Friend(id=2, name="Ben")
    ann.friends, ben.friends = [ben, ann], [ann]
    shown = snapshot(store(ann, ben).get_one(Friend, 1), Friend.friends)
    by_name = {friend.name: friend for friend in shown.friends}
    assert by_name["Ann"] is shown
    assert by_name["Ben"].friends == (shown,)


def test_a_deep_chain_needs_no_recursion(store):
    """Five thousand levels are no problem for the stack."""
    session = store(chain(1))
    add_deep_chain(session, 5_000)
    node = snapshot(session.scalars(select(Node).order_by(Node.id)).all())[-1]
    depth = 0
    while node.parent is not None:
        depth, node = depth + 1, node.parent
    assert depth == 4_999


# --- what is given ----------------------------------------------------------------------------


def test_an_iterable_gives_a_tuple_in_its_order(store):
    """The order of the roots is kept."""
    users = store(*many(3)).scalars(select(User).order_by(User.id.desc())).all()
    assert [shown.id for shown in snapshot(users)] == [3, 2, 1]


def test_a_result_can_be_given_as_it_is(store):
    """`session.scalars(...)` is an iterable of entities."""
    assert len(snapshot(store(*many(3)).scalars(select(User)))) == 3


def test_a_generator_is_read_once(store):
    """Nothing but iteration is asked of the iterable."""
    users = store(*many(3)).scalars(select(User)).all()
    assert len(snapshot(user for user in users)) == 3


def test_an_empty_iterable_is_an_empty_tuple():
    """No roots, no objects, nothing to load."""
    assert snapshot([]) == ()


def test_an_empty_iterable_needs_no_paths():
    """A path of no entity is no error."""
    assert snapshot([], User.avatars) == ()


def test_a_set_of_entities_is_an_iterable(store):
    """Any iterable will do."""
    users = set(store(*many(3)).scalars(select(User)))
    assert {shown.id for shown in snapshot(users)} == {1, 2, 3}


def test_entities_of_different_classes_can_be_roots_together(store):
    """Each becomes a snapshot of its own class, and they share what they share."""
    session = store(lisa())
    user, avatar = session.get_one(User, 1), session.get_one(Avatar, 1)
    shown_user, shown_avatar = snapshot([user, avatar])
    assert shown_avatar.user is shown_user


def test_a_snapshot_is_given_back_as_it_is(store):
    """Freezing twice is freezing once."""
    shown = snapshot(store(lisa()).get_one(User, 1))
    assert snapshot(shown) is shown


def test_snapshots_and_entities_can_be_mixed(store):
    """The snapshot stays where it was in the iterable."""
    one, two = store(*many(2)).scalars(select(User).order_by(User.id)).all()
    frozen = snapshot(one)
    result = snapshot([two, frozen])
    assert result[1] is frozen
    assert result[0].id == 2
