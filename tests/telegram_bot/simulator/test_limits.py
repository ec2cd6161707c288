"""What Telegram refuses, the stand-in refuses in the same words."""

from __future__ import annotations

import httpx
import pytest
from telegram import Bot, InlineKeyboardButton, InlineKeyboardMarkup, InputMediaVideo, ReplyParameters
from telegram.error import BadRequest, ChatMigrated, Forbidden, NetworkError

from telegram_bot.simulator import Simulator
from telegram_bot.simulator.limits import MAX_UPLOAD

from .conftest import CHAT


def button(data: str) -> InlineKeyboardMarkup:
    return InlineKeyboardMarkup([[InlineKeyboardButton("Go", callback_data=data)]])


async def test_text_of_4096_units_fits_and_one_more_does_not(bot: Bot) -> None:
    assert await bot.send_message(CHAT, "a" * 4096)
    assert await bot.send_message(CHAT, "😀" * 2048)
    with pytest.raises(BadRequest, match="Message is too long"):
        await bot.send_message(CHAT, "a" * 4097)
    with pytest.raises(BadRequest, match="Message is too long"):
        await bot.send_message(CHAT, "😀" * 2049)


async def test_length_counts_after_the_marks_are_read(bot: Bot, clip: bytes) -> None:
    assert await bot.send_message(CHAT, "<b>" + "a" * 4096 + "</b>", parse_mode="HTML")
    assert await bot.send_video(CHAT, clip, caption="&lt;" * 1024, parse_mode="HTML")


@pytest.mark.parametrize("text", ["", "   ", "\n\n", "<b></b>"])
async def test_empty_text_is_refused(bot: Bot, text: str) -> None:
    with pytest.raises(BadRequest, match="text is empty"):
        await bot.send_message(CHAT, text, parse_mode="HTML")


async def test_caption_over_1024_units_is_refused(bot: Bot, clip: bytes) -> None:
    message = await bot.send_video(CHAT, clip, caption="😀" * 512)
    for caption in ("😀" * 513, "a" * 1025):
        with pytest.raises(BadRequest, match="caption is too long"):
            await bot.send_video(CHAT, clip, caption=caption)
        with pytest.raises(BadRequest, match="caption is too long"):
            await bot.edit_message_caption(CHAT, message.message_id, caption=caption)
        with pytest.raises(BadRequest, match="caption is too long"):
            await bot.edit_message_media(InputMediaVideo(clip, caption=caption), CHAT, message.message_id)


async def test_button_data_is_measured_in_bytes(bot: Bot) -> None:
    assert await bot.send_message(CHAT, "x", reply_markup=button("a" * 64))
    assert await bot.send_message(CHAT, "x", reply_markup=button("é" * 32))
    for data in ("a" * 65, "é" * 33):
        with pytest.raises(BadRequest, match="Button_data_invalid"):
            await bot.send_message(CHAT, "x", reply_markup=button(data))


async def test_button_without_an_action_is_refused(bot: Bot) -> None:
    with pytest.raises(BadRequest, match="buttons are unallowed"):
        await bot.send_message(CHAT, "x", reply_markup=InlineKeyboardMarkup([[InlineKeyboardButton("Go")]]))


@pytest.mark.parametrize(
    ("mode", "text", "words"),
    [
        ("HTML", "<b>cat", "find end tag corresponding to start tag"),
        ("HTML", "1 < 2", "Unclosed start tag at byte offset 2"),
        ("HTML", "<cat>", 'Unsupported start tag "cat" at byte offset 0'),
        ("HTML", "<b><i>x</b></i>", 'expected "</i>", found "</b>"'),
        ("HTML", "é</b>", "Unexpected end tag at byte offset 2"),
        ("HTML", "<span>x</span>", "must have class"),
        ("MarkdownV2", "a_b", "find end of Italic entity at byte offset 1"),
        ("MarkdownV2", "a.b", "Character '.' is reserved"),
        ("MarkdownV2", "*x", "find end of Bold entity"),
        ("MarkdownV2", "[x](", "find end of a URL"),
        ("MarkdownV2", "`", "find end of Code entity"),
        ("Markdown", "a_b", "find end of the entity starting at byte offset 1"),
        ("Markdown", "*", "find end of the entity"),
        ("Markdown", "[x", "find end of the entity"),
    ],
)
async def test_broken_marks_are_refused_with_their_place(
    bot: Bot, sim: Simulator, mode: str, text: str, words: str
) -> None:
    with pytest.raises(BadRequest, match="Can't parse entities"):
        await bot.send_message(CHAT, text, parse_mode=mode)
    # PTB changes the capitals, the record does not.
    answer = sim.calls("sendMessage")[0].response
    assert answer is not None
    assert answer["description"].startswith("Bad Request: can't parse entities: ")
    assert words in answer["description"]


@pytest.mark.parametrize(
    ("mode", "text", "shown", "kinds"),
    [
        ("HTML", "<b>a <i>b</i></b> &lt;c&gt; &eacute;", "a b <c> &eacute;", ["bold", "italic"]),
        ("HTML", '<a href="https://e.org/?a=1&amp;b=2">x</a>', "x", ["text_link"]),
        ("HTML", '<pre><code class="language-py">x = 1</code></pre>', "x = 1", ["pre"]),
        ("HTML", "<blockquote expandable>q</blockquote>", "q", ["expandable_blockquote"]),
        ("HTML", "  <u>😀</u> /help  ", "😀 /help", ["underline", "bot_command"]),
        ("MarkdownV2", r"*b* _i_ __u__ ~s~ ||x|| `c\`` 1\.5", "b i u s x c` 1.5", None),
        ("MarkdownV2", "```py\nx = 1```", "x = 1", ["pre"]),
        ("MarkdownV2", ">one\n>two\nafter", "one\ntwo\nafter", ["blockquote"]),
        ("MarkdownV2", r"[a\]b](https://e.org/\))", "a]b", ["text_link"]),
        ("Markdown", r"*b* _i_ `c` [x](https://e.org) a\_b", "b i c x a_b", ["bold", "italic", "code", "text_link"]),
    ],
)
async def test_marks_are_read(bot: Bot, mode: str, text: str, shown: str, kinds: list[str] | None) -> None:
    message = await bot.send_message(CHAT, text, parse_mode=mode)
    assert message.text == shown
    assert [str(entity.type) for entity in message.entities] == (
        kinds or ["bold", "italic", "underline", "strikethrough", "spoiler", "code"]
    )


async def test_closing_tag_in_a_prompt_is_no_command(bot: Bot, sim: Simulator) -> None:
    assert "entities" not in sim.say(CHAT, "a <b>cat</b> and/or a dog")["message"]


async def test_entity_offsets_count_an_emoji_twice(bot: Bot) -> None:
    message = await bot.send_message(CHAT, "😀<b>x</b>", parse_mode="HTML")
    assert (message.entities[0].offset, message.entities[0].length) == (2, 1)


async def test_edit_without_a_change_is_refused(bot: Bot, sim: Simulator, clip: bytes) -> None:
    message = await bot.send_message(CHAT, "same", reply_markup=button("a"))
    with pytest.raises(BadRequest, match="is not modified"):
        await bot.edit_message_text(
            "<i></i>same", CHAT, message.message_id, parse_mode="HTML", reply_markup=button("a")
        )
    await bot.edit_message_text("same", CHAT, message.message_id, reply_markup=button("b"))
    await bot.edit_message_media(InputMediaVideo(clip, caption="c"), CHAT, message.message_id)
    with pytest.raises(BadRequest, match="is not modified"):
        await bot.edit_message_media(InputMediaVideo(clip, caption="c"), CHAT, message.message_id)
    assert len(sim.messages(CHAT)[0].history) == 2


async def test_only_own_messages_that_are_there_can_be_edited(bot: Bot, sim: Simulator, clip: bytes) -> None:
    with pytest.raises(BadRequest, match="Message to edit not found"):
        await bot.edit_message_text("x", CHAT, 99)
    typed = sim.say(CHAT, "mine")["message"]["message_id"]
    with pytest.raises(BadRequest, match="Message can't be edited"):
        await bot.edit_message_text("x", CHAT, typed)
    video = await bot.send_video(CHAT, clip)
    with pytest.raises(BadRequest, match="no text in the message"):
        await bot.edit_message_text("x", CHAT, video.message_id)
    text = await bot.send_message(CHAT, "text")
    with pytest.raises(BadRequest, match="no caption in the message"):
        await bot.edit_message_caption(CHAT, text.message_id, caption="x")
    sim.delete(CHAT, text.message_id)
    with pytest.raises(BadRequest, match="Message to edit not found"):
        await bot.edit_message_text("x", CHAT, text.message_id)


async def test_reply_to_a_deleted_message_is_refused_unless_it_is_optional(bot: Bot, sim: Simulator) -> None:
    typed = sim.say(CHAT, "prompt")["message"]["message_id"]
    sim.delete(CHAT, typed)
    with pytest.raises(BadRequest, match="Message to be replied not found"):
        await bot.send_message(CHAT, "x", reply_parameters=ReplyParameters(typed))
    answer = await bot.send_message(
        CHAT, "x", reply_parameters=ReplyParameters(typed, allow_sending_without_reply=True)
    )
    assert answer.reply_to_message is None


async def test_unknown_chats_messages_and_files_are_refused(bot: Bot) -> None:
    with pytest.raises(BadRequest, match="Chat not found"):
        await bot.send_message(424242, "x")
    with pytest.raises(BadRequest, match="Message to delete not found"):
        await bot.delete_message(CHAT, 99)
    with pytest.raises(BadRequest, match="Wrong file identifier"):
        await bot.send_video(CHAT, "made-up-file-id")
    with pytest.raises(BadRequest, match="Invalid file_id"):
        await bot.get_file("made-up-file-id")


async def test_files_are_sent_again_as_what_they_are(bot: Bot, clip: bytes) -> None:
    video = (await bot.send_video(CHAT, clip)).video
    assert video is not None
    with pytest.raises(BadRequest, match="Can't use file of type video as document"):
        await bot.send_document(CHAT, video.file_id)


async def test_topics_must_exist_and_be_open_and_general_has_no_number(bot: Bot, sim: Simulator) -> None:
    topic = sim.add_topic(-1007, "Films")
    inside = await bot.send_message(-1007, "in the topic", message_thread_id=topic)
    assert inside.is_topic_message
    follows = await bot.send_message(-1007, "reply", reply_parameters=ReplyParameters(inside.message_id))
    assert follows.message_thread_id == topic
    assert (await bot.send_message(-1007, "General")).message_thread_id is None
    for wrong in (1, 5555):
        with pytest.raises(BadRequest, match="Message thread not found"):
            await bot.send_message(-1007, "x", message_thread_id=wrong)
    sim.set_topic(-1007, topic, closed=True)
    with pytest.raises(BadRequest, match="Topic_closed"):
        await bot.send_message(-1007, "x", message_thread_id=topic)
    sim.set_topic(-1007, topic, deleted=True)
    with pytest.raises(BadRequest, match="Message thread not found"):
        await bot.send_message(-1007, "x", message_thread_id=topic)


async def test_late_second_and_made_up_answers_to_a_press_are_refused(bot: Bot, sim: Simulator) -> None:
    message = await bot.send_message(CHAT, "x", reply_markup=button("a"))
    late = sim.press(CHAT, message.message_id, "a", expired=True)["callback_query"]["id"]
    fresh = sim.press(CHAT, message.message_id, "a")["callback_query"]["id"]
    with pytest.raises(BadRequest, match="Message_too_long"):
        await bot.answer_callback_query(fresh, "a" * 201)
    await bot.answer_callback_query(fresh)
    for query in (late, fresh, "12345"):
        with pytest.raises(BadRequest, match="Query is too old"):
            await bot.answer_callback_query(query)


async def test_blocked_bot_may_not_write_until_it_is_let_in_again(bot: Bot, sim: Simulator) -> None:
    sim.block(CHAT)
    with pytest.raises(Forbidden, match="blocked by the user"):
        await bot.send_message(CHAT, "x")
    sim.block(CHAT, blocked=False)
    assert await bot.send_message(CHAT, "x")
    updates = await bot.get_updates()
    assert [str(update.my_chat_member.new_chat_member.status) for update in updates if update.my_chat_member] == [
        "kicked",
        "member",
    ]


async def test_group_that_moved_names_its_new_number(bot: Bot, sim: Simulator) -> None:
    sim.migrate(-5, -1005)
    with pytest.raises(ChatMigrated) as moved:
        await bot.send_message(-5, "x")
    assert moved.value.new_chat_id == -1005


async def test_commands_and_reactions_outside_the_rules_are_refused(bot: Bot, sim: Simulator) -> None:
    with pytest.raises(BadRequest, match="Bot_command_invalid"):
        await bot.set_my_commands([("Not-a-command", "x")])
    with pytest.raises(BadRequest, match="Bot_command_description_invalid"):
        await bot.set_my_commands([("fine", "x" * 257)])
    typed = sim.say(CHAT, "x")["message"]["message_id"]
    with pytest.raises(BadRequest, match="Reaction_invalid"):
        await bot.set_message_reaction(CHAT, typed, "🛰")
    with pytest.raises(BadRequest, match="Wrong parameter action"):
        await bot.send_chat_action(CHAT, "juggling")


@pytest.mark.slow
async def test_upload_over_50_mb_is_refused(bot: Bot, sim: Simulator) -> None:
    with pytest.raises(NetworkError, match="Request Entity Too Large"):
        await bot.send_document(CHAT, b"\0" * (MAX_UPLOAD + 1))
    assert sim.messages(CHAT) == []
    assert sim.calls("sendDocument")[0].status == 413


async def test_file_over_20_mb_cannot_be_downloaded(bot: Bot, sim: Simulator) -> None:
    document = (await bot.send_document(CHAT, b"\0" * (20 * 1024 * 1024 + 1))).document
    assert document is not None
    with pytest.raises(BadRequest, match="File is too big"):
        await bot.get_file(document.file_id)


def test_malformed_token_json_and_reset(sim: Simulator) -> None:
    with httpx.Client(base_url=sim.url, trust_env=False) as client:
        assert client.get("/botnonsense/getMe").status_code == 404
        broken = client.post(f"/bot{sim.token}/getMe", content=b"{", headers={"content-type": "application/json"})
        assert broken.status_code == 400
        asked = client.post(f"/bot{sim.token}/SENDMESSAGE", json={"chat_id": CHAT, "text": "by JSON"})
        assert asked.json()["result"]["text"] == "by JSON"
        assert client.get(f"/bot{sim.token}/sendMessage", params={"chat_id": CHAT, "text": "by GET"}).json()["ok"]
        missing = client.post(f"/bot{sim.token}/sendVideo", data={"chat_id": CHAT, "video": "attach://nothing"})
        assert missing.json()["description"] == "Bad Request: attached file not found"
    sim.reset()
    assert sim.messages(CHAT) == []
    assert sim.calls() == []
