"""The prompt's reference is made from the code, says everything, and stays small."""

from __future__ import annotations

from spatialclaw_ros.workbench.describe import workbench_reference


def test_reference_names_every_public_tool(bench):
    text = workbench_reference()
    for owner, prefix in (
        (bench.value("SAM3"), "SAM3"),
        (bench.value("Robot"), "Robot"),
        (bench.value("Geometry"), "Geometry"),
    ):
        for name in dir(owner):
            if not name.startswith("_"):
                assert f"{prefix}.{name}(" in text
    for name in (
        "show(",
        "ReturnAnswer(",
        "vlm.locate(",
        "vlm.ask_with_thinking(",
        "Mask.iou(",
        "to_ros_frame(",
        "RefImages",
    ):
        assert name in text


def test_reference_shows_arguments_with_defaults():
    text = workbench_reference()
    assert "segment_image_by_text(image, prompt, label=None, confidence_threshold=0.3)" in text
    assert "ReturnAnswer(value=None, unit=None, point=None, frame=None, objects=None," in text


def test_reference_stays_under_12_kb_and_names_no_types_of_typing():
    text = workbench_reference()
    assert len(text.encode()) < 12_000 and "typing." not in text and "self" not in text.replace("itself", "")
