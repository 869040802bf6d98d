"""The tools' reference for the prompt, generated from signatures and docstrings: it cannot differ from the code."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from typing import Any

from spatialclaw_ros.workbench.answer import AnswerBox
from spatialclaw_ros.workbench.geometry import Direction, Geometry
from spatialclaw_ros.workbench.images import FrameImage, InputImages
from spatialclaw_ros.workbench.mask_tools import Mask
from spatialclaw_ros.workbench.masks import PerFrameMask
from spatialclaw_ros.workbench.measure import Box3D
from spatialclaw_ros.workbench.metadata import Metadata
from spatialclaw_ros.workbench.reconstruct import Reconstruction, ReconstructTool
from spatialclaw_ros.workbench.robot import RobotTool, Trajectory
from spatialclaw_ros.workbench.segment import Sam3Tool
from spatialclaw_ros.workbench.show import Display
from spatialclaw_ros.workbench.vlm import Location, Vlm

BOUND = (
    "Bound without import: np, math, collections, itertools, functools, matplotlib, plt, scipy, ndimage, spatial, "
    "signal, optimize; SAM3, Reconstruct, Geometry, Mask, Robot (also as tools.SAM3, ...), vlm, show, ReturnAnswer, "
    "ToolError, NoMaskFound, InputImages, RefImages (the question's reference pictures, PIL), Metadata; "
    "InputImages_1..N, one per camera, when there are several. Variables live on from cell to cell."
)
_NOISE = re.compile(r"\s+")
_RAISES = re.compile(r" ?Raises: [^.]*(\.|$)")
"""Left out: an error says what to do when it comes, and the prompt is paid for in every request."""


def workbench_reference() -> str:
    """Every name that a cell can use: signature, what it takes, returns and raises. Plain text, under 12 kB."""
    parts = [
        BOUND,
        _type(InputImages, "InputImages"),
        _type(FrameImage, "items of InputImages"),
        _type(Metadata, "Metadata"),
        _function("show", Display.show),
        _function("ReturnAnswer", AnswerBox.submit),
        _methods("Reconstruct", ReconstructTool, ["Reconstruct"]),
        _type(Reconstruction, "Reconstruction", ["to_ros_frame", "from_ros_frame", "camera_position", "render_bev"]),
        _methods("SAM3", Sam3Tool),
        _type(
            PerFrameMask,
            "PerFrameMask",
            ["get_mask", "get_masked_points", "get_centroid_3d", "get_box_3d", "visualize"],
        ),
        _type(Box3D, "Box3D"),
        _methods("Geometry", Geometry),
        _type(Direction, "Direction"),
        _methods("Mask", Mask),
        _methods("Robot", RobotTool),
        _type(Trajectory, "Trajectory"),
        _methods("vlm", Vlm),
        _type(Location, "the result of vlm.locate"),
    ]
    return "\n\n".join(parts) + "\n"


def _methods(name: str, owner: type, only: Iterable[str] | None = None) -> str:
    lines = [f"## {name}: {_text(owner)}"]
    for method in only or [key for key in vars(owner) if not key.startswith("_") and key != "mask_to_bbox"]:
        lines.append(_function(f"{name}.{method}", inspect.getattr_static(owner, method)))
    return "\n".join(lines)


def _type(owner: type, name: str, methods: Iterable[str] = ()) -> str:
    lines = [f"## {name}: {_text(owner)}"]
    lines += [_function(f".{method}", getattr(owner, method)) for method in methods]
    return "\n".join(lines)


def _function(name: str, function: Any) -> str:
    function = getattr(function, "__func__", function)
    signature = inspect.signature(function)
    arguments = ", ".join(_argument(p) for p in signature.parameters.values() if p.name != "self")
    returns = "" if signature.return_annotation in ("None", "Any") else f" -> {signature.return_annotation}"
    return f"{name}({arguments}){returns.replace('np.ndarray', 'array')}\n  {_RAISES.sub('', _text(function)).strip()}"


def _argument(parameter: inspect.Parameter) -> str:
    stars = "*" if parameter.kind is inspect.Parameter.VAR_POSITIONAL else ""
    default = "" if parameter.default is inspect.Parameter.empty else f"={parameter.default!r}"
    return f"{stars}{parameter.name}{default}"


def _text(owner: Any) -> str:
    return _NOISE.sub(" ", inspect.getdoc(owner) or "").strip()
