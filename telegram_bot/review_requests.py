"""What waits for review, told to the operators with buttons; and what became of it, wherever that was decided.

Nothing calls this when a prompt is held or decided: one look every few seconds finds both. So a decision in the admin,
a ban or a cancelled prompt takes the buttons away as well, and a bot that was off catches up.
"""

from __future__ import annotations

from django.db import transaction

from generations import operating, reviewing, services
from generations.roles import REVIEW

from . import bulletins, languages, texts
from .buttons import Action, Button, Keyboard, Press, Pressed, callback
from .operators import operator_chats, operator_of

# Between two looks.
LOOK_SECONDS = 5.0
# So many are shown with buttons at one time; the admin's page has them all.
SHOWN = 10
PREFIX = "review:"


def look() -> None:
    """Tell of what waits now, and close what does not wait any more."""
    open_ones = set(bulletins.with_buttons(PREFIX))
    waiting = {_topic(row): row for row in reviewing.waiting()[: 2 * SHOWN]}
    over = [topic for topic in open_ones if topic not in waiting and not _still_waits(topic)]
    for topic in over:
        _close(topic)
    room = SHOWN - len(open_ones) + len(over)
    untold = [row for topic, row in waiting.items() if topic not in open_ones]
    for row in untold[: max(room, 0)]:
        _tell(row)


def approve(press: Press) -> Pressed:
    return _decided(press, None)


def reject(press: Press) -> Pressed:
    number = press.number(1)
    if number is None or number >= len(reviewing.REASONS):
        raise services.Gone
    return _decided(press, reviewing.REASONS[number])


def _decided(press: Press, reason: str | None) -> Pressed:
    """Asked of the database at every press: who may is no matter of who sees the button."""
    operator, pk = operator_of(press.person.user_id, REVIEW), press.number()
    if operator is None:
        return Pressed(texts.not_an_operator(), alert=True)
    row = reviewing.find(pk)
    if row is None:
        raise services.Gone
    topics = [topic for topic in bulletins.with_buttons(PREFIX) if topic.endswith(f":{row.pk}")]
    for topic in topics:
        bulletins.seen(topic, press.chat_id, press.message_id)
    with transaction.atomic():
        if reason is None:
            first = operating.approve(row, by=operator)
        else:
            first = operating.reject(row, by=operator, reason=reason)
        for topic in topics:
            _close(topic)
    row.refresh_from_db()
    return Pressed(texts.review_outcome(*reviewing.outcome(row)), alert=not first)


def _topic(row: reviewing.Waiting) -> str:
    return f"{PREFIX}{'video' if reviewing.is_video(row) else 'prompt'}:{row.pk}"


def _still_waits(topic: str) -> bool:
    row = reviewing.find(int(topic.rpartition(":")[2]))
    return row is not None and reviewing.waits(row) and _topic(row) == topic


def _tell(row: reviewing.Waiting) -> None:
    topic = _topic(row)
    for chat_id, language in languages.of_chats(operator_chats(REVIEW)).items():
        with languages.speaking(language):
            words = _words(row)
            keyboard = _keyboard(row.pk)
            if not bulletins.tell(topic, chat_id, words, keyboard, about=row.requester.user_id):
                # Approved, and held once more before it was sent.
                bulletins.retell(topic, words, keyboard, chat_id=chat_id)


def _close(topic: str) -> None:
    """What became of it; the buttons go."""
    row = reviewing.find(int(topic.rpartition(":")[2]))
    for chat_id, language in languages.of_chats(bulletins.chats(topic)).items():
        with languages.speaking(language):
            if row is None:
                words = texts.bulletin_withdrawn()
            else:
                video = topic.startswith(f"{PREFIX}video")
                words = f"{_words(row, video)}\n\n{texts.review_outcome(*reviewing.outcome(row))}"
        bulletins.retell(topic, words, chat_id=chat_id)


def _words(row: reviewing.Waiting, video: bool | None = None) -> str:
    is_video = reviewing.is_video(row) if video is None else video
    return texts.review_wanted(row.pk, row.prompt, str(row.requester), video=is_video)


def _keyboard(pk: int) -> Keyboard:
    # One for each of reviewing.REASONS.
    labels = (texts.button_against_rules(), texts.button_real_people(), texts.button_other_words())
    refusals = [[Button(label, callback("review_no", pk, number))] for number, label in enumerate(labels)]
    return [[Button(texts.button_approve(), callback("review_yes", pk))], *refusals]


ACTIONS: dict[str, Action] = {"review_yes": approve, "review_no": reject}
