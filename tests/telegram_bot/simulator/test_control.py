"""The control interface over HTTP, and who is kept out."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import httpx
import pytest

from telegram_bot.simulator import Simulator

from .conftest import CHAT


@pytest.fixture
def client(sim: Simulator) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=sim.url, trust_env=False) as client:
        yield client


def act(client: httpx.Client, action: str, **fields: object) -> object:
    answer = client.post(f"/control/{action}", json=fields)
    assert answer.status_code == 200, answer.text
    return answer.json()["result"]


def ask(client: httpx.Client, method: str, **fields: object) -> dict[str, object]:
    answer = client.post(f"/bot1000001:SIMULATOR/{method}", json=fields).json()
    assert isinstance(answer, dict)
    return answer


def test_another_process_can_do_all_that_a_test_can(client: httpx.Client) -> None:
    act(client, "user", user_id=7, first_name="Bo", language_code="de")
    act(client, "chat", chat_id=-1007, type="supergroup", title="Films")
    topic = act(client, "topic", chat_id=-1007, name="Trailers")
    act(client, "say", chat_id=-1007, text="/start", user_id=7, thread_id=topic)
    act(client, "send", chat_id=7, kind="sticker")
    act(client, "edit", chat_id=-1007, message_id=3, text="/stop")
    ask(
        client,
        "sendMessage",
        chat_id=7,
        text="x",
        reply_markup={"inline_keyboard": [[{"text": "Go", "callback_data": "g"}]]},
    )
    act(client, "press", chat_id=7, message_id=2, button="Go")
    act(client, "react", chat_id=7, message_id=2, emoji="🔥")
    act(client, "delete", chat_id=7, message_id=1)
    act(client, "block", chat_id=7)
    act(client, "set_topic", chat_id=-1007, thread_id=topic, closed=True)
    act(client, "migrate", chat_id=-8, new_chat_id=-1008)
    act(client, "update", update={"poll_answer": {}})
    updates = ask(client, "getUpdates")["result"]
    assert isinstance(updates, list)
    kinds = [key for update in updates for key in update if key != "update_id"]
    assert kinds == ["message", "message", "edited_message", "callback_query", "my_chat_member", "poll_answer"]
    state = client.get("/control/state").json()
    assert {chat["id"] for chat in state["chats"]} == {CHAT, 7, -1007, -8, -1008}
    entries = client.get("/control/messages/7").json()
    assert [(entry["from_bot"], entry["deleted"]) for entry in entries] == [(False, True), (True, False)]
    act(client, "reset")
    assert client.get("/control/state").json()["chats"] == []


def test_faults_are_programmed_and_cleared_over_http(client: httpx.Client) -> None:
    act(client, "fault", method="sendMessage", status=429, retry_after=3, times=-1)
    answer = client.post("/bot1000001:SIMULATOR/sendMessage", json={"chat_id": CHAT, "text": "x"})
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "3"
    assert answer.json()["parameters"] == {"retry_after": 3}
    client.delete("/control/fault")
    assert ask(client, "sendMessage", chat_id=CHAT, text="x")["ok"]
    calls = client.get("/control/calls", params={"method": "sendMessage", "chat_id": CHAT}).json()
    assert [(call["status"], call["reply"]) for call in calls] == [(429, "sent"), (200, "sent")]


def test_port_is_closed_and_opened_over_http(client: httpx.Client, sim: Simulator) -> None:
    def answers() -> bool:
        try:
            return httpx.get(f"{sim.url}/control/state", trust_env=False).is_success
        except httpx.HTTPError:
            return False

    act(client, "refuse", seconds=0.5)
    for wanted in (False, True):
        deadline = time.monotonic() + 5
        while answers() is not wanted:
            assert time.monotonic() < deadline
            time.sleep(0.02)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/control/say", {"chat_id": CHAT}, 400),
        ("/control/say", {"chat_id": CHAT, "text": "x", "colour": "red"}, 400),
        ("/control/press", {"chat_id": CHAT, "message_id": 9, "button": "x"}, 400),
        ("/control/send", {"chat_id": CHAT, "kind": "parcel"}, 400),
        ("/control/fault", {"action": "explode"}, 400),
        ("/control/dance", {}, 404),
    ],
)
def test_wrong_control_calls_are_answered_in_words(
    client: httpx.Client, path: str, body: dict[str, object], status: int
) -> None:
    answer = client.post(path, json=body)
    assert answer.status_code == status
    assert answer.json()["description"]


def test_events_tell_what_happens_and_catch_up(client: httpx.Client, sim: Simulator) -> None:
    since = client.get("/control/state").json()["sequence"]
    sim.say(CHAT, "missed")
    kinds: list[tuple[str, int]] = []
    with client.stream("GET", "/control/events", params={"since": since}) as stream:
        lines = stream.iter_lines()
        while len(kinds) < 2:
            line = next(lines)
            if line.startswith("data: "):
                event = json.loads(line.removeprefix("data: "))
                kinds.append((event["type"], event.get("chat_id")))
                if len(kinds) == 1:
                    ask(client, "sendChatAction", chat_id=CHAT, action="typing")
    assert kinds == [("message", CHAT), ("action", CHAT)]


def test_film_is_given_in_pieces(client: httpx.Client, clip: bytes) -> None:
    answer = client.post("/bot1000001:SIMULATOR/sendVideo", data={"chat_id": CHAT}, files={"video": ("a.mp4", clip)})
    address = f"/control/files/{answer.json()['result']['video']['file_unique_id']}"
    whole = client.get(address)
    assert (whole.status_code, whole.headers["content-type"], whole.content) == (200, "video/mp4", clip)
    piece = client.get(address, headers={"range": "bytes=10-19"})
    assert (piece.status_code, piece.content) == (206, clip[10:20])
    assert piece.headers["content-range"] == f"bytes 10-19/{len(clip)}"
    assert client.get(address, headers={"range": "bytes=-5"}).content == clip[-5:]
    assert client.get(address, headers={"range": f"bytes={len(clip)}-"}).status_code == 416
    assert client.get("/control/files/nothing").status_code == 404


def test_uploaded_page_cannot_run_here(client: httpx.Client) -> None:
    files = {"document": ("x.html", b"<script>alert(1)</script>", "text/html")}
    answer = client.post("/bot1000001:SIMULATOR/sendDocument", data={"chat_id": CHAT}, files=files)
    file = client.get(f"/control/files/{answer.json()['result']['document']['file_unique_id']}")
    assert file.headers["content-type"] == "application/octet-stream"
    assert file.headers["content-disposition"] == "attachment"
    assert "sandbox" in file.headers["content-security-policy"]


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "127.0.0.1.evil.example:80"},
        {"host": ""},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
    ],
)
@pytest.mark.parametrize("path", ["/control/say", "/bot1000001:SIMULATOR/sendMessage"])
def test_other_sites_cannot_use_it_through_a_persons_browser(
    client: httpx.Client, sim: Simulator, path: str, headers: dict[str, str]
) -> None:
    answer = client.post(path, json={"chat_id": CHAT, "text": "forged"}, headers=headers)
    assert answer.status_code == 403
    assert sim.messages(CHAT) == []


def test_form_on_another_site_has_the_wrong_content_type(client: httpx.Client, sim: Simulator) -> None:
    answer = client.post(
        "/control/say", content=b'{"chat_id": 1001, "text": "x"}', headers={"content-type": "text/plain"}
    )
    assert answer.status_code == 415
    assert sim.messages(CHAT) == []


def test_own_page_may_post(client: httpx.Client, sim: Simulator) -> None:
    headers = {"origin": sim.url, "sec-fetch-site": "same-origin"}
    assert client.post("/control/say", json={"chat_id": CHAT, "text": "x"}, headers=headers).status_code == 200


def test_page_needs_nothing_from_elsewhere(client: httpx.Client) -> None:
    page = client.get("/")
    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["content-security-policy"]
    for path in ("/page/chat.js", "/page/render.js", "/page/chat.css", "/page/icon.svg"):
        assert client.get(path).status_code == 200
    for text in (page.text, client.get("/page/chat.js").text, client.get("/page/render.js").text):
        assert "https://" not in text
        assert "innerHTML" not in text
