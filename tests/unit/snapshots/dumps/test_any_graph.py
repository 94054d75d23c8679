"""Graphs that no database would give: whatever leads to whatever, as bytes and back."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from sqla_safe.snapshots._plan import fill, plan_of
from tests.unit.snapshots.dumps.support import every_format, over
from tests.unit.snapshots.models.trees import Node


def shell(key):
    """Make a snapshot that holds nothing but its key."""
    made = plan_of(Node).shell()
    fill(made, {"id": key})
    return made


def tangle(chance):
    """Make nodes of which some hold this and some that, and which lead anywhere."""
    nodes = [
        shell(number if chance.random() < 0.9 else 1) for number in range(chance.randint(1, 14))
    ]
    for node in nodes:
        held = {
            "name": chance.choice("abü"),
            "parent_id": chance.choice([None, 1, 2]),
            "parent": chance.choice([None, *nodes]),
            "children": tuple(chance.choices(nodes, k=chance.randint(0, 4))),
        }
        fill(node, {name: held[name] for name in held if chance.random() < 0.8})
    return nodes


def tree(chance):
    """Make a tree, level by level; a few nodes have lost their way back."""
    nodes = list(map(shell, range(20)))
    rest, loss = iter(nodes[1:]), chance.choice([0, 0.2])
    fill(nodes[0], {"parent": None})
    for node in nodes:
        children = tuple(child for child, _ in zip(rest, range(chance.randint(0, 3)), strict=False))
        fill(node, {"children": children})
        for child in children:
            fill(child, {"parent": node if chance.random() >= loss else None})
    return nodes


def same(pairs):
    """Say whether two graphs are the same, object by object."""
    known = {}
    for one, other in pairs:
        if id(one) in known:
            assert known[id(one)] is other
            continue
        known[id(one)] = other
        mine, its = plan_of(Node).captured(one), plan_of(Node).captured(other)
        assert mine.keys() == its.keys()
        for name in mine.keys() - {"parent", "children"}:
            assert mine[name] == its[name]
        relatives = [(*held.get("children", ()), held.get("parent")) for held in (mine, its)]
        assert [one is None for one in relatives[0]] == [one is None for one in relatives[1]]
        pairs += [pair for pair in zip(*relatives, strict=True) if pair[0] is not None]
    assert len(set(map(id, known.values()))) == len(known)
    return True


@every_format
@settings(max_examples=300, database=None)
@given(seed=st.integers(0, 2**32), make=st.sampled_from([tangle, tree]))
def test_any_graph_comes_back(form, seed, make):
    """With the same objects in the same places."""
    chance = random.Random(seed)
    nodes = make(chance)
    roots = tuple(chance.choices(nodes, k=chance.randint(1, 4)))
    back = over(tuple[Node, ...], roots, form)
    assert same(list(zip(roots, back, strict=True)))
