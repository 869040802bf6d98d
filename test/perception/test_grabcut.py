"""The grabcut segmenter: a box, points or a located name become one mask; the kitchen's things lie where they are."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import yaml

from spatialclaw_ros.errors import Canceled, PerceptionError
from spatialclaw_ros.frames.camera import Intrinsics
from spatialclaw_ros.frames.files import frame_from_files
from spatialclaw_ros.limits import CancelToken
from spatialclaw_ros.perception.grabcut import GrabCutSegmenter
from spatialclaw_ros.perception.interfaces import Prompt, SegmentInput

CAMERA = Intrinsics(300, 300, 160, 120, 320, 240)


def scene(with_depth: bool = True) -> tuple[SegmentInput, np.ndarray]:
    """A disc of reddish texture, 0.5 m before a greenish textured wall; its true mask."""
    random = np.random.default_rng(5)
    color = np.clip(random.normal((90, 130, 100), 14, (240, 320, 3)), 0, 255).astype(np.uint8)
    truth = np.zeros((240, 320), np.uint8)
    cv2.circle(truth, (170, 110), 45, 1, -1)
    disc = truth.astype(bool)
    color[disc] = np.clip(random.normal((170, 80, 70), 14, (disc.sum(), 3)), 0, 255).astype(np.uint8)
    depth = np.where(disc, 1.5, 2.0).astype(np.float32)
    depth[random.random((240, 320)) < 0.05] = np.nan
    return SegmentInput(color, depth if with_depth else None, CAMERA), disc


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


def segment(image: SegmentInput, locator=None, **prompt):
    return GrabCutSegmenter(locator).segment(image, Prompt(**prompt), CancelToken())


@pytest.mark.parametrize("with_depth", [True, False])
def test_box_prompt_cuts_out_the_thing(with_depth):
    image, truth = scene(with_depth)
    found = segment(image, box=(120, 60, 220, 160))
    assert found.masks.shape == (1, 240, 320) and found.masks.dtype == bool and found.backend == "grabcut"
    assert iou(found.masks[0], truth) > 0.85 and 0.5 < found.scores[0] <= 1


def test_depth_separates_what_colour_cannot():
    image, truth = scene()
    same = np.full_like(image.color, 120)
    same += np.random.default_rng(0).integers(0, 12, same.shape, np.uint8)
    found = segment(SegmentInput(same, image.depth, CAMERA), box=(115, 55, 225, 165))
    assert iou(found.masks[0], truth) > 0.7


def test_point_prompt_finds_the_thing_under_it():
    image, truth = scene()
    found = segment(image, points=((165.0, 105.0), (180.0, 120.0)), point_labels=(1, 1))
    assert iou(found.masks[0], truth) > 0.7


def test_text_prompt_asks_the_locator_for_the_box():
    image, truth = scene()
    asked = []
    found = segment(
        image, lambda picture, words: asked.append((picture.shape, words)) or (120, 60, 220, 160), text="a ball"
    )
    assert asked == [((240, 320, 3), "a ball")] and iou(found.masks[0], truth) > 0.85
    assert "located by the model in [120, 60, 220, 160]" in found.notes[0]


def test_what_the_model_does_not_see_is_empty_with_a_note():
    found = segment(scene()[0], lambda picture, words: None, text="a ball")
    assert len(found.masks) == 0 and "does not see 'a ball'" in found.notes[0]


def test_text_without_a_locator_says_to_configure_a_seeing_backbone():
    with pytest.raises(PerceptionError, match="backbone that sees pictures"):
        segment(scene()[0], text="a ball")


def test_same_prompt_gives_the_same_mask():
    image, _ = scene()
    first, second = (segment(image, box=(120, 60, 220, 160)).masks for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    "prompt",
    [
        {},
        {"box": (10.0, 10.0, 11.0, 11.0)},
        {"box": (400.0, 10.0, 500.0, 90.0)},
        {"box": (float("nan"), 10.0, 50.0, 90.0)},
        {"points": ((500.0, 10.0),), "point_labels": (1,)},
        {"points": ((50.0, 10.0),), "point_labels": (0,)},
    ],
)
def test_prompt_that_names_no_place_is_refused(prompt):
    with pytest.raises(PerceptionError):
        segment(scene()[0], **prompt)


@pytest.mark.parametrize("box", [(0, 0, 320, 240), (0, 0, 6, 6), (300, 200, 400, 300), (158, 100, 162, 104)])
def test_extreme_boxes_do_not_break_it(box):
    found = segment(scene()[0], box=box)
    assert found.masks.shape[0] in (0, 1)


def test_depth_of_another_size_is_not_used():
    image, truth = scene()
    found = segment(SegmentInput(image.color, np.ones((10, 10), np.float32), CAMERA), box=(120, 60, 220, 160))
    assert iou(found.masks[0], truth) > 0.85


def test_cancel_stops_it():
    token = CancelToken()
    token.cancel()
    with pytest.raises(Canceled):
        GrabCutSegmenter().segment(scene()[0], Prompt(box=(120, 60, 220, 160)), token)


@pytest.fixture(scope="module")
def kitchen(kitchen_data):
    """Questions, and positions (3,) in the world frame of what the file's boxes hold: {(frame, name): position}."""
    from spatialclaw_ros.workbench.backproject import pixel_rays, transform
    from spatialclaw_ros.workbench.measure import dominant_piece, trusted_pixels

    content = yaml.safe_load((kitchen_data / "kitchen_questions.yaml").read_text())
    camera, segmenter, places = Intrinsics(585, 585, 320, 240, 640, 480), GrabCutSegmenter(), {}
    for name, boxes in content["boxes"].items():
        path = kitchen_data / "kitchen_frames" / name
        pose = np.loadtxt(f"{path}.pose.txt")
        frame = frame_from_files(f"{path}.color.jpg", f"{path}.depth.png", camera, pose)
        for thing, box in boxes.items():
            image = SegmentInput(frame.color, frame.depth, camera)
            mask = segmenter.segment(image, Prompt(box=tuple(box)), CancelToken()).masks[0]
            trusted = trusted_pixels(mask, frame.depth)
            points = transform(pose, (pixel_rays(camera, 640, 480) * frame.depth[..., None])[trusted].astype(float))
            places[int(name[-6:]) // 25, thing] = np.median(points[dominant_piece(points, 0.003)], axis=0)
    return {question["id"]: question["answer"] for question in content["questions"]}, places


@pytest.mark.parametrize("frame", [12, 21])
def test_kitchen_mugs_are_as_far_apart_as_measured_by_hand(kitchen, frame):
    answers, at = kitchen
    distance = np.linalg.norm(at[frame, "white mug"] - at[frame, "floral mug"])
    assert distance == pytest.approx(answers["mug_distance"]["value"], abs=answers["mug_distance"]["tolerance"])


def test_kitchen_controller_and_box_lie_where_measured_by_hand(kitchen):
    answers, at = kitchen
    mug, truth = at[15, "floral mug"], answers["controller_distance"]
    controller = np.linalg.norm(at[15, "red game controller"] - mug)
    assert controller == pytest.approx(truth["value"], abs=truth["tolerance"])
    nearer = "plastic box" if np.linalg.norm(at[15, "plastic box"] - mug) < controller else "red game controller"
    assert nearer == answers["nearer_to_mug"]["value"]
