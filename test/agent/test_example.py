"""examples/ask_images.py: what it takes from the command line and from a room's folder."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "ask_images.py"


@pytest.fixture(scope="module")
def example() -> dict[str, Any]:
    return runpy.run_path(str(EXAMPLE), run_name="example")


def arguments(monkeypatch: pytest.MonkeyPatch, example: dict[str, Any], *words: str) -> Any:
    monkeypatch.setattr(sys, "argv", ["ask_images.py", *words])
    return example["parse_arguments"]()


def test_the_last_word_is_the_question_where_it_is_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, example: dict[str, Any]
) -> None:
    (tmp_path / "a.jpg").touch()
    given = arguments(monkeypatch, example, str(tmp_path / "a.jpg"), "How far?" + " really" * 100)
    assert given.source == [tmp_path / "a.jpg"]
    assert given.question.startswith("How far?")
    assert arguments(monkeypatch, example, str(tmp_path / "a.jpg")).question == ""


def test_pictures_are_loaded_in_order_with_the_depth_beside_them(tmp_path: Path, example: dict[str, Any]) -> None:
    for number in range(2):
        cv2.imwrite(str(tmp_path / f"{number}.color.jpg"), np.full((8, 10, 3), 50, np.uint8))
    cv2.imwrite(str(tmp_path / "1.depth.png"), np.full((8, 10), 1500, np.uint16))
    snapshot = example["load"](sorted(tmp_path.glob("*.*g")))
    assert [frame.depth is None for frame in snapshot] == [True, False]
    assert snapshot[1].depth[0, 0] == pytest.approx(1.5)
    assert [frame.stamp for frame in snapshot] == [0, 1_000_000_000]


def test_a_rooms_own_questions_become_queries_with_their_truth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, example: dict[str, Any]
) -> None:
    asked = [
        {"family": "distance", "question": "How far?", "answer": {"type": "number", "value": 1.2, "unit": "m"}},
        {
            "family": "left_right",
            "question": "Left?",
            "answer": {"type": "choice", "value": "left", "choices": ["left", "right"]},
        },
    ]
    (tmp_path / "questions.yaml").write_text(yaml.safe_dump({"questions": asked}))
    chosen = example["questions"](arguments(monkeypatch, example, str(tmp_path)))
    assert [(question, truth) for question, _, truth in chosen] == [("How far?", "1.2 m"), ("Left?", "left")]
    assert chosen[1][1]["choices"] == ("left", "right")
