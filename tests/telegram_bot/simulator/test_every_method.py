"""Every method, called by PTB and read by PTB's own types."""

from __future__ import annotations

import io

import pytest
from telegram import (
    Bot,
    BotCommand,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    InputMediaAnimation,
    InputMediaPhoto,
    InputMediaVideo,
    ReactionTypeEmoji,
    ReplyKeyboardMarkup,
    ReplyParameters,
)
from telegram.constants import ChatAction
from telegram.error import EndPointNotFound, InvalidToken

from telegram_bot.simulator import Simulator
from telegram_bot.simulator.samples import KINDS

from .conftest import CHAT, make_bot

BUTTONS = InlineKeyboardMarkup([[InlineKeyboardButton("Again", callback_data="g:1:again")]])


def picture(side: int = 400) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (side, side // 2), "navy").save(out, "JPEG")
    return out.getvalue()


async def test_bot_learns_who_it_is(bot: Bot) -> None:
    me = await bot.get_me()
    assert me.is_bot
    assert me.id == 1000001
    assert me.username == "simulator_bot"


async def test_typed_text_reaches_the_bot_with_its_command_marked(bot: Bot, sim: Simulator) -> None:
    sim.say(CHAT, "/start now")
    (update,) = await bot.get_updates()
    assert update.message is not None
    assert update.message.text == "/start now"
    assert [update.message.parse_entity(entity) for entity in update.message.entities] == ["/start"]
    assert update.effective_user is not None
    assert update.effective_user.username == "ada"


async def test_message_arrives_and_numbers_grow_per_chat(bot: Bot, sim: Simulator) -> None:
    sim.add_chat(1002)
    first = await bot.send_message(CHAT, "one")
    second = await bot.send_message(CHAT, "two")
    other = await bot.send_message(1002, "elsewhere")
    assert (first.message_id, second.message_id, other.message_id) == (1, 2, 1)
    assert [message.text for message in sim.messages(CHAT)] == ["one", "two"]


async def test_reply_quotes_the_message_it_answers(bot: Bot, sim: Simulator) -> None:
    typed = sim.say(CHAT, "a red ball")["message"]["message_id"]
    answer = await bot.send_message(CHAT, "Queued", reply_parameters=ReplyParameters(typed), reply_markup=BUTTONS)
    assert answer.reply_to_message is not None
    assert answer.reply_to_message.text == "a red ball"
    assert answer.reply_markup == BUTTONS


async def test_persons_own_keyboard_is_no_part_of_the_message(bot: Bot) -> None:
    message = await bot.send_message(CHAT, "Choose", reply_markup=ReplyKeyboardMarkup([["Yes", "No"]]))
    assert message.reply_markup is None


async def test_status_text_changes_in_place_and_its_history_is_kept(bot: Bot, sim: Simulator) -> None:
    message = await bot.send_message(CHAT, "Queued")
    edited = await bot.edit_message_text("Rendering 60 %", CHAT, message.message_id, reply_markup=BUTTONS)
    assert not isinstance(edited, bool)
    assert edited.message_id == message.message_id
    assert edited.edit_date is not None
    (seen,) = sim.messages(CHAT)
    assert seen.texts == ["Queued", "Rendering 60 %"]


async def test_status_text_becomes_the_video_and_a_repeat_changes_nothing_more(
    bot: Bot, sim: Simulator, clip: bytes
) -> None:
    message = await bot.send_message(CHAT, "Rendering")
    media = InputMediaVideo(
        clip, caption="a <b>red</b> ball", parse_mode="HTML", thumbnail=picture(), width=64, height=64
    )
    edited = await bot.edit_message_media(media, CHAT, message.message_id)
    assert not isinstance(edited, bool)
    assert edited.video is not None
    assert edited.text is None
    assert edited.caption == "a red ball"
    assert edited.video.thumbnail is not None
    assert [entity.type for entity in edited.caption_entities] == ["bold"]
    assert [entry.kind for entry in sim.messages(CHAT)] == ["video"]


async def test_caption_and_buttons_of_a_video_change_in_place(bot: Bot, sim: Simulator, clip: bytes) -> None:
    message = await bot.send_video(CHAT, clip, caption="first")
    edited = await bot.edit_message_caption(CHAT, message.message_id, caption="second")
    assert not isinstance(edited, bool)
    assert edited.caption == "second"
    marked = await bot.edit_message_reply_markup(CHAT, message.message_id, reply_markup=BUTTONS)
    assert not isinstance(marked, bool)
    assert marked.reply_markup == BUTTONS
    assert sim.messages(CHAT)[0].buttons[0][0]["text"] == "Again"


async def test_silent_mp4_stays_a_video_with_its_facts(bot: Bot, clip: bytes) -> None:
    message = await bot.send_video(CHAT, clip, duration=2, width=256, height=256, supports_streaming=True)
    assert message.animation is None
    video = message.video
    assert video is not None
    assert (video.width, video.height, video._duration.total_seconds()) == (256, 256, 2)
    assert video.mime_type == "video/mp4"
    assert video.file_size == len(clip)
    assert video.thumbnail is not None


async def test_facts_nobody_gave_are_read_from_the_clip(bot: Bot, clip: bytes) -> None:
    video = (await bot.send_video(CHAT, clip)).video
    assert video is not None
    assert (video.width, video.height, video._duration.total_seconds()) == (64, 64, 2)


async def test_animation_is_given_as_animation_and_document(bot: Bot, clip: bytes) -> None:
    message = await bot.send_animation(CHAT, clip)
    assert message.video is None
    assert message.animation is not None
    assert message.document is not None
    assert message.animation.file_id == message.document.file_id


async def test_same_file_has_the_same_id_and_goes_out_again_by_it(bot: Bot, clip: bytes) -> None:
    first = (await bot.send_video(CHAT, clip)).video
    second = (await bot.send_video(CHAT, clip)).video
    assert first is not None
    assert second is not None
    assert (first.file_id, first.file_unique_id) == (second.file_id, second.file_unique_id)
    again = await bot.send_video(CHAT, first.file_id, caption="again")
    assert again.video == first


async def test_bytes_that_are_no_film_arrive_as_a_document(bot: Bot) -> None:
    message = await bot.send_video(CHAT, b"not a film at all")
    assert message.video is None
    assert message.document is not None


async def test_document_and_photo_arrive(bot: Bot, clip: bytes) -> None:
    document = (await bot.send_document(CHAT, clip, filename="ball.mp4")).document
    assert document is not None
    assert document.file_name == "ball.mp4"
    photo = (await bot.send_photo(CHAT, picture(), caption="poster")).photo
    assert [(size.width, size.height) for size in photo] == [(320, 160), (400, 200)]
    again = await bot.send_photo(CHAT, photo[-1].file_id)
    assert again.photo == photo


async def test_media_is_swapped_for_another_kind(bot: Bot, sim: Simulator, clip: bytes) -> None:
    message = await bot.send_video(CHAT, clip)
    await bot.edit_message_media(InputMediaAnimation(clip), CHAT, message.message_id)
    await bot.edit_message_media(InputMediaPhoto(picture()), CHAT, message.message_id)
    assert sim.messages(CHAT)[0].kind == "photo"


async def test_file_is_downloaded_again(bot: Bot, clip: bytes) -> None:
    message = await bot.send_video(CHAT, clip)
    assert message.video is not None
    file = await message.video.get_file()
    assert bytes(await file.download_as_bytearray()) == clip


async def test_file_a_person_sent_is_downloaded(bot: Bot, sim: Simulator) -> None:
    sim.send(CHAT, "photo", caption="like this")
    (update,) = await bot.get_updates()
    assert update.message is not None
    file = await update.message.photo[-1].get_file()
    assert len(await file.download_as_bytearray()) == file.file_size


@pytest.mark.parametrize("kind", sorted(KINDS))
async def test_whatever_a_person_sends_can_be_read(bot: Bot, sim: Simulator, kind: str) -> None:
    sim.send(CHAT, kind)
    (update,) = await bot.get_updates()
    assert update.message is not None
    assert getattr(update.message, kind)


async def test_button_press_is_answered_once(bot: Bot, sim: Simulator) -> None:
    message = await bot.send_message(CHAT, "Done", reply_markup=BUTTONS)
    sim.press(CHAT, message.message_id, "Again")
    (update,) = await bot.get_updates()
    query = update.callback_query
    assert query is not None
    assert query.data == "g:1:again"
    assert query.message == message
    assert await query.answer("On its way", show_alert=True)
    assert next(iter(sim.world.queries.values())).answer == {"text": "On its way", "show_alert": True, "url": ""}


async def test_edited_deleted_and_reacted(bot: Bot, sim: Simulator) -> None:
    typed = sim.say(CHAT, "a dog")["message"]["message_id"]
    sim.edit(CHAT, typed, "a cat")
    updates = await bot.get_updates()
    assert updates[1].edited_message is not None
    assert updates[1].edited_message.text == "a cat"
    assert await bot.set_message_reaction(CHAT, typed, ReactionTypeEmoji("👀"))
    assert sim.messages(CHAT)[0].reactions == [{"type": "emoji", "emoji": "👀"}]
    assert await bot.delete_message(CHAT, typed)
    assert sim.messages(CHAT) == []
    assert len(sim.messages(CHAT, deleted=True)) == 1


async def test_reaction_of_a_person_arrives_when_asked_for(bot: Bot, sim: Simulator) -> None:
    message = await bot.send_message(CHAT, "Done")
    await bot.get_updates(allowed_updates=["message_reaction"])
    sim.react(CHAT, message.message_id, "🔥")
    (update,) = await bot.get_updates()
    assert update.message_reaction is not None
    assert update.message_reaction.new_reaction[0] == ReactionTypeEmoji("🔥")


async def test_chat_action_is_taken(bot: Bot, sim: Simulator) -> None:
    assert await bot.send_chat_action(CHAT, ChatAction.UPLOAD_VIDEO)
    assert sim.calls("sendChatAction")[0].params["action"] == "upload_video"


async def test_commands_are_kept_per_language(bot: Bot) -> None:
    assert await bot.set_my_commands([BotCommand("help", "What this bot does")])
    assert await bot.set_my_commands([BotCommand("help", "Was dieser Bot kann")], language_code="de")
    assert (await bot.get_my_commands())[0].description == "What this bot does"
    assert (await bot.get_my_commands(language_code="de"))[0].description == "Was dieser Bot kann"
    assert await bot.delete_my_commands()
    assert await bot.get_my_commands() == ()


async def test_copy_and_forward(bot: Bot, sim: Simulator, clip: bytes) -> None:
    sim.add_chat(-100, "group", "Film club")
    message = await bot.send_video(CHAT, clip, caption="mine")
    copied = await bot.copy_message(-100, CHAT, message.message_id, caption="yours")
    forwarded = await bot.forward_message(-100, CHAT, message.message_id)
    assert copied.message_id == 1
    assert forwarded.forward_origin is not None
    assert [entry.text for entry in sim.messages(-100)] == ["yours", "mine"]


async def test_chat_and_member_can_be_looked_up(bot: Bot, sim: Simulator) -> None:
    chat = await bot.get_chat(CHAT)
    assert chat.username == "ada"
    assert (await bot.get_chat("@ada")).id == CHAT
    assert (await bot.get_chat_member(CHAT, CHAT)).user.first_name == "Ada"


async def test_profile_is_set_and_read(bot: Bot) -> None:
    assert await bot.set_my_description("Text to video")
    assert (await bot.get_my_description()).description == "Text to video"
    assert await bot.set_my_short_description("Films")
    assert (await bot.get_my_short_description()).short_description == "Films"
    assert await bot.set_my_name("Film bot")
    assert (await bot.get_my_name()).name == "Film bot"
    assert await bot.set_chat_menu_button()


async def test_log_out_and_close_are_taken(bot: Bot) -> None:
    assert await bot.log_out()
    assert await bot.close()


async def test_several_messages_are_deleted_at_once(bot: Bot, sim: Simulator) -> None:
    for number in range(3):
        await bot.send_message(CHAT, str(number))
    assert await bot.delete_messages(CHAT, [1, 3, 99])
    assert [message.text for message in sim.messages(CHAT)] == ["1"]


async def test_unknown_parameters_do_no_harm(bot: Bot) -> None:
    assert await bot.send_message(CHAT, "hello", api_kwargs={"from_the_future": {"a": [1]}})


async def test_wrong_token_is_not_let_in(sim: Simulator) -> None:
    stranger = make_bot(sim, token="1000002:OTHER")
    with pytest.raises(InvalidToken):
        await stranger.initialize()
    for request in stranger._request:
        await request.shutdown()
    assert sim.calls("getMe")[0].status == 401


async def test_unknown_method_is_named_as_such(bot: Bot, sim: Simulator) -> None:
    with pytest.raises(EndPointNotFound, match="sendTelepathy"):
        await bot.do_api_request("sendTelepathy")
    assert sim.calls("sendTelepathy")[0].response == {
        "ok": False,
        "error_code": 404,
        "description": "Not Found: method not found",
    }
