"""/privacy, /export_me and /delete_me: what is kept of a person, all of it to take away, and the end of it."""

from __future__ import annotations

import io
import json
import re
import zipfile
from datetime import datetime
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.apps import apps
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.core.files.storage import default_storage
from django.db import connection
from django.utils import timezone

from generations import erasing, exporting, operating, personal
from generations.models import Erasure, Generation, Requester
from telegram_bot import inbox, privacy, texts
from telegram_bot.models import ReceivedUpdate
from telegram_bot.simulator import Message
from tests.telegram_bot.conftest import ALICE, BOB, GROUP, WORKER, Finish, House, base, jobs, updates
from tests.telegram_bot.pressing import labels, last, press, toasts

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

PRIVATE_ONLY = "This works in a private chat with me only."


@sync_to_async
def traces(*words: str | int) -> list[str]:
    """Where in the whole database one of these words or numbers stands."""
    pattern = re.compile("|".join(rf"(?<![\w-]){re.escape(str(word))}(?![\w-])" for word in words))
    found = []
    tables = connection.introspection.table_names()
    for model in apps.get_models(include_auto_created=True):
        if model._meta.db_table not in tables:
            # One that django_rq has for its pages only.
            continue
        for row in model._default_manager.values():
            found += [
                f"{model.__name__}.{name}: {value}"
                for name, value in row.items()
                if not isinstance(value, datetime) and pattern.search(str(value))
            ]
    return found


@sync_to_async
def erasures() -> list[tuple[int, Any]]:
    return list(Erasure.objects.values_list("prompts", "by"))


@sync_to_async
def stored_files() -> set[str]:
    return set(default_storage.listdir("")[1])


async def make(house: House, render: Finish, text: str, chat_id: int = ALICE, **more: Any) -> Generation:
    """A video that was asked for, made and delivered."""
    await house.say(text, chat_id, **more)
    row: Generation = await render()
    await house.deliver()
    return row


async def exported(house: House, chat_id: int = ALICE) -> tuple[Message, dict[str, Any], dict[str, bytes]]:
    """The message, the document, and the clips by name."""
    message = last(house, chat_id)
    file = message.data["document"]
    content = house.telegram.file(file["file_id"])
    if file["file_name"] == "data.json":
        return message, json.loads(content), {}
    assert file["file_name"] == "data.zip"
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        clips = {name: archive.read(name) for name in archive.namelist() if name != "data.json"}
        return message, json.loads(archive.read("data.json")), clips


async def wants_everything_gone(house: House) -> Message:
    return (await house.say("/delete_me"))[-1]


# --- what is kept


async def test_privacy_says_how_long_messages_are_kept(house: House) -> None:
    answer = (await house.say("/privacy"))[-1]
    assert f"for {inbox.KEEP.days} days after it is handled" in answer.text
    assert "/export_me" in answer.text
    assert "/delete_me" in answer.text


async def test_privacy_is_told_in_a_group_and_the_rest_in_private_only(house: House) -> None:
    assert (await house.say("/privacy", GROUP, user_id=ALICE))[-1].text == texts.privacy(7)
    for command in ("/export_me", "/delete_me"):
        answer = (await house.say(command, GROUP, user_id=ALICE))[-1]
        assert (answer.text, answer.buttons, answer.kind) == (PRIVATE_ONLY, [], "text")


# --- all of it to take away


async def test_a_person_gets_everything_that_is_kept_of_them(house: House, render: Finish, clip: bytes) -> None:
    row = await make(house, render, "a red circle --seed 7 --no text")
    await make(house, render, "somebody else's", BOB)
    await house.say("/export_me")
    message, document, clips = await exported(house)
    assert message.data["caption"] == "Everything that is kept of you: data.json, and your videos where there are any."
    assert clips == {f"videos/{row.pk}.mp4": clip}
    assert (document["person"]["user_id"], document["person"]["display_name"]) == (ALICE, "Alice")
    settings = {
        "preset": "",
        "aspect": "",
        "seconds": None,
        "style": "",
        "silent": False,
        "no_news": False,
        "language": "",
    }
    assert document["settings"] == settings
    [prompt] = document["prompts"]
    assert (prompt["prompt"], prompt["negative_prompt"], prompt["seed"]) == ("a red circle", "text", 7)
    assert (prompt["status"], prompt["clip"]) == ("succeeded", f"videos/{row.pk}.mp4")
    assert datetime.fromisoformat(prompt["created_at"]) == row.created_at
    assert [(event["what"], event["by_you"]) for event in prompt["events"]] == [
        ("queued", True),
        ("started", False),
        ("succeeded", False),
        ("delivered", False),
    ]
    said = [update["update"]["message"]["text"] for update in document["messages"]]
    assert said == ["a red circle --seed 7 --no text", "/export_me"]
    assert WORKER not in json.dumps(document)


async def test_somebody_without_videos_gets_the_document_alone(house: House) -> None:
    await house.say("/export_me")
    _, document, clips = await exported(house)
    assert (document["person"], document["prompts"], clips) == ({"user_id": ALICE}, [], {})


async def test_half_a_character_is_exported_as_it_came(house: House) -> None:
    person = {"id": ALICE, "is_bot": False, "first_name": "Ali\ud83dce"}
    await house.inject(base(text="/export_me", **{"from": person}))
    _, document, _ = await exported(house)
    assert document["messages"][0]["update"]["message"]["from"]["first_name"] == "Ali\ud83dce"


async def test_of_more_clips_than_a_file_may_hold_the_newest_are_sent(
    house: House, render: Finish, clip: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    older, newer = await make(house, render, "older"), await make(house, render, "newer")
    await house.say("/export_me")
    _, _, clips = await exported(house)
    assert len(clips) == 2
    # Room for one and a half.
    beside = len(json.dumps((await exported(house))[1], ensure_ascii=False, indent=1)) + exporting.OVERHEAD * 3
    monkeypatch.setattr(privacy, "MAX_BYTES", beside + len(clip) * 3 // 2)
    await house.say("/export_me")
    message, document, clips = await exported(house)
    assert list(clips) == [f"videos/{newer.pk}.mp4"]
    assert [(row["number"], row["clip"], row["clip_is_stored"]) for row in document["prompts"]] == [
        (newer.pk, f"videos/{newer.pk}.mp4", True),
        (older.pk, None, True),
    ]
    assert "\n\n1 older video is not in it" in message.data["caption"]


async def test_a_clip_that_is_gone_does_not_stop_the_export(house: House, render: Finish) -> None:
    row = await make(house, render, "a red circle")
    await sync_to_async(default_storage.delete)(str(row.file.name))
    await house.say("/export_me")
    _, document, clips = await exported(house)
    assert (document["prompts"][0]["clip_is_stored"], clips) == (False, {})


async def test_nothing_of_an_export_is_kept(house: House, render: Finish) -> None:
    await make(house, render, "a red circle")
    before = await stored_files()
    await house.say("/export_me")
    assert await stored_files() == before


# --- the end of it


async def test_nothing_of_a_person_is_left_in_any_table(house: House, render: Finish) -> None:
    await make(house, render, "a private circle")
    await make(house, render, "/video a public square", GROUP, user_id=ALICE)
    shown = last(house, GROUP)
    await house.say("how nice", GROUP, user_id=BOB, reply_to=shown.reply_to)
    await press(house, shown, texts.button_again(), chat_id=GROUP, user_id=BOB)
    await house.say("just talk", GROUP, user_id=BOB)
    kept = await make(house, render, "a triangle of Bob", BOB)
    await house.say("a waiting hexagon")
    await house.say("a second hexagon")
    operator = await User.objects.acreate(username="olga")
    row = (await jobs())[0]
    for entry in (row, row.requester):
        await LogEntry.objects.acreate(
            user=operator,
            content_type=await sync_to_async(ContentType.objects.get_for_model)(entry),
            object_id=str(entry.pk),
            object_repr=str(entry),
            action_flag=CHANGE,
            change_message="Rejected: like Alice",
        )

    question = await wants_everything_gone(house)
    assert question.text.startswith("This deletes everything that is kept of you: 4 prompts, 2 videos,")
    assert labels(question) == [["Delete everything", "Keep everything"]]
    assert await traces("a private circle", "a public square", "hexagon", ALICE, "Alice")
    assert await press(house, question, "Delete everything") == "Deleted."

    assert await traces("a private circle", "a public square", "hexagon", ALICE, "Alice") == []
    assert last(house).texts[-1].startswith("Everything that was kept of you is deleted.")
    assert last(house).buttons == []
    assert await erasures() == [(4, None)]
    # Everybody else's is untouched.
    assert [(row.pk, row.prompt) for row in await jobs()] == [(kept.pk, "a triangle of Bob")]
    assert await stored_files() == {kept.file.name}
    assert len(await traces("just talk", "a triangle of Bob")) == 3
    entries = [(entry.object_repr, entry.change_message) async for entry in LogEntry.objects.all()]
    assert entries == [("(erased)", "Rejected")] * 2


async def test_what_others_answered_to_a_persons_video_no_longer_quotes_it(house: House, render: Finish) -> None:
    await make(house, render, "/video a public square", GROUP, user_id=ALICE)
    group = {"id": GROUP, "type": "supergroup", "title": "Friends"}
    bob = {"id": BOB, "is_bot": False, "first_name": "Bob"}
    # Without the message of hers that the video answers.
    quoted = {key: value for key, value in last(house, GROUP).data.items() if key != "reply_to_message"}
    await house.inject(base(text="/status", chat=group, reply_to_message=quoted, **{"from": bob}))
    assert len(await traces("a public square")) == 3
    await press(house, await wants_everything_gone(house), "Delete everything")
    assert await traces("a public square") == []


async def test_nothing_is_deleted_before_the_button_is_pressed(house: House, render: Finish) -> None:
    await make(house, render, "a red circle")
    question = await wants_everything_gone(house)
    await press(house, question, "Keep everything")
    assert (last(house).texts[-1], last(house).buttons) == ("Nothing was deleted.", [])
    assert len(await jobs()) == 1
    assert await erasures() == []


async def test_pressed_twice_it_acts_once(house: House, render: Finish) -> None:
    await make(house, render, "a red circle")
    question = await wants_everything_gone(house)
    await press(house, question, "Delete everything", times=2)
    assert toasts(house.telegram) == ["Deleted."] * 2
    assert await erasures() == [(1, None)]
    assert await traces(ALICE, "Alice") == []


@pytest.mark.parametrize("data", [f"erase:{ALICE}", f"keep_all:{ALICE}", "erase:", "erase:x"])
async def test_nobody_deletes_what_is_kept_of_somebody_else(house: House, render: Finish, data: str) -> None:
    await make(house, render, "a red circle")
    question = await wants_everything_gone(house)
    message = {"message_id": question.id, "date": 1764000000, "chat": {"id": ALICE, "type": "private"}}
    bob = {"id": BOB, "is_bot": False, "first_name": "Bob"}
    query = {"id": "7", "from": bob, "chat_instance": "1", "message": message, "data": data}
    await house.inject({"update_id": 10**6, "callback_query": query})
    assert toasts(house.telegram) == ["Only the person who asked for this can use its buttons."]
    assert last(house).texts == [question.text]
    assert len(await jobs()) == 1


async def test_what_was_written_just_before_goes_too(house: House) -> None:
    question = await wants_everything_gone(house)
    house.telegram.say(ALICE, "a red circle")
    house.telegram.say(ALICE, "/usage")
    house.telegram.press(ALICE, question.id, "Delete everything")
    await house.receive()
    assert await jobs() == []
    assert await traces(ALICE, "Alice", "a red circle") == []
    assert [row.handled_at is not None for row in await updates()] == [True] * 4
    # Its answer was owed, and came.
    assert "Today you have used" in last(house).text


async def test_what_is_written_afterwards_starts_anew(house: House) -> None:
    question = await wants_everything_gone(house)
    house.telegram.press(ALICE, question.id, "Delete everything")
    house.telegram.say(ALICE, "a blue square")
    await house.receive()
    assert [row.prompt for row in await jobs()] == ["a blue square"]
    assert last(house).text == "Queued, 1 of 1"


async def test_a_video_on_its_way_is_not_sent(house: House, render: Finish) -> None:
    await house.say("a red circle")
    await render()
    question = await wants_everything_gone(house)
    await press(house, question, "Delete everything")
    await house.deliver()
    assert house.telegram.calls("editMessageMedia") == []
    assert house.telegram.calls("sendVideo") == []
    assert await stored_files() == set()


async def test_buttons_under_what_was_deleted_say_that_it_is_gone(house: House, render: Finish) -> None:
    await make(house, render, "a red circle")
    [video] = house.telegram.bot_messages(ALICE)
    await press(house, await wants_everything_gone(house), "Delete everything")
    assert await press(house, video, texts.button_again()) == "That does not exist any more."


async def test_updates_that_telegram_repeats_bring_nothing_back(house: House) -> None:
    question = await wants_everything_gone(house)
    house.telegram.say(ALICE, "a red circle")
    house.telegram.press(ALICE, question.id, "Delete everything")
    await house.receive()
    # The next poll would have confirmed them.
    house.restart()
    assert await house.fetch() == 0
    await house.consumer.run_once()
    assert await jobs() == []
    assert await traces(ALICE, "Alice") == []


async def test_a_ban_survives(house: House, render: Finish) -> None:
    await make(house, render, "a red circle")
    operator = await User.objects.acreate(username="olga")
    [row] = await jobs()
    await sync_to_async(operating.ban)(row.requester, by=operator, reason="Alice spams.")
    await press(house, await wants_everything_gone(house), "Delete everything", times=2)
    assert await traces("Alice", "a red circle") == []
    assert await traces(ALICE) == [f"Requester.user_id: {ALICE}"]
    assert await erasures() == [(1, None)]
    assert (await house.say("a blue square"))[-1].text == "You may not use this bot."
    assert await jobs() == []


async def test_a_bot_that_dies_before_its_last_answer_leaves_nothing_behind(house: House, render: Finish) -> None:
    await make(house, render, "a red circle")
    question = await wants_everything_gone(house)
    house.telegram.press(ALICE, question.id, "Delete everything")
    await house.fetch()
    # Everything but the answer.
    await house.consumer.tick()
    await house.consumer.speaker.toasts_shown()
    await sync_to_async(ReceivedUpdate.objects.filter(handled_at=None).update)(answered_at=timezone.now())
    await sync_to_async(inbox.release_all)()
    assert await traces(ALICE)
    await sync_to_async(inbox.forget_old)()
    assert await traces(ALICE, "Alice") == []


async def test_an_erased_person_has_nothing_in_the_chats_lists(house: House, render: Finish) -> None:
    await make(house, render, "a red circle")
    await press(house, await wants_everything_gone(house), "Delete everything")
    assert (await house.say("/history"))[-1].text == "You have no finished videos yet."
    assert await sync_to_async(erasing.kept)(ALICE) == erasing.Kept(0, 0)
    assert not await sync_to_async(personal.finished(ALICE, ALICE).exists)()
    assert not await Requester.objects.aexists()
