"""What a kernel needs of the host's Python: interpreter, standard library, and the packages that cells may import.

An allowlist: the dependency closure of a few named distributions. What else is installed next to them (ROS, HTTP
clients, the user's own editable packages) stays out of sight, because only the closure's files are bound or granted.
"""

from __future__ import annotations

import re
import sys
import sysconfig
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

REQUIRED = ("ipykernel", "numpy", "scipy", "matplotlib", "pillow", "msgpack")
ONE_OF = ("opencv-python-headless", "opencv-python", "opencv-contrib-python-headless", "opencv-contrib-python")
WHERE_INSTALLED = (
    "orjson",
    "scikit-image",
    "scikit-learn",
    "pandas",
    "networkx",
    "shapely",
    "sympy",
    "trimesh",
    "open3d",
)
NOT_NEEDED = frozenset({"debugpy", "jedi", "parso", "dash", "flask", "werkzeug", "requests"})
"""Dependencies that ipykernel, IPython or Open3D do without in a kernel; leaving them out also saves import time."""

SYSTEM_LIBRARIES = ("/usr/lib", "/usr/lib64", "/lib", "/lib64", "/etc/ld.so.cache")
_NAME = re.compile(r"^[A-Za-z0-9._-]+")


@dataclass(frozen=True)
class PythonTree:
    """Paths on the host.

    executable: the base interpreter (never the virtual environment's link, so that no pyvenv.cfg and no .pth is read).
    roots: folders and files shown whole. hidden: folders below roots that must look empty but for `entries`.
    entries: modules and metadata folders of the allowed distributions. search: what goes on sys.path.
    package: the folder of this package.
    """

    executable: str
    roots: tuple[str, ...]
    hidden: tuple[str, ...]
    entries: tuple[str, ...]
    search: tuple[str, ...]
    package: str


@lru_cache(maxsize=8)
def python_tree(extra: tuple[str, ...] = ()) -> PythonTree:
    """The running interpreter's tree with the allowed distributions (`extra` by name, skipped where not installed)."""
    entries: set[str] = set()
    search: dict[str, None] = {}
    whole: set[str] = set()
    for distribution in _closure((*REQUIRED, *ONE_OF, *WHERE_INSTALLED, *extra)):
        folder = Path(str(distribution.locate_file(""))).resolve()
        search[str(folder)] = None
        tops = _top_levels(distribution)
        if tops is None:
            whole.add(str(folder))  # a distribution's own package (dpkg) lists no files: its folder is shown whole
        else:
            entries.update(str(folder / top) for top in tops if (folder / top).exists())
    executable = str(Path(getattr(sys, "_base_executable", sys.executable)).resolve())
    roots = _roots(executable) | whole
    hidden = {path for path in _package_folders() if path not in whole and _below_any(path, roots)}
    return PythonTree(
        executable=executable,
        roots=tuple(sorted(roots)),
        hidden=tuple(sorted(hidden)),
        entries=tuple(sorted(path for path in entries if not _below_any(path, whole))),
        search=tuple(search),
        package=str(Path(__file__).resolve().parent.parent),
    )


def _closure(names: tuple[str, ...]) -> list[metadata.Distribution]:
    """The named distributions and, transitively, what they require without extras."""
    from packaging.markers import default_environment
    from packaging.requirements import InvalidRequirement, Requirement

    environment: dict[str, Any] = {**default_environment(), "extra": ""}
    found: dict[str, metadata.Distribution] = {}
    waiting = list(names)
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in found or name in NOT_NEEDED:
            continue
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # optional, or required: then the kernel's start fails by the name of the import
        found[name] = distribution
        for text in distribution.requires or ():
            try:
                requirement = Requirement(text)
            except InvalidRequirement:
                match = _NAME.match(text)  # an old distribution's free-form line: its name is enough
                waiting.extend([match.group()] if match else [])
                continue
            if requirement.marker is None or requirement.marker.evaluate(environment):
                waiting.append(requirement.name)
    return list(found.values())


def _top_levels(distribution: metadata.Distribution) -> set[str] | None:
    """First path components of the distribution's files inside its folder; None where it does not list them."""
    record = distribution.read_text("RECORD")  # not .files: that builds thousands of path objects for SciPy alone
    if not record:
        return None
    tops = {line.split("/", 1)[0].split(",", 1)[0].strip('"') for line in record.splitlines()}
    return {top for top in tops if top not in ("", "..", "__pycache__") and not top.endswith(".pth")} or None


def _roots(executable: str) -> set[str]:
    """Interpreter, standard library and system libraries; a prefix other than /usr is shown by its lib folder only."""
    stdlib = str(Path(sysconfig.get_path("stdlib")).resolve())
    library = sysconfig.get_config_var("LIBDIR") or ""
    roots = {executable, stdlib, *(path for path in SYSTEM_LIBRARIES if Path(path).exists())}
    base = Path(sys.base_prefix).resolve()
    if str(base) != "/usr":
        roots.update(str(base / name) for name in ("lib", "lib64") if (base / name).is_dir())
        if library and Path(library).is_dir() and base in Path(library).resolve().parents:
            roots.add(str(Path(library).resolve()))
    kept = {path for path in roots if Path(path).exists()}
    return {path for path in kept if not _below_any(path, kept - {path})}


def _package_folders() -> set[str]:
    """Folders below the base prefix in which packages are installed: hidden, so that only allowed entries show."""
    base = Path(sys.base_prefix)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    folders = {base / lib / version / name for lib in ("lib", "lib64") for name in ("site-packages", "dist-packages")}
    folders |= {base / "lib" / "python3" / "dist-packages", Path("/usr/lib/python3/dist-packages")}
    return {str(folder.resolve()) for folder in folders if folder.is_dir()}


def _below_any(path: str, folders: set[str]) -> bool:
    return any(path == folder or path.startswith(folder.rstrip("/") + "/") for folder in folders)
