"""What the OpenAI-compatible backbone promises: replies, typed errors, retries, cancel, and a key that never shows."""

from __future__ import annotations

import logging
import threading
import time

import pytest

from spatialclaw_ros.backbones.chat import Message, Picture
from spatialclaw_ros.backbones.config import BackboneConfig, Sampling
from spatialclaw_ros.backbones.openai import OpenAIBackbone
from spatialclaw_ros.backbones.registry import make_backbone
from spatialclaw_ros.errors import (
    BackboneAuthenticationError,
    BackboneError,
    BackboneUnreachable,
    Canceled,
    ConfigurationError,
    TimeLimitReached,
)
from spatialclaw_ros.fakes.openai_server import FakeOpenAIServer, FakeReply
from spatialclaw_ros.limits import CancelToken, Deadline

HELLO = [Message("system", ("Be brief.",)), Message("user", ("Hello?",))]
KEY = "sk-very-secret-0123456789"


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr("spatialclaw_ros.backbones.openai.FIRST_PAUSE", 0.002)


@pytest.fixture
def backbone_for():
    made = []

    def make(server, **settings):
        url = server if isinstance(server, str) else server.url
        made.append(
            OpenAIBackbone(BackboneConfig(**{"name": "openai", "base_url": url, "model": "fake-model", **settings}))
        )
        return made[-1]

    yield make
    for backbone in made:
        backbone.close()


def ask(backbone, messages=HELLO, purpose="main", cancel=None, seconds=20.0):
    return backbone.chat(messages, purpose, cancel or CancelToken(), Deadline(seconds))


def free_port() -> int:
    with FakeOpenAIServer() as server:
        return server.port


@pytest.mark.parametrize("stream", [False, True])
def test_reply_carries_text_reasoning_and_token_counts(backbone_for, stream):
    text = "Grüße — the chair is 2 m away, as a longer text in several events."
    with FakeOpenAIServer([FakeReply(text, reasoning="hm", prompt_tokens=7, completion_tokens=3)]) as server:
        reply = ask(backbone_for(server, stream=stream))
        assert (reply.text, reply.reasoning, reply.prompt_tokens, reply.completion_tokens) == (text, "hm", 7, 3)
        assert (reply.model, reply.finish_reason) == ("fake-model", "stop")
        assert reply.request_bytes == len(server.requests[0].body)


def test_thinking_left_in_the_text_becomes_reasoning(backbone_for):
    with FakeOpenAIServer(["<think>first\nthen</think>\n\nTwo metres."]) as server:
        reply = ask(backbone_for(server))
    assert (reply.text, reply.reasoning) == ("Two metres.", "first\nthen")


def test_model_that_says_nothing_gives_an_empty_reply(backbone_for):
    with FakeOpenAIServer([""]) as server:
        assert ask(backbone_for(server)).text == ""


def test_pictures_travel_as_data_urls_in_reading_order(backbone_for):
    message = Message("user", ("before", Picture(b"\xff\xd8jpeg", "image/jpeg", 4, 3), "after"))
    with FakeOpenAIServer(["ok"]) as server:
        ask(backbone_for(server), [message])
        content = server.requests[0].messages[0]["content"]
    assert [part["type"] for part in content] == ["text", "image_url", "text"]
    assert content[1]["image_url"]["url"] == "data:image/jpeg;base64,/9hqcGVn"


def test_next_request_repeats_the_conversation_byte_for_byte(backbone_for):
    conversation = [*HELLO, Message("user", ("look", Picture(b"x" * 1000, "image/png", 4, 3)))]
    with FakeOpenAIServer(["one", "two"]) as server:
        backbone = backbone_for(server)
        ask(backbone, conversation)
        ask(backbone, [*conversation, Message("assistant", ("one",)), Message("user", ("go on",))])
        first, second = (request.body for request in server.requests)
    assert second.startswith(first[:-2])


def test_text_that_json_cannot_carry_is_replaced(backbone_for):
    with FakeOpenAIServer(["ok"]) as server:
        ask(backbone_for(server), [Message("user", ("broken \udcff end",))])
        assert server.requests[0].text == "broken ? end"


def test_sampling_differs_by_purpose(backbone_for):
    with FakeOpenAIServer(["a", "b"]) as server:
        backbone = backbone_for(server, main=Sampling(0.7, 900), token_limit_name="max_completion_tokens")
        ask(backbone, purpose="main")
        ask(backbone, purpose="plan")
        main, plan = (request.json for request in server.requests)
    assert (main["temperature"], main["max_completion_tokens"]) == (0.7, 900)
    assert "temperature" not in plan and "max_completion_tokens" not in plan


@pytest.mark.parametrize("mode", ["rate_limited", "server_error", "drop", "cut"])
def test_passing_failures_are_tried_again(backbone_for, mode):
    with FakeOpenAIServer([FakeReply(mode=mode), FakeReply(mode=mode), "there"]) as server:
        assert ask(backbone_for(server)).text == "there"
        assert len(server.requests) == 3


def test_busy_server_is_given_up_after_max_attempts(backbone_for):
    with FakeOpenAIServer(lambda request: FakeReply(mode="rate_limited", error_message="slow down")) as server:
        with pytest.raises(BackboneError, match=r"HTTP 429: slow down \(tried 3 times\)"):
            ask(backbone_for(server, max_attempts=3))
        assert len(server.requests) == 3


def test_retry_after_beyond_the_deadline_fails_at_once(backbone_for):
    with FakeOpenAIServer(lambda request: FakeReply(mode="rate_limited", retry_after=60)) as server:
        with pytest.raises(BackboneError, match="429"):
            ask(backbone_for(server), seconds=20)
        assert len(server.requests) == 1


def test_retry_after_is_waited_for(backbone_for):
    with FakeOpenAIServer([FakeReply(mode="rate_limited", retry_after=0.2), "now"]) as server:
        ask(backbone_for(server))
        first, second = server.requests
    assert second.arrived_ns - first.replied_ns >= 0.19e9


def test_unreachable_server_names_its_address_and_what_to_do(backbone_for):
    url = f"http://127.0.0.1:{free_port()}/v1"
    with pytest.raises(BackboneUnreachable, match="base_url") as caught:
        ask(backbone_for(url))
    assert url in str(caught.value)


@pytest.mark.parametrize("mode", ["unauthorized", "forbidden"])
def test_refused_key_names_the_variable_and_never_the_key(backbone_for, monkeypatch, mode):
    monkeypatch.setenv("MY_MODEL_KEY", KEY)
    with FakeOpenAIServer([FakeReply(mode=mode, error_message=f"bad key {KEY}")]) as server:
        with pytest.raises(BackboneAuthenticationError, match="MY_MODEL_KEY") as caught:
            ask(backbone_for(server, api_key_env="MY_MODEL_KEY"))
        assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
        assert len(server.requests) == 1
    assert KEY not in str(caught.value)


def test_key_shows_in_no_log_and_no_repr(backbone_for, monkeypatch, caplog):
    monkeypatch.setenv("MY_MODEL_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    with FakeOpenAIServer([FakeReply(mode="html"), f"echo {KEY}"]) as server:
        backbone = backbone_for(server, api_key_env="MY_MODEL_KEY")
        with pytest.raises(BackboneError):
            ask(backbone)
        ask(backbone)
    assert KEY not in caplog.text
    assert KEY not in repr(backbone)


def test_no_key_is_sent_without_a_variable_even_if_a_usual_one_is_set(backbone_for, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with FakeOpenAIServer(["ok"]) as server:
        ask(backbone_for(server))
        assert "authorization" not in server.requests[0].headers


def test_named_but_missing_variable_is_a_configuration_error(monkeypatch):
    monkeypatch.delenv("MY_MODEL_KEY", raising=False)
    with pytest.raises(ConfigurationError, match="MY_MODEL_KEY"):
        make_backbone(BackboneConfig(name="openai", model="m", api_key_env="MY_MODEL_KEY"))


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("html", "not JSON.*base_url"),
        ("empty", "empty body"),
        ("invalid_json", "not JSON"),
        ("no_choices", "without choices"),
        ("not_found", "HTTP 404.*base_url"),
        ("gzip", "compressed"),
    ],
)
def test_unusable_replies_are_named(backbone_for, mode, said):
    with FakeOpenAIServer([FakeReply(mode=mode)]) as server, pytest.raises(BackboneError, match=said) as caught:
        ask(backbone_for(server))
    assert server.url in str(caught.value)


def test_stream_that_breaks_off_is_not_taken_for_a_reply():
    from spatialclaw_ros.backbones.completion import parse_reply

    cut = b'data: {"choices":[{"index":0,"delta":{"content":"The answer is"},"finish_reason":null}]}\n\n'
    with pytest.raises(BackboneError, match="cut off"):
        parse_reply(cut, "text/event-stream", "http://x", 1)


def test_reply_that_never_ends_is_cut_at_the_size_limit(backbone_for):
    endless = FakeOpenAIServer([FakeReply(mode="endless")])
    with endless as server, pytest.raises(BackboneError, match="more than 200000 bytes"):
        ask(backbone_for(server, max_reply_bytes=200_000))


def test_cancel_aborts_the_request_in_flight(backbone_for):
    cancel = CancelToken()
    with FakeOpenAIServer([FakeReply("late", delay=30)]) as server:
        backbone = backbone_for(server)
        outcome = []
        thread = threading.Thread(target=lambda: outcome.append(pytest.raises(Canceled, ask, backbone, cancel=cancel)))
        thread.start()
        request = server.wait_for_requests(1)[0]
        cancel.cancel("stop it")
        thread.join(5)
        assert "stop it" in str(outcome[0].value)
        assert request.aborted.wait(5)


def test_cancelled_token_sends_nothing(backbone_for):
    cancel = CancelToken()
    cancel.cancel()
    with FakeOpenAIServer(["x"]) as server:
        with pytest.raises(Canceled):
            ask(backbone_for(server), cancel=cancel)
        assert server.requests == []


def test_deadline_ends_the_wait(backbone_for):
    with FakeOpenAIServer([FakeReply("late", delay=30)]) as server:
        with pytest.raises(TimeLimitReached):
            ask(backbone_for(server), seconds=0.2)
        assert server.requests[0].aborted.wait(5)


def test_slow_server_is_left_after_the_configured_timeout(backbone_for):
    with FakeOpenAIServer([FakeReply("late", delay=30)]) as server:
        with pytest.raises(BackboneUnreachable, match="backbone.timeout"):
            ask(backbone_for(server, timeout=0.2))
        assert len(server.requests) == 1


def test_closing_ends_a_request_in_flight(backbone_for):
    with FakeOpenAIServer([FakeReply("late", delay=30)]) as server:
        backbone = backbone_for(server)
        outcome = []
        thread = threading.Thread(target=lambda: outcome.append(pytest.raises(BackboneError, ask, backbone)))
        thread.start()
        server.wait_for_requests(1)
        backbone.close()
        thread.join(5)
        assert "closed" in str(outcome[0].value)


def test_closed_backbone_says_so(backbone_for):
    with FakeOpenAIServer(["x"]) as server:
        backbone = backbone_for(server)
        backbone.close()
        with pytest.raises(BackboneError, match="closed"):
            ask(backbone)
    assert "openai-backbone" not in [thread.name for thread in threading.enumerate() if thread is backbone._thread]


def test_two_goals_can_ask_at_once(backbone_for):
    meeting = threading.Barrier(2, timeout=10)

    def reply(request):
        meeting.wait()
        return request.text

    with FakeOpenAIServer(reply) as server:
        backbone = backbone_for(server)
        texts = {}
        threads = [
            threading.Thread(
                target=lambda name=name: texts.update({name: ask(backbone, [Message("user", (name,))]).text})
            )
            for name in ("a", "b")
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    assert texts == {"a": "a", "b": "b"}


def test_check_says_whether_the_server_lists_the_model(backbone_for):
    with FakeOpenAIServer(model="fake-model") as server:
        assert "lists the model" in backbone_for(server).check(CancelToken(), Deadline(5))
        assert "does not list" in backbone_for(server, model="other").check(CancelToken(), Deadline(5))


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"name": "opanai"}, "opanai"),
        ({"name": "openai", "model": " "}, "backbone.model"),
        ({"name": "openai", "model": "m", "base_url": "localhost:8000"}, "base_url"),
        ({"name": "openai", "model": "m", "base_url": "http://host:notaport/v1"}, "base_url"),
        ({"timeout": 0}, "backbone.timeout"),
        ({"timeout": float("nan")}, "backbone.timeout"),
        ({"max_attempts": 0}, "max_attempts"),
        ({"token_limit_name": "max"}, "token_limit_name"),
    ],
)
def test_wrong_settings_are_named(settings, named):
    with pytest.raises(ConfigurationError, match=named):
        BackboneConfig(**settings)


@pytest.mark.parametrize(
    "field", [{"api_key_env": KEY}, {"base_url": f"http://me:{KEY}@host/v1", "name": "openai", "model": "m"}]
)
def test_key_in_the_wrong_place_is_refused_without_repeating_it(field):
    with pytest.raises(ConfigurationError) as caught:
        BackboneConfig(**field)
    assert KEY not in str(caught.value)


def test_serialised_messages_are_forgotten_with_their_conversation(backbone_for):
    with FakeOpenAIServer(["ok"]) as server:
        backbone = backbone_for(server)
        ask(backbone, [Message("user", ("gone soon",))])
        end = time.monotonic() + 5
        while backbone._body._serialised and time.monotonic() < end:
            threading.Event().wait(0.01)
    assert not backbone._body._serialised
