"""The workbench of one kernel: `install` once when it starts, `begin` for every goal; also usable without a kernel."""

from __future__ import annotations

import base64
import math
from collections.abc import MutableMapping
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from spatialclaw_ros.kernel.cell import MIME_CELL
from spatialclaw_ros.workbench import broker_client
from spatialclaw_ros.workbench.bench import Bench, BrokerCall, Publish
from spatialclaw_ros.workbench.images import FrameImage, InputImages
from spatialclaw_ros.workbench.metadata import make_metadata
from spatialclaw_ros.workbench.names import library_names, register_modules, tool_names
from spatialclaw_ros.workbench.show import Display
from spatialclaw_ros.workbench.variables import VariableWatch

CELL_VERSION = 1
MAX_NOTES = 20


class Workbench:
    """Binds the names into a namespace, follows its variables, and reports each cell.

    namespace: the dict that cells run in. call: the way to the node. publish: takes (data by MIME type, metadata).
    """

    def __init__(self, namespace: MutableMapping[str, Any], call: BrokerCall, publish: Publish) -> None:
        self.bench = Bench(call, publish)
        self.namespace = namespace
        self._display = Display(self.bench)
        self._watch = VariableWatch(hidden={*namespace, "In", "Out", "get_ipython", "exit", "quit", "open"})
        libraries = library_names()
        # a plain function: matplotlib sets its __signature__, which a bound method does not allow
        libraries["plt"].show = lambda *args, **kwargs: self._display.show_figures()
        self._bind({**libraries, **tool_names(self.bench, self._display)})

    def begin(self, manifest: Any, folder: Path = Path()) -> None:
        """Start a goal: bind its frames. Variables of earlier goals of the session stay.

        manifest: as frames.manifest.read_manifest returns; folder: where it and the broker's arrays lie.
        """
        images = InputImages(FrameImage(frame) for frame in sorted(manifest.frames, key=lambda f: (f.stamp, f.index)))
        self.bench.manifest, self.bench.folder, self.bench.images, self.bench.world = manifest, folder, images, None
        cameras = sorted({image.camera for image in images})
        source = str(manifest.session.get("source", "camera"))
        metadata = make_metadata(images, manifest.world_frame, manifest.base_frame, manifest.gravity_aligned, source)
        names = {"InputImages": images, "Metadata": metadata, "RefImages": _reference_images(manifest.session, folder)}
        for stale in [name for name in self.namespace if name.startswith("InputImages_")]:
            del self.namespace[stale]
        if len(cameras) > 1:
            for number, camera in enumerate(cameras, 1):
                names[f"InputImages_{number}"] = InputImages(image for image in images if image.camera == camera)
        self._bind(names)
        self.bench.start_cell()

    def start_cell(self) -> None:
        """Before a cell: forget what the previous one collected."""
        self.bench.start_cell()
        self._display.start_cell()

    def end_cell(self) -> dict[str, Any]:
        """After a cell, failed or not: show figures left open, then publish and return the typed report."""
        self._show_open_figures()
        report = {
            "version": CELL_VERSION,
            "variables": self._watch.changes(self.namespace),
            "names": self._watch.names(),
            "answer": self.bench.answer,
            "notes": self.bench.notes[:MAX_NOTES],
            "tool_calls": self.bench.tool_calls,
        }
        self.bench.publish({MIME_CELL: _strict(report)}, {})
        return report

    def _show_open_figures(self) -> None:
        try:
            self._display.show_figures()
        except Exception as error:  # drawing runs what the cell set up; the report must come all the same
            self.bench.note(f"a figure that was left open could not be drawn: {type(error).__name__}: {error}")

    def _bind(self, names: dict[str, Any]) -> None:
        self.namespace.update(names)
        self._watch.bind(names)


_workbench: Workbench | None = None


def install(shell: Any) -> Workbench:
    """Once, when the kernel starts: bind the names into an IPython shell and register the hooks around its cells.

    Cells executed silently (the node's own) run no hook.
    """
    global _workbench

    def publish(data: dict[str, Any], metadata: dict[str, Any]) -> None:
        shell.display_pub.publish(data=data, metadata=metadata)

    _workbench = Workbench(shell.user_ns, broker_client.call, publish)
    register_modules(shell.user_ns)
    shell.events.register("pre_run_cell", lambda *_: _workbench.start_cell())
    shell.events.register("post_run_cell", lambda *_: _workbench.end_cell())
    return _workbench


def begin(manifest_path: str | Path) -> None:
    """At the start of every goal, inside the kernel. Raises: what read_manifest raises; RuntimeError before install."""
    from spatialclaw_ros.frames.manifest import read_manifest

    if _workbench is None:
        raise RuntimeError("workbench.session.install(shell) has to run before begin")
    path = Path(manifest_path)
    _workbench.begin(read_manifest(path), path.parent)


def _reference_images(session: dict[str, Any], folder: Path) -> list[Image.Image]:
    """The goal's reference images: session["reference_images"] holds file names in the folder, or base64 of JPEG or
    PNG."""
    images = []
    for entry in session.get("reference_images", []):
        file = folder / entry if len(entry) < 256 else None
        data = file.read_bytes() if file is not None and file.is_file() else base64.b64decode(entry)
        picture = Image.open(BytesIO(data))
        images.append(picture.convert("RGB"))
    return images


def _strict(value: Any) -> Any:
    """JSON without NaN: whoever reads the stream may be strict."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _strict(entry) for key, entry in value.items()}
    return [_strict(entry) for entry in value] if isinstance(value, list) else value
