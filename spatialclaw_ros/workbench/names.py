"""The names that are bound in a kernel without an import, and the modules `tools`, `vlm` and `feedback`."""

from __future__ import annotations

import collections
import functools
import itertools
import math
import sys
import types
from typing import Any

import numpy as np

from spatialclaw_ros.workbench.answer import AnswerBox
from spatialclaw_ros.workbench.bench import Bench
from spatialclaw_ros.workbench.errors import NoMaskFound, ToolError
from spatialclaw_ros.workbench.geometry import Geometry
from spatialclaw_ros.workbench.mask_tools import Mask
from spatialclaw_ros.workbench.reconstruct import ReconstructTool
from spatialclaw_ros.workbench.robot import RobotTool
from spatialclaw_ros.workbench.segment import Sam3Tool
from spatialclaw_ros.workbench.show import Display
from spatialclaw_ros.workbench.vlm import Vlm

SPOKEN = {Sam3Tool: "SAM3", ReconstructTool: "Reconstruct", RobotTool: "Robot", Vlm: "vlm"}
"""Classes by the name under which cells know their one object."""


def _speak_as_bound() -> None:
    """Let Python's own errors ("f() got an unexpected keyword argument") name functions as cells call them."""
    for owner, spoken in SPOKEN.items():
        for name, member in vars(owner).items():
            if isinstance(member, types.FunctionType):
                member.__qualname__ = spoken if name == "__call__" else f"{spoken}.{name}"
    Display.show.__qualname__ = "show"
    AnswerBox.submit.__qualname__ = "ReturnAnswer"


_speak_as_bound()


def library_names() -> dict[str, Any]:
    """NumPy, SciPy, matplotlib (Agg) and what is often used of the standard library."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot
    import scipy
    from scipy import ndimage, optimize, signal, spatial

    return {
        "np": np, "math": math, "collections": collections, "itertools": itertools, "functools": functools,
        "matplotlib": matplotlib, "plt": matplotlib.pyplot, "scipy": scipy, "ndimage": ndimage, "spatial": spatial,
        "signal": signal, "optimize": optimize,
    }  # fmt: skip


def tool_names(bench: Bench, display: Display) -> dict[str, Any]:
    """The workbench's own names for one kernel, and the modules that `import tools, vlm, feedback` finds."""
    robot, ask = RobotTool(bench), Vlm(bench)
    bench.robot = robot
    tools = {
        "SAM3": Sam3Tool(bench),
        "Reconstruct": ReconstructTool(bench),
        "Geometry": Geometry,
        "Mask": Mask,
        "Robot": robot,
    }
    feedback = {"show": display.show, "ReturnAnswer": AnswerBox(bench).submit}
    modules = {
        "tools": _module("tools", "Perception, geometry and robot tools.", tools),
        "vlm": _module("vlm", Vlm.__doc__, {"locate": ask.locate, "ask_with_thinking": ask.ask_with_thinking}),
        "feedback": _module("feedback", "show and ReturnAnswer.", feedback),
    }
    return {**tools, **feedback, **modules, "NoMaskFound": NoMaskFound, "ToolError": ToolError}


def register_modules(names: dict[str, Any]) -> None:
    """Let `import tools`, `import vlm`, `import feedback` and `from tools import SAM3` work in this process."""
    for name in ("tools", "vlm", "feedback"):
        sys.modules[name] = names[name]


def _module(name: str, doc: str | None, content: dict[str, Any]) -> types.ModuleType:
    """A module whose errors say what it holds."""
    module = types.ModuleType(name, doc)
    holds = f"it has {', '.join(content)}"

    def refuse(attribute: str) -> Any:
        raise AttributeError(f"module '{name}' has no attribute '{attribute}'; {holds}")

    # "cannot import name 'X' from 'tools' (...)" quotes the file that a module came from; this one came from none
    vars(module).update(content, __getattr__=refuse, __file__=holds)
    return module
