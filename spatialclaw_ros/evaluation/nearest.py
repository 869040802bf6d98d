"""Exact smallest distance between two triangle meshes that do not cut each other."""

from __future__ import annotations

import numpy as np


def nearest_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Metres between the nearest points of triangles (F, 3, 3) and (G, 3, 3); 0 is not recognised for meshes that cut.

    Two triangles apart are nearest at a corner of one of them, or on an edge of each. Source: Ericson, "Real-Time
    Collision Detection", 2005, sections 5.1.5 (point to triangle) and 5.1.9 (segment to segment).
    """
    corners_a, corners_b = np.unique(a.reshape(-1, 3), axis=0), np.unique(b.reshape(-1, 3), axis=0)
    edges_a, edges_b = _edges(a), _edges(b)
    squares = (_points_to_triangles(corners_a, b), _points_to_triangles(corners_b, a), _segments(edges_a, edges_b))
    return float(np.sqrt(max(min(squares), 0.0)))


def _edges(triangles: np.ndarray) -> np.ndarray:
    """(E, 2, 3): every edge once."""
    pairs = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    first, second = pairs[:, 0], pairs[:, 1]
    swap = np.array([tuple(p) > tuple(q) for p, q in zip(first, second, strict=True)])
    pairs[swap] = pairs[swap][:, ::-1]
    return np.unique(pairs.reshape(-1, 6), axis=0).reshape(-1, 2, 3)


def _points_to_triangles(points: np.ndarray, triangles: np.ndarray) -> float:
    """Smallest squared distance from points to triangles' insides; their edges are left to _segments."""
    origin, u, v = triangles[:, 0], triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]
    normal = np.cross(u, v)
    area = np.einsum("ij,ij->i", normal, normal)
    usable = area > 1e-18
    origin, u, v, normal, area = origin[usable], u[usable], v[usable], normal[usable], area[usable]
    best = np.inf
    for start in range(0, len(points), 256):
        offset = points[start : start + 256, None, :] - origin[None]
        height = np.einsum("pfi,fi->pf", offset, normal)
        beta = np.einsum("pfi,fi->pf", np.cross(offset, v[None]), normal) / area
        gamma = np.einsum("pfi,fi->pf", np.cross(u[None], offset), normal) / area
        inside = (beta >= 0) & (gamma >= 0) & (beta + gamma <= 1)
        if inside.any():
            best = min(best, float((height**2 / area)[inside].min()))
    return best


def _segments(a: np.ndarray, b: np.ndarray) -> float:
    """Smallest squared distance between segments (E, 2, 3) and (G, 2, 3)."""
    best = np.inf
    p, d = b[:, 0], b[:, 1] - b[:, 0]
    length_b = np.einsum("ij,ij->i", d, d)
    for start, stop in a:
        e = stop - start
        length_a = float(e @ e)
        r = start - p
        f, c, mixed = np.einsum("ij,ij->i", d, r), r @ e, d @ e
        bottom = length_a * length_b - mixed**2
        s = np.where(bottom > 1e-15, np.clip((mixed * f - c * length_b) / np.maximum(bottom, 1e-15), 0, 1), 0.0)
        t = np.clip((mixed * s + f) / np.maximum(length_b, 1e-15), 0, 1)
        s = np.clip((mixed * t - c) / max(length_a, 1e-15), 0, 1)
        gap = (start + s[:, None] * e) - (p + t[:, None] * d)
        best = min(best, float(np.einsum("ij,ij->i", gap, gap).min()))
    return best
