"""The interface files say what the Python records say, and equal upstream where they bear upstream's name."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
import yaml

from spatialclaw_ros.agent.records import AnswerType
from spatialclaw_ros.errors import ErrorCode

ROOT = Path(__file__).resolve().parents[2]
INTERFACES = sorted(
    path
    for package in ("spatialclaw_msgs", "pypi/tf2_msgs", "pypi/vision_msgs")
    for path in (ROOT / package).rglob("*")
    if path.suffix in {".msg", ".action"}
)
UPSTREAM = {
    "vision_msgs/msg/BoundingBox3D": ["geometry_msgs/Pose center", "geometry_msgs/Vector3 size"],
    "vision_msgs/msg/Detection3D": [
        "std_msgs/Header header",
        "ObjectHypothesisWithPose[] results",
        "BoundingBox3D bbox",
        "string id",
    ],
    "vision_msgs/msg/Detection3DArray": ["std_msgs/Header header", "Detection3D[] detections"],
    "vision_msgs/msg/LabelInfo": ["std_msgs/Header header", "vision_msgs/VisionClass[] class_map", "float32 threshold"],
    "vision_msgs/msg/ObjectHypothesis": ["string class_id", "float64 score"],
    "vision_msgs/msg/ObjectHypothesisWithPose": [
        "ObjectHypothesis hypothesis",
        "geometry_msgs/PoseWithCovariance pose",
    ],
    "vision_msgs/msg/VisionClass": ["uint16 class_id", "string class_name"],
    "tf2_msgs/msg/TFMessage": ["geometry_msgs/TransformStamped[] transforms"],
}


def section(number: int) -> str:
    """Goal (0), result (1) or feedback (2) of the action."""
    return (ROOT / "spatialclaw_msgs/action/SpatialQuery.action").read_text().split("\n---\n")[number]


def constants(text: str, kind: str) -> dict[str, int]:
    return {name: int(value) for name, value in re.findall(rf"^{kind} ([A-Z_]+) = (\d+)", text, re.MULTILINE)}


def fields(text: str) -> list[str]:
    """The lines of an interface that declare fields, comments and constants left out."""
    lines = (line.split("#")[0].strip() for line in text.splitlines())
    return [" ".join(line.split()) for line in lines if line and "=" not in line and line != "---"]


def test_error_codes_are_those_of_the_errors():
    assert constants(section(1), "uint16") == {code.name: code.value for code in ErrorCode}


@pytest.mark.parametrize("file", ["action/SpatialQuery.action", "msg/SpatialAnswer.msg"])
def test_answer_types_are_those_of_the_records(file: str):
    text = (ROOT / "spatialclaw_msgs" / file).read_text()
    assert constants(text, "uint8") == {f"TYPE_{kind.name}": kind.value for kind in AnswerType}


def test_goal_result_and_feedback_have_the_fields_that_were_agreed():
    names = [[line.split()[1] for line in fields(section(number))] for number in range(3)]
    assert names[0] == (
        "question reference_images answer_type choices target_frame cameras start_time end_time session_id max_steps "
        "time_limit".split()
    )
    assert set(names[1]) == set(
        "error_code error_message answer answer_type number number_stddev unit choice_index boolean confidence "
        "evidence_frames point objects is_best_effort steps duration prompt_tokens completion_tokens sandbox_level "
        "trace_path notes feedback_count".split()
    )
    assert names[2] == "stage step purpose code output image".split()


@pytest.mark.parametrize("path", INTERFACES, ids=lambda path: path.name)
def test_every_field_is_commented(path: Path):
    """A comment stands above each group of fields, or at the file's top where the fields are few."""
    commented = False
    for line in path.read_text().splitlines():
        if line.startswith("#"):
            commented = True
        elif line.startswith("---"):
            commented = False
        elif line.strip() and "=" not in line:
            assert commented, f"{path.name}: nothing says what '{line}' is"


@pytest.mark.parametrize("package", ["tf2_msgs", "vision_msgs"])
def test_borrowed_names_have_upstreams_fields(package: str):
    files = {
        f"{package}/msg/{path.stem}": fields(path.read_text()) for path in (ROOT / "pypi" / package / "msg").iterdir()
    }
    assert files == {name: lines for name, lines in UPSTREAM.items() if name.startswith(package)}


def built_hash(name: str) -> str:
    description = Path(sys.prefix) / "share" / f"{name}.json"
    if not description.is_file():
        pytest.skip(f"{description} is not there: the interfaces of this environment come from a ROS distribution")
    entries = json.loads(description.read_text())["type_hashes"]
    return next(entry["hash_string"] for entry in entries if entry["type_name"] == name)


def test_tf_message_has_upstreams_type_hash():
    expected = "RIHS01_e369d0f05a23ae52508854b66f6aa0437f3449d652e8cbf22d5abe85d020f087"
    assert built_hash(TF := "tf2_msgs/msg/TFMessage") == expected, TF


def test_type_hashes_are_those_of_a_recording(kitchen_data: Path):
    metadata = yaml.safe_load((kitchen_data / "kitchen_bag/metadata.yaml").read_text())
    topics = metadata["rosbag2_bagfile_information"]["topics_with_message_count"]
    recorded = {
        topic["topic_metadata"]["type"]: topic["topic_metadata"]["type_description_hash"].strip() for topic in topics
    }
    assert {name: built_hash(name) for name in recorded} == recorded


def test_interfaces_import_and_have_type_support():
    messages = pytest.importorskip("spatialclaw_msgs.msg", reason="spatialclaw_msgs is not built here: make setup")
    from rclpy.type_support import check_for_type_support

    from spatialclaw_msgs.action import SpatialQuery

    for interface in (
        SpatialQuery,
        messages.EvidenceFrame,
        messages.ReasoningStep,
        messages.SpatialAnswer,
        messages.SpatialObject,
    ):
        check_for_type_support(interface)


def test_an_empty_result_claims_nothing():
    action = pytest.importorskip("spatialclaw_msgs.action", reason="spatialclaw_msgs is not built here: make setup")
    result = action.SpatialQuery.Result()
    assert (result.choice_index, result.confidence, result.number_stddev) == (-1, -1.0, -1.0)
