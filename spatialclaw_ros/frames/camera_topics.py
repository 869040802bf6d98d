"""Which topics belong to which camera: by message type, encoding and name, where nobody says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_TRANSPORTS = ("/compressedDepth", "/compressed")


@dataclass(frozen=True)
class CameraTopics:
    """The topics of one camera; "" where it has none. color and depth may be raw or compressed.

    depth_camera_info: of depth that is not registered to colour. optical_frame: used instead of the messages' frame id.
    """

    color: str
    depth: str = ""
    camera_info: str = ""
    depth_camera_info: str = ""
    optical_frame: str = ""


def camera_info_beside(color: str) -> str:
    """Where image_transport's custom has the CameraInfo of a colour topic: `camera_info` in the same namespace."""
    namespace, slash, _ = without_transport(color).rpartition("/")
    return f"{namespace}{slash}camera_info"


def without_transport(topic: str) -> str:
    """An image topic's name without image_transport's suffix for compressed pictures."""
    for transport in _TRANSPORTS:
        topic = topic.removesuffix(transport)
    return topic


def find_cameras(encodings: Mapping[str, str], info_topics: Iterable[str]) -> dict[str, CameraTopics]:
    """Group topics into cameras, named by the first part of their topics where that is unique.

    encodings: image topic → encoding or compressed format of its first message. A raw topic is preferred to its
    compressed twin, and depth whose name says that it is aligned or registered to other depth.
    """
    depth_topics = _one_transport(topic for topic, encoding in encodings.items() if is_depth(topic, encoding))
    color_topics = _one_transport(topic for topic, encoding in encodings.items() if not is_depth(topic, encoding))
    infos = list(info_topics)
    names = _camera_names(color_topics)
    return {
        names[color]: CameraTopics(color, _nearest_depth(color, depth_topics), _nearest_info(color, infos))
        for color in color_topics
    }


def is_depth(topic: str, encoding: str) -> bool:
    """Whether images are depth: by encoding, and by name only where the encoding leaves it open."""
    if encoding.startswith(("16UC1", "32FC1")) or "compressedDepth" in encoding:
        return True
    return encoding in ("mono16", "png") and "depth" in topic


def _one_transport(topics: Iterable[str]) -> list[str]:
    chosen: dict[str, str] = {}
    for topic in sorted(topics, key=len):
        chosen.setdefault(without_transport(topic), topic)
    return sorted(chosen.values())


def _camera_names(topics: list[str]) -> dict[str, str]:
    firsts = [topic.strip("/").split("/")[0] for topic in topics]
    names = {}
    for topic, first in zip(topics, firsts, strict=True):
        parts = without_transport(topic).strip("/").split("/")
        names[topic] = first if firsts.count(first) == 1 else "_".join(parts[:-1]) or first
    unique = len(set(names.values())) == len(names)
    return names if unique else {topic: without_transport(topic).strip("/").replace("/", "_") for topic in topics}


def _common(first: str, second: str) -> int:
    count = 0
    for one, other in zip(first.strip("/").split("/"), second.strip("/").split("/"), strict=False):
        if one != other:
            break
        count += 1
    return count


def _nearest_depth(color: str, topics: list[str]) -> str:
    def fit(topic: str) -> tuple[int, bool]:
        return _common(color, topic), "aligned" in topic or "registered" in topic

    return max((topic for topic in topics if _common(color, topic)), key=fit, default="")


def _nearest_info(color: str, topics: list[str]) -> str:
    def fit(topic: str) -> tuple[int, bool]:
        return _common(color, topic), "depth" not in topic

    return max((topic for topic in topics if _common(color, topic)), key=fit, default="")
