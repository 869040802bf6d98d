"""The model's part in the kitchen test: cells for five questions, and boxes for the pictures it is shown.

It plays a vision-language model behind HTTP: it sees what any model sees (the messages), writes one cell per reply, and
answers a grounding request by recognising which recorded picture it was shown and looking up the box drawn on it.
It knows boxes, never an answer.
"""

from __future__ import annotations

import base64
import re
from pathlib import Path

import cv2
import numpy as np
import yaml

from spatialclaw_ros.fakes.openai_server import FakeReply, RecordedRequest

FIRST_STAMP = 1_000_000_000.0
PERIOD = 0.833333333


def cell(purpose: str, code: str) -> str:
    return f"Purpose: {purpose}\nReasoning: measured in three dimensions.\nNext goal: answer.\n```python\n{code}\n```"


PICK_FRAME = f"""
def recorded(k):
    return min(InputImages, key=lambda image: abs(image.stamp - ({FIRST_STAMP!r} + {PERIOD!r} * k)))

def position(name, *frames):
    found = []
    for k in frames:
        image = recorded(k)
        mask = SAM3.segment_image_by_text(image, name)
        recon = Reconstruct.Reconstruct(image)
        center = mask.get_centroid_3d(recon, image.frame_index, 0)
        found.append(recon.to_ros_frame(center, "odom"))
        print(name, "in frame", k, np.round(found[-1], 3), mask.backend)
    return np.median(found, axis=0)
"""

CELLS = {
    "How far apart are the white mug": [
        cell(
            "find both mugs",
            PICK_FRAME + "\nwhite = position('white mug', 12, 21)\nfloral = position('floral mug', 12, 21)",
        ),
        cell("measure", "d = Geometry.euclidean_distance(white, floral)\nprint(d)\nReturnAnswer(float(d), unit='m')"),
    ],
    "How far is the red game controller": [
        cell("find both", PICK_FRAME + "\na = position('red game controller', 15)\nb = position('floral mug', 15)"),
        cell("measure", "ReturnAnswer(float(Geometry.euclidean_distance(a, b)), unit='m', point=b, frame='odom')"),
    ],
    "Which is closer to the floral mug": [
        cell(
            "find all three",
            PICK_FRAME + "\nmug = position('floral mug', 15)\nbox = position('plastic box', 15)\n"
            "controller = position('red game controller', 15)",
        ),
        cell(
            "compare",
            "near = {'plastic box': Geometry.euclidean_distance(mug, box),"
            " 'red game controller': Geometry.euclidean_distance(mug, controller)}\nprint(near)\n"
            "ReturnAnswer(min(near, key=near.get))",
        ),
    ],
    "Seen from the camera in frame 12": [
        cell(
            "compare directions",
            PICK_FRAME + "\nimage = recorded(12)\nx = {}\nfor name in ('floral mug', 'white mug'):\n"
            "    mask = SAM3.segment_image_by_text(image, name)\n"
            "    x[name] = tools.Mask.centroid(mask.get_mask(image.frame_index, 0))[0]\n"
            "show(image, label='frame 12')\nprint(x)\n"
            "ReturnAnswer('left' if x['floral mug'] < x['white mug'] else 'right')",
        ),
    ],
    "How long is the path": [
        cell(
            "add up the camera's steps",
            "places = np.array([image.pose[:3, 3] for image in InputImages])\n"
            "d = float(np.linalg.norm(np.diff(places, axis=0), axis=1).sum())\nprint(len(places), d)\n"
            "ReturnAnswer(d, unit='m')",
        ),
    ],
}


class KitchenModel:
    """A reply for every request. frames: the folder kitchen_frames; questions: kitchen_questions.yaml."""

    def __init__(self, frames: Path, questions: Path) -> None:
        self._boxes = yaml.safe_load(questions.read_text())["boxes"]
        self._known = {name: _small(cv2.imread(str(frames / f"{name}.color.jpg"))) for name in self._boxes}
        self.grounding_requests = 0

    def __call__(self, request: RecordedRequest) -> FakeReply:
        conversation = "\n".join(_texts(request))
        for question, cells in CELLS.items():
            if question in conversation:
                if "<request>plan</request>" in _texts(request)[-1]:
                    return FakeReply("1. Find the things that are named. 2. Measure. 3. Answer.")
                said = sum(
                    message["role"] == "assistant" and "```python" in str(message) for message in request.messages
                )
                return FakeReply(cells[min(said, len(cells) - 1)])
        return FakeReply(self._locate(request, conversation))

    def _locate(self, request: RecordedRequest, conversation: str) -> str:
        self.grounding_requests += 1
        picture = _picture(request)
        shown = _small(picture)
        name = min(self._known, key=lambda key: float(np.abs(self._known[key] - shown).mean()))
        if np.abs(self._known[name] - shown).mean() > 6.0:
            return "Not visible"
        for thing, (x1, y1, x2, y2) in self._boxes[name].items():
            if re.search(rf"\b{thing}\b", conversation):
                return " ".join(str(round(v)) for v in (x1 / 0.64, y1 / 0.48, x2 / 0.64, y2 / 0.48))
        return "Not visible"


def _texts(request: RecordedRequest) -> list[str]:
    texts = []
    for message in request.messages:
        content = message["content"]
        texts.append(content if isinstance(content, str) else "\n".join(part.get("text", "") for part in content))
    return texts


def _picture(request: RecordedRequest) -> np.ndarray:
    parts = [
        part for message in request.messages if isinstance(message["content"], list) for part in message["content"]
    ]
    urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    data = base64.b64decode(urls[-1].split(",", 1)[1])
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


def _small(image: np.ndarray) -> np.ndarray:
    return cv2.resize(image, (64, 48), interpolation=cv2.INTER_AREA).astype(np.float32)
