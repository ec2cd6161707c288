"""Row 30: "@bot words" in any chat offers one's own finished clips, at once, and keeps nothing of what was typed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from generations.models import Generation, Requester
from telegram_bot import consumer, personal_updates, polling
from telegram_bot.models import ReceivedUpdate

from .conftest import ALICE, BOB, GROUP, Finish, House, base, change, jobs, updates
from .pressing import last, video

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]


@pytest.fixture
async def house(house: House) -> House:
    """With inline mode switched on, as BotFather does it."""
    house.telegram.allow_inline()
    await house.application.bot.get_me()
    return house


async def typed(house: House, words: str, user_id: int = ALICE, offset: str = "") -> dict[str, Any]:
    """What somebody gets who types this behind the bot's name."""
    update = house.telegram.ask_inline(user_id, words, offset)
    await house.receive()
    answer = house.telegram.inline_answer(update)
    assert answer is not None
    return answer


def offered(answer: dict[str, Any]) -> list[str]:
    return [result["caption"] for result in answer["results"]]


@sync_to_async
def make(prompts: list[str], user_id: int = ALICE, **facts: Any) -> None:
    """Clips that Telegram has."""
    person, _ = Requester.objects.get_or_create(user_id=user_id)
    size: dict[str, Any] = {"frames": 16, "width": 64, "height": 64, "fps": 8, "steps": 10, "guidance_scale": 9}
    state = {"status": "succeeded", "delivery": "delivered", "file": "x.mp4", "file_id": "one", "file_kind": "video"}
    before = Generation.objects.count()
    for number, prompt in enumerate(prompts):
        key = f"made {before + number}"
        Generation.objects.create(
            requester=person, request_key=key, prompt=prompt, seed=1, chat_id=user_id, **size, **{**state, **facts}
        )


async def test_ones_own_clips_are_offered_the_newest_first(house: House, render: Finish) -> None:
    await video(house, render, "a red circle")
    await video(house, render, "/video a blue square --seed 7", GROUP)
    await house.say("somebody else's", BOB)
    await render()
    await house.deliver()
    await house.say("not finished yet")
    answer = await typed(house, "")
    assert offered(answer) == ["a blue square", "a red circle"]
    assert (answer["is_personal"], answer["cache_time"], answer["next_offset"], answer["button"]) == (True, 5, "", None)
    file_id = last(house, GROUP).data["video"]["file_id"]
    assert answer["results"][0] | {"id": ""} == {
        "type": "video",
        "id": "",
        "video_file_id": file_id,
        "title": "a blue square",
        "caption": "a blue square",
    }


async def test_what_telegram_made_an_animation_or_a_document_is_offered_as_that(house: House, render: Finish) -> None:
    row = await video(house, render)
    assert row.file_kind == "video"
    content = house.telegram.file(row.file_id)
    bot = house.application.bot
    as_gif, as_file = await bot.send_animation(ALICE, content), await bot.send_document(ALICE, content)
    assert as_gif.animation is not None
    assert as_file.document is not None
    await make(["gif"], file_id=as_gif.animation.file_id, file_kind="animation")
    await make(["file"], file_id=as_file.document.file_id, file_kind="document")
    # From before the kind was kept: Telegram would refuse the whole answer for one of another kind.
    await make(["unknown"], file_kind="")
    results = (await typed(house, ""))["results"]
    assert [(result["type"], result["caption"]) for result in results] == [
        ("document", "file"),
        ("mpeg4_gif", "gif"),
        ("video", "a red circle"),
    ]


async def test_words_narrow_it_down_in_any_script_and_case(house: House, render: Finish) -> None:
    stored = await video(house, render, "A Red circle, moving RIGHT")
    await make(["Красный КРУГ", "a blue square", "ein grüner KREIS"], file_id=stored.file_id)
    for words, found in (
        ("red right", ["A Red circle, moving RIGHT"]),
        ("красный круг", ["Красный КРУГ"]),
        ("GRÜNER", ["ein grüner KREIS"]),
        ("red blue", []),
        ("%", []),
    ):
        assert offered(await typed(house, words)) == found


async def test_a_long_list_comes_in_pages_that_new_clips_do_not_shift(house: House, render: Finish) -> None:
    stored = await video(house, render, "0")
    await make([str(number) for number in range(1, 60)], file_id=stored.file_id)
    first = await typed(house, "")
    assert offered(first) == [str(number) for number in range(59, 9, -1)]
    await make(["newer"], file_id=stored.file_id)
    second = await typed(house, "", offset=first["next_offset"])
    assert offered(second) == [str(number) for number in range(9, -1, -1)]
    assert second["next_offset"] == ""
    assert (await typed(house, "", offset="nonsense"))["results"][0]["caption"] == "newer"


async def test_without_a_clip_there_is_a_way_to_the_private_chat(house: House, render: Finish) -> None:
    answer = await typed(house, "")
    assert answer["results"] == []
    assert answer["button"] == {"text": "No video of yours fits. Make one", "start_parameter": "inline"}
    assert (await house.say("/start inline"))[-1].text.startswith("Hello!")
    await video(house, render)
    assert (await typed(house, ""))["button"] is None
    assert (await typed(house, "no such words"))["button"] is not None


async def test_what_is_deleted_or_whose_person_is_banned_is_not_offered(house: House, render: Finish) -> None:
    row = await video(house, render)
    await sync_to_async(Requester.objects.update)(banned_at="2026-01-01T00:00Z")
    assert offered(await typed(house, "")) == []
    await sync_to_async(Requester.objects.update)(banned_at=None)
    assert offered(await typed(house, "")) == ["a red circle"]
    await change(row, file="", file_id="")
    assert offered(await typed(house, "")) == []


async def test_nothing_of_what_was_typed_is_kept(house: House, render: Finish) -> None:
    await video(house, render)
    before = len(await updates())
    await typed(house, "my secret words")
    assert len(await updates()) == before
    assert "secret" not in str(await sync_to_async(personal_updates.of_person)(ALICE))


async def test_a_query_that_nobody_can_read_is_not_kept_either(house: House) -> None:
    await house.inject({"update_id": 5, "inline_query": {"id": "1", "from": {"id": ALICE}, "query": "secret"}})
    assert await updates() == []


async def test_what_was_typed_while_the_bot_was_away_is_dropped(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer, "QUERY_LASTS", timedelta())
    update = house.telegram.ask_inline(ALICE, "old")
    await house.receive()
    assert house.telegram.inline_answer(update) is None
    assert house.telegram.calls("answerInlineQuery") == []
    assert await updates() == []


async def test_an_answer_that_telegram_refuses_is_not_tried_again(house: House) -> None:
    house.telegram.fail("answerInlineQuery", 400, description="Bad Request: query is too old")
    house.telegram.ask_inline(ALICE, "late")
    await house.receive()
    await house.receive()
    assert len(house.telegram.calls("answerInlineQuery")) == 1


async def test_an_inline_query_waits_for_nobodys_prompt(house: House) -> None:
    await house.say("a red circle")
    row = (await updates())[0]
    # Its private chat is in somebody's hands.
    held = ReceivedUpdate.objects.filter(pk=row.pk)
    await sync_to_async(held.update)(decided_at=None, handled_at=None, owner="x", lease_until="2100-01-01T00:00Z")
    assert (await typed(house, ""))["results"] == []


async def test_a_clip_chosen_in_the_bots_own_chat_is_no_new_prompt(house: House) -> None:
    bot = {"id": 1000001, "is_bot": True, "first_name": "Simulator bot", "username": "simulator_bot"}
    clip = {"file_id": "a", "file_unique_id": "b", "width": 1, "height": 1, "duration": 1}
    assert await house.inject(base(video=clip, caption="a red circle", via_bot=bot)) == []
    assert await jobs() == []


async def test_a_bot_without_inline_mode_does_not_ask_for_such_updates(house: House) -> None:
    await house.fetch()
    assert "inline_query" in house.telegram.calls("getUpdates")[-1].params["allowed_updates"]
    house.telegram.allow_inline(False)
    await house.application.bot.get_me()
    assert "inline_query" not in polling.allowed_updates(house.application.bot)
