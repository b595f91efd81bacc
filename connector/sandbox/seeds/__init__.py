"""The companies a sandbox can be filled with, by name.

A seed is a hand-written cast, each with a sentence (`SeedPerson.why`) that a reader can check by hand, and a
crowd that is arithmetic on tables. This room says who people are and what they did; what that is worth is
for the product to find out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from connector.adapter_kit.sandbox.world import World
from connector.sandbox.seeds import acme, mirai

CROWD_COUNT = 160
"""How large the crowd is when nobody says: two pages of a HubSpot list with the cast, read in a moment."""

SHIFT_LIMIT = 1_000_003
"""Shifts stay below this prime, so that a table index never overflows in SQL, whatever the random seed."""

_WORLDS: dict[str, Callable[[datetime], World]] = {"mirai": mirai.world, "acme": acme.world}


def names() -> tuple[str, ...]:
    """Return the names that `build_world` knows."""
    return tuple(_WORLDS)


def build_world(
    name: str, *, contacts: int | None = None, activities: int | None = None, random_seed: int = 1, now: datetime
) -> World:
    """Return the seed's world; the same arguments give an equal one.

    The default crowd keeps the list of new MQLs readable. It has one form submission for every ten people, so nobody
    downloads twice, and by the article's table one download is enough only for a head of information systems. Its
    tables of departments and titles have coprime lengths (12 and 17) whose product exceeds 160, so each pairing occurs
    at most once; three departments are information systems and one title is a head's: at most three such people. A
    larger crowd keeps that share, 3 of 204.

    Args:
        name: One of `names()`.
        contacts: People in HubSpot, the cast included; the crowd fills up what the cast leaves. Fewer than the
            cast means the cast and no crowd. None: a crowd of 160.
        activities: Form submissions by the crowd. None: a tenth of the crowd. Without a crowd there are none.
        random_seed: Shifts the crowd along its tables; the cast stays as it is written.
        now: Aware UTC; every `days_ago` counts from here.

    Raises:
        KeyError: There is no such seed; the text lists those there are.
    """
    if name not in _WORLDS:
        raise KeyError(f"{name!r} (known: {', '.join(_WORLDS)})")
    world = _WORLDS[name](now)
    in_hubspot = sum(person.hubspot for person in world.people)
    count = CROWD_COUNT if contacts is None else max(0, contacts - in_hubspot)
    submissions = count // 10 if activities is None else activities
    crowd = replace(
        world.crowd,
        count=count,
        activities=submissions if count else 0,
        shift=random_seed % SHIFT_LIMIT,
    )
    return replace(world, crowd=crowd)
