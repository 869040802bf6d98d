"""Line: who waits and who is served, in the order in which they came; never two of one session at once."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(eq=False)
class Place:
    """One that waits or is served. session: "" = of no session. alone: after all before it, before all behind it."""

    session: str = ""
    alone: bool = False


class Line:
    """Serves up to `most` places at once. Not thread-safe: whoever uses it holds a lock.

    A place whose session is being served lets others pass; one that has to be alone lets nobody pass.
    """

    def __init__(self, most: int = 1) -> None:
        self.most = most
        self.waiting: list[Place] = []
        self.served: list[Place] = []

    def next(self) -> Place | None:
        """Take the next place whose turn it is from those that wait to those that are served."""
        busy = {place.session for place in self.served if place.session}
        for place in self.waiting:
            if len(self.served) >= self.most or any(served.alone for served in self.served):
                return None
            if place.alone and self.served:
                return None
            if place.session not in busy:
                self.waiting.remove(place)
                self.served.append(place)
                return place
        return None

    def leave(self, place: Place) -> None:
        """It was served, or waits no longer."""
        for places in (self.waiting, self.served):
            if place in places:
                places.remove(place)
