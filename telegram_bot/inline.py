"""Inline mode: "@bot words" in any chat offers one's own finished clips, by the ids that Telegram has them under.

New clips are not made that way: an inline query waits for seconds, a clip takes minutes.
"""

from __future__ import annotations

import logging

from asgiref.sync import sync_to_async
from telegram import (
    Bot,
    InlineQuery,
    InlineQueryResult,
    InlineQueryResultCachedDocument,
    InlineQueryResultCachedMpeg4Gif,
    InlineQueryResultCachedVideo,
    InlineQueryResultsButton,
)
from telegram.constants import MessageLimit
from telegram.error import TelegramError

from generations import personal

from . import texts
from .asking import title_of
from .buttons import row_number
from .captions import shorten
from .errors import sort

logger = logging.getLogger(__name__)

# Telegram's limit.
PAGE = 50
# A clip that is deleted or made just now is not to be missed for long.
CACHE_SECONDS = 5
# What /start gets from the button above an empty list.
START = "inline"


async def offer(bot: Bot, query: InlineQuery) -> None:
    """Answer it, or not at all: it is asked anew with the next letter."""
    try:
        # The offset is the number of the last clip before: clips that come or go meanwhile move no page.
        before = row_number(query.offset)
        clips = await sync_to_async(_clips)(query.from_user.id, query.query, before)
        found = clips[:PAGE]
        button = None
        if not found and before is None:
            button = InlineQueryResultsButton(texts.button_make_one(), start_parameter=START)
        await bot.answer_inline_query(
            query.id,
            [result for _, result in found],
            cache_time=CACHE_SECONDS,
            is_personal=True,
            next_offset=str(found[-1][0]) if len(clips) > PAGE else "",
            button=button,
        )
    except TelegramError as error:
        logger.info("An inline query was not answered: %s", sort(error).reason)
    except Exception as error:
        # Most likely the database. The words of the query are in no log.
        logger.error("An inline query was not answered: %s", type(error).__name__)


def _clips(user_id: int, words: str, before: int | None) -> list[tuple[int, InlineQueryResult]]:
    """One more than a page, if there are."""
    return [
        (row.pk, _result(row.pk, row.prompt, row.file_kind, row.file_id))
        for row in personal.clips(user_id, words, before, PAGE + 1)
    ]


def _result(pk: int, prompt: str, kind: str, file_id: str) -> InlineQueryResult:
    """Of its kind: Telegram takes no id as a video that it calls an animation."""
    title, caption = title_of(prompt), shorten(prompt.strip(), MessageLimit.CAPTION_LENGTH)
    if kind == "video":
        return InlineQueryResultCachedVideo(str(pk), file_id, title, caption=caption)
    if kind == "animation":
        return InlineQueryResultCachedMpeg4Gif(str(pk), file_id, title=title, caption=caption)
    return InlineQueryResultCachedDocument(str(pk), title, file_id, caption=caption)
