"""The tree of transforms: edges child-to-parent over time, the path between two frames, and what lies in its way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from spatialclaw_ros.frames.stamped_transforms import StampedTransforms, to_matrices


class Edge:
    """Child-to-parent of one child, over time; a static one holds at every stamp."""

    def __init__(self, parent: str, child: str, static: bool) -> None:
        self.parent = parent
        self.child = child
        self.static = static
        self.samples = StampedTransforms()

    def at(self, stamps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(M, 4, 4) child-to-parent and (M,) bool, False where it is not known."""
        if not self.static:
            return self.samples.at(stamps)
        row = self.samples.rows[-1:]
        matrix = to_matrices(row[:, :3], row[:, 3:])
        return np.broadcast_to(matrix, (len(stamps), 4, 4)), np.ones(len(stamps), bool)


@dataclass(frozen=True)
class TreePath:
    """From `source` up to the common ancestor (`up`), and from `target` up to it (`down`, walked backwards)."""

    source: str
    target: str
    up: tuple[Edge, ...]
    down: tuple[Edge, ...]

    def at(self, stamps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(M, 4, 4) source-to-target and (M,) bool, False where an edge is not known."""
        up, up_known = _product(self.up, stamps)
        if not self.down:
            return up, up_known
        down, down_known = _product(self.down, stamps)
        return np.linalg.inv(down) @ up, up_known & down_known

    def why_not(self, stamp: int) -> str:
        """In words, what the path lacks at a stamp where `at` says False."""
        for edge in (*self.up, *self.down):
            if not edge.at(np.array([stamp], np.int64))[1][0]:
                return (
                    f"no transform from {self.target!r} to {self.source!r} at {stamp * 1e-9:.3f} s: for "
                    f"{edge.parent!r} -> {edge.child!r}, {edge.samples.why_not(stamp)}"
                )
        return f"no transform from {self.target!r} to {self.source!r} at {stamp * 1e-9:.3f} s"

    def stamps(self) -> np.ndarray:
        """(N,) int64: the stamps of its fastest edge; one zero where nothing moves."""
        moving = [edge.samples.stamps for edge in (*self.up, *self.down) if not edge.static]
        return max(moving, key=len).copy() if moving else np.zeros(1, np.int64)


def find_path(edges: Mapping[str, Edge], source: str, target: str) -> TreePath | None:
    """The path between two frames, or None where no chain of edges connects them."""
    up, ancestors = _ascend(edges, source)
    down, others = _ascend(edges, target)
    for height, name in enumerate(ancestors):
        if name in others:
            return TreePath(source, target, tuple(up[:height]), tuple(down[: others.index(name)]))
    return None


def _ascend(edges: Mapping[str, Edge], frame: str) -> tuple[list[Edge], list[str]]:
    """The edges from a frame to its root, and the frames on the way (a loop ends the walk)."""
    path: list[Edge] = []
    names = [frame]
    while (edge := edges.get(names[-1])) is not None and edge.parent not in names:
        path.append(edge)
        names.append(edge.parent)
    return path, names


def _product(edges: tuple[Edge, ...], stamps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    product = np.broadcast_to(np.eye(4), (len(stamps), 4, 4))
    known = np.ones(len(stamps), bool)
    for edge in edges:
        matrices, here = edge.at(stamps)
        product = matrices @ product
        known = known & here
    return product, known
