"""Furnishing a generated room: which things, in which colours, and where, without overlap and with a way to pass."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from spatialclaw_ros.evaluation.rooms_camera import CameraPath
from spatialclaw_ros.evaluation.rooms_fittings import make_fittings
from spatialclaw_ros.evaluation.rooms_objects import Motion, Room, RoomObject
from spatialclaw_ros.evaluation.rooms_palette import HUES
from spatialclaw_ros.evaluation.rooms_shapes import KINDS, Shape

GAP = 0.12
"""Metres between any two things on the floor."""
TWIN_GAP = 0.55
"""Metres between two things of one colour, so that they never merge in a mask."""
CORRIDOR = 0.4
"""Metres that stay free on both sides of the camera's way."""


class LayoutFailed(Exception):
    """No place was found for a thing; another draw may do better."""


@dataclass(frozen=True)
class Plan:
    """What to furnish with: kind -> how many, kind -> colour, and the kind that moves."""

    counts: dict[str, int]
    colours: dict[str, str]
    mover: str


def draw_size(rng: np.random.Generator) -> tuple[float, float, float]:
    """Length, width and height of a room, metres."""
    return float(rng.uniform(6.8, 7.5)), float(rng.uniform(6.1, 6.6)), 2.7


def draw_plan(rng: np.random.Generator) -> Plan:
    """Eight kinds in eight hues; two kinds come three times, so that there are at least twelve things."""
    counts = dict.fromkeys(("table", "chair", "mug", "box", "lamp", "door"), 1)
    counts[str(rng.choice(["shelf", "cabinet", "sofa"]))] = 1
    mover = str(rng.choice(["ball", "cart", "robot"]))
    counts[mover] = 1
    for kind in rng.permutation(["chair", "mug", "box"])[:2]:
        counts[str(kind)] = 3
    if counts["chair"] == 3 and rng.random() < 0.4:
        counts["chair"] = 4
    colours = dict(zip(counts, (str(name) for name in rng.permutation(list(HUES))), strict=True))
    return Plan(counts, colours, mover)


class Furnisher:
    """Puts the things of a plan into a room, one after the other, each where the ones before leave space."""

    def __init__(self, rng: np.random.Generator, size: tuple[float, float, float], path: CameraPath) -> None:
        self._rng = rng
        self._size = size
        self._path = path
        self._things: list[RoomObject] = []
        self._way = np.array([path.camera(t)[:2, 3] for t in np.linspace(0, path.duration, 80)])

    def furnish(self, plan: Plan) -> Room:
        """Raises: LayoutFailed."""
        kinds = [kind for kind in plan.counts if kind not in ("table", "chair", "mug", plan.mover)]
        wall_first = sorted(kinds, key=lambda kind: kind in ("box", "lamp"))
        shapes = {kind: [KINDS[kind](self._rng)] * count for kind, count in plan.counts.items()}
        table = self._add(
            plan,
            "table",
            shapes["table"][0],
            np.zeros(3) + [*self._rng.uniform(-0.12, 0.12, 2), 0],
            float(self._rng.choice([0, np.pi / 2]) + self._rng.uniform(-0.2, 0.2)),
        )
        self._add_chairs(plan, table, shapes["chair"])
        self._add_mugs(plan, table, shapes["mug"])
        walls = list(self._rng.permutation(4))
        for kind in wall_first:
            for shape in shapes[kind]:
                if kind in ("box", "lamp"):
                    self._add_free(plan, kind, shape)
                else:
                    self._add_at_wall(plan, kind, shape, int(walls.pop()))
        self._add_mover(plan, shapes[plan.mover][0])
        return Room(self._size, tuple(self._numbered()), make_fittings(self._rng, self._size, tuple(self._things)))

    def _add(self, plan: Plan, kind: str, shape: Shape, position: np.ndarray, yaw: float) -> RoomObject:
        thing = RoomObject(0, kind, plan.colours[kind], shape, position, yaw)
        self._things.append(thing)
        return thing

    def _numbered(self) -> list[RoomObject]:
        seen: dict[str, int] = {}
        numbered = []
        for number, thing in enumerate(self._things, start=1):
            seen[thing.name] = seen.get(thing.name, 0) + 1
            numbered.append(replace(thing, number=number, label=f"{thing.name} {seen[thing.name]}"))
        return numbered

    def _add_chairs(self, plan: Plan, table: RoomObject, shapes: list[Shape]) -> None:
        sides = [(1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0)]
        frame = table.pose()
        for side, shape in zip(self._rng.permutation(len(sides)), shapes, strict=False):
            out = np.array([*sides[side], 0.0])
            reach = abs(out[:2] @ table.size[:2]) / 2 + shape.size[0] / 2 + self._rng.uniform(0.06, 0.16)
            along = np.array([out[1], out[0], 0.0]) * self._rng.uniform(-0.15, 0.15)
            place = frame[:3, :3] @ (out * reach + along) + frame[:3, 3]
            facing = np.arctan2(*(-(frame[:3, :3] @ out))[[1, 0]]) + self._rng.uniform(-0.25, 0.25)
            self._add(plan, "chair", shape, place, float(facing))

    def _add_mugs(self, plan: Plan, table: RoomObject, shapes: list[Shape]) -> None:
        frame, half = table.pose(), table.size[:2] / 2 - 0.13
        spots = self._rng.permutation([-1.0, 0.0, 1.0])[: len(shapes)]
        for spot, shape in zip(spots, shapes, strict=True):
            across = (
                self._rng.uniform(-half[0], half[0]) if spot == 0 or len(shapes) == 1 else self._rng.uniform(-0.2, 0.2)
            )
            local = np.array(
                [across, spot * half[1] + (self._rng.uniform(-0.05, 0.05) if spot == 0 else 0.0), table.size[2]]
            )
            self._add(plan, "mug", shape, frame[:3, :3] @ local + frame[:3, 3], float(self._rng.uniform(0, 2 * np.pi)))

    def _add_at_wall(self, plan: Plan, kind: str, shape: Shape, wall: int) -> None:
        """Back to the wall, front to the room. Walls: 0 = +x, 1 = +y, 2 = -x, 3 = -y."""
        turn = wall * np.pi / 2
        out, side = np.array([np.cos(turn), np.sin(turn)]).round(), np.array([-np.sin(turn), np.cos(turn)]).round()
        half = np.array(self._size[:2]) / 2
        gap = 0.0 if kind == "door" else 0.02
        for _ in range(40):
            slide = self._rng.uniform(-1, 1) * (abs(side @ half) - shape.size[1] / 2 - 0.4)
            place = out * (abs(out @ half) - shape.size[0] / 2 - gap) + side * slide
            if self._is_free(place, shape, kind, turn):
                self._add(plan, kind, shape, np.array([*place, 0.0]), float(turn + np.pi))
                return
        raise LayoutFailed(f"no wall space for a {kind}")

    def _add_free(self, plan: Plan, kind: str, shape: Shape) -> None:
        """Anywhere between the camera's way and the walls, at any angle."""
        half = np.array(self._size[:2]) / 2
        radius = float(np.hypot(*shape.size[:2]) / 2)
        for _ in range(300):
            place = self._rng.uniform(-1, 1, 2) * (half - radius - 0.08)
            yaw = float(self._rng.uniform(0, 2 * np.pi))
            if np.hypot(*place) > 1.6 and self._is_free(place, shape, kind, yaw):
                self._add(plan, kind, shape, np.array([*place, 0.0]), yaw)
                return
        raise LayoutFailed(f"no floor space for a {kind}")

    def _is_free(self, place: np.ndarray, shape: Shape, kind: str, yaw: float) -> bool:
        radius = float(np.hypot(*shape.size[:2]) / 2)
        thin = kind in ("door", "shelf", "cabinet", "sofa")
        side = np.array([-np.sin(yaw), np.cos(yaw)]) * (shape.size[1] / 2 - shape.size[0] / 2 if thin else 0.0)
        probes = [
            (place + side * s, float(shape.size[0] / 2 if thin else radius))
            for s in ((-1, -0.5, 0, 0.5, 1) if thin else (0,))
        ]
        for spot, reach in probes:
            if np.hypot(*(self._way - spot).T).min() < reach + CORRIDOR:
                return False
            for other in self._things:
                twin = other.kind == kind
                apart = np.hypot(*(other.position[:2] - spot)) - other.radius - reach
                if apart < (TWIN_GAP if twin else GAP):
                    return False
        return True

    def _add_mover(self, plan: Plan, shape: Shape) -> None:
        """A straight roll of 1.2 to 2.8 m over free floor, never nearer to the camera's foot than 0.8 m."""
        half = np.array(self._size[:2]) / 2 - shape.size[:2].max() / 2 - 0.15
        duration, radius = self._path.duration, float(np.hypot(*shape.size[:2]) / 2)
        for _ in range(3000):
            start, end = self._rng.uniform(-1, 1, (2, 2)) * half
            if not 1.2 <= np.hypot(*(end - start)) <= 2.8:
                continue
            motion = Motion(
                start,
                end,
                float(self._rng.uniform(0.05, 0.2) * duration),
                float(self._rng.uniform(0.75, 0.95) * duration),
            )
            if self._rolls_free(motion, radius):
                heading = float(np.arctan2(*(end - start)[::-1]))
                thing = RoomObject(
                    0, plan.mover, plan.colours[plan.mover], shape, np.array([*start, 0.0]), heading, motion=motion
                )
                self._things.append(thing)
                return
        raise LayoutFailed(f"no free way for a {plan.mover}")

    def _rolls_free(self, motion: Motion, radius: float) -> bool:
        times = np.linspace(0, self._path.duration, 25)
        places = np.array([motion.at(t) for t in times])
        cameras = np.array([self._path.camera(t)[:2, 3] for t in times])
        if np.hypot(*(places - cameras).T).min() < 0.8 + radius:
            return False
        for other in self._things:
            if np.hypot(*(places - other.position[:2]).T).min() < other.radius + radius + GAP:
                return False
        return True
