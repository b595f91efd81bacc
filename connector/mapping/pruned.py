"""A mapping's content without what is wrong in itself, so that the rest can be looked into all the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from connector.mapping.parts import Place

_STAND_INS: Mapping[Place, Any] = {
    ("name",): "-", ("language",): "en", ("time_zone",): "UTC", ("definition", "version"): "-",
    ("definition", "rules", "*", "label"): "-", ("definition", "rules", "*", "points"): 0.0,
    ("definition", "groups", "*", "label"): "-", ("definition", "disqualifiers", "*", "label"): "-",
}
"""What nothing else depends on: put in place of what is missing or wrong, lest it hide all other problems."""


def _pattern(place: Place) -> Place:
    return tuple("*" if isinstance(part, int) else part for part in place)


class Pruned:
    """The content, and what was left out of it; places are told as they are in the whole content."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        self._content = content
        self._numbers: dict[Place, list[int]] = {}
        self.lost: frozenset[Place] = frozenset()
        self.left: Any = content

    def leave_out(self, places: Iterable[Place]) -> bool:
        """Leave out what stands at these places, or what lacks them; False when that is nothing, or all of it."""
        lost = {self._existing(place) for place in places}
        if () in lost or lost <= self.lost:
            return False
        self.lost |= lost
        self._numbers = {}
        self.left = self._without(self._content, ())
        return True

    def original(self, place: Place) -> Place:
        """Return where something stands in the whole content that stands at `place` in what is left."""
        whole: Place = ()
        for part in place:
            numbers = self._numbers.get(whole, ())
            is_known = isinstance(part, int) and part < len(numbers)
            whole = (*whole, numbers[int(part)] if is_known else part)
        return whole

    def has_lost_of(self, place: Place) -> bool:
        """Tell whether something at a place, or inside it, was left out before."""
        return any(one[:len(place)] == place for one in self.lost)

    def _existing(self, place: Place) -> Place:
        """Return the place itself where there is something or a stand-in for it, else the nearest that lacks it."""
        if _pattern(place) in _STAND_INS:
            return place
        here: Any = self._content
        for number, part in enumerate(place):
            if isinstance(here, Mapping) and part in here:
                here = here[str(part)]
            elif isinstance(here, list | tuple) and isinstance(part, int) and part < len(here):
                here = here[part]
            else:
                place = place[:number]
                break
        while place in self.lost:    # what is missing now because it was left out itself
            place = place[:-1]
        return place

    def _without(self, value: Any, place: Place) -> Any:
        if isinstance(value, Mapping):
            kept = {k: self._without(v, (*place, k)) for k, v in value.items() if (*place, k) not in self.lost}
            lost_here = (one for one in self.lost if one[:-1] == place)
            return kept | {one[-1]: _STAND_INS[_pattern(one)] for one in lost_here if _pattern(one) in _STAND_INS}
        if isinstance(value, list | tuple):
            numbers = [n for n in range(len(value)) if (*place, n) not in self.lost]
            self._numbers[place] = numbers
            return type(value)(self._without(value[n], (*place, n)) for n in numbers)
        return value
