"""What the stand-ins promise to the tests that use them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from spatialclaw_ros.backbones.chat import Message, Reply
from spatialclaw_ros.errors import BackboneError, BackboneUnreachable, Canceled, PerceptionError, TimeLimitReached
from spatialclaw_ros.fakes.backbone import ScriptedBackbone
from spatialclaw_ros.fakes.openai_server import FakeOpenAIServer
from spatialclaw_ros.fakes.segmenter import FakeSegmenter
from spatialclaw_ros.limits import CancelToken, Deadline
from spatialclaw_ros.perception.interfaces import Prompt, SegmentInput

QUESTION = [Message("user", ("How far?",))]


def test_scripted_backbone_replies_in_order_and_records_what_was_asked():
    backbone = ScriptedBackbone(["one", Reply("two", model="m")])
    first = backbone.chat(QUESTION, "plan", CancelToken(), Deadline(1))
    second = backbone.chat(QUESTION, "main", CancelToken(), Deadline(1))
    assert (first.text, second.text, second.model) == ("one", "two", "m")
    assert [call.purpose for call in backbone.calls] == ["plan", "main"]


def test_scripted_backbone_raises_a_scripted_error():
    with pytest.raises(BackboneUnreachable, match="gone"):
        ScriptedBackbone([BackboneUnreachable("gone")]).chat(QUESTION, "main", CancelToken(), Deadline(1))


def test_scripted_backbone_says_when_its_script_ends():
    with pytest.raises(BackboneError, match="no reply for call 1"):
        ScriptedBackbone([]).chat(QUESTION, "main", CancelToken(), Deadline(1))


def test_scripted_backbone_can_answer_by_function():
    backbone = ScriptedBackbone(lambda messages, purpose: f"{purpose}: {messages[-1].text}")
    assert backbone.chat(QUESTION, "ask", CancelToken(), Deadline(1)).text == "ask: How far?"


def test_blocked_backbone_ends_on_cancel():
    backbone = ScriptedBackbone(["never"])
    backbone.block()
    cancel = CancelToken()
    outcome = []
    thread = threading.Thread(
        target=lambda: outcome.append(pytest.raises(Canceled, backbone.chat, QUESTION, "main", cancel, Deadline(20)))
    )
    thread.start()
    assert backbone.waiting.wait(5)
    cancel.cancel()
    thread.join(5)
    assert outcome


def test_blocked_backbone_ends_at_its_deadline():
    backbone = ScriptedBackbone(["never"])
    backbone.block()
    with pytest.raises(TimeLimitReached):
        backbone.chat(QUESTION, "main", CancelToken(), Deadline(0.05))


def test_fake_segmenter_masks_the_listed_boxes_clipped_to_the_picture():
    segmenter = FakeSegmenter({"red mug": [(2, 1, 4, 3), (8, 8, 99, 99), (50, 50, 60, 60)]})
    masks = segmenter.segment(SegmentInput(np.zeros((10, 12, 3), np.uint8)), Prompt(text="red mug"), CancelToken())
    assert masks.masks.shape == (2, 10, 12)
    assert (masks.masks.sum(axis=(1, 2)) == [4, 8]).all()


def test_fake_segmenter_finds_nothing_it_was_not_told():
    masks = FakeSegmenter().segment(SegmentInput(np.zeros((10, 12, 3), np.uint8)), Prompt(text="cat"), CancelToken())
    assert masks.masks.shape == (0, 10, 12)


def test_fake_segmenter_fails_when_told_to():
    with pytest.raises(PerceptionError, match="broken"):
        FakeSegmenter(error=PerceptionError("broken")).segment(
            SegmentInput(np.zeros((4, 4, 3), np.uint8)), Prompt(text="cat"), CancelToken()
        )


def test_server_says_when_its_script_ends():
    with FakeOpenAIServer(["only"]) as server:
        assert _post(server.url)["choices"][0]["message"]["content"] == "only"
        with pytest.raises(urllib.error.HTTPError) as caught:
            _post(server.url)
        assert "no reply left" in caught.value.read().decode()
        caught.value.close()


@pytest.mark.process
def test_server_runs_as_a_process_and_writes_what_came(tmp_path):
    script = tmp_path / "replies.yaml"
    script.write_text('- "first"\n- {text: second, delay: 0.01}\n')
    record = tmp_path / "requests.jsonl"
    root = Path(__file__).resolve().parents[2]
    process = subprocess.Popen(
        [sys.executable, "-m", "spatialclaw_ros.fakes.openai_server", "--script", str(script), "--record", str(record)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    try:
        url = json.loads(process.stdout.readline())["url"]
        texts = [_post(url)["choices"][0]["message"]["content"] for _ in range(2)]
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.stdout.close()
    assert texts == ["first", "second"]
    assert [json.loads(line)["text"] for line in record.read_text().splitlines()] == ["hi", "hi"]


def _post(url):
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]}).encode()
    request = urllib.request.Request(f"{url}/chat/completions", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)
