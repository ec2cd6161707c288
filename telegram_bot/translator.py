"""The operator's own translator, settings.TRANSLATOR: a function of a prompt and a language code ("" when unknown).

It runs on a thread of its own, outside any transaction, while the answer in one chat waits for it. Whatever it does,
people are asked at the latest after PATIENCE.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

from django.conf import settings
from django.utils.module_loading import import_string

logger = logging.getLogger(__name__)

PATIENCE = 8.0
# When it was too slow, nobody waits for it for so long.
REST = 60.0
# At one time, those included that nobody waits for any more.
AT_ONCE = 4
_places = threading.BoundedSemaphore(AT_ONCE)
_resting_until = 0.0


async def translate(prompt: str, language_code: str) -> str:
    """The prompt in English; "" without a translator, or when it fails, takes too long or just did the latter."""
    global _resting_until
    if not settings.TRANSLATOR or time.monotonic() < _resting_until or not _places.acquire(blocking=False):
        return ""
    outcome: Future[object] = Future()
    try:
        # A daemon: one that never comes back must not keep the process from ending.
        threading.Thread(target=_run, args=(prompt, language_code, outcome), name="translator", daemon=True).start()
    except RuntimeError:
        # The machine has no thread left.
        _places.release()
        return ""
    try:
        translated = await asyncio.wait_for(asyncio.wrap_future(outcome), PATIENCE)
        if isinstance(translated, str):
            return translated
        logger.error("The translator gave no text: %s", type(translated).__name__)
    except TimeoutError:
        logger.error("The translator is too slow, and is left alone for a while.")
        _resting_until = time.monotonic() + REST
    except Exception as error:
        # Its own message may repeat the prompt.
        logger.error("The translator failed: %s", type(error).__name__)
    return ""


def _run(prompt: str, language_code: str, outcome: Future[object]) -> None:
    try:
        function: Callable[[str, str], object] = import_string(settings.TRANSLATOR)
        result = function(prompt, language_code)
    except BaseException as error:
        if outcome.set_running_or_notify_cancel():
            outcome.set_exception(error)
    else:
        if outcome.set_running_or_notify_cancel():
            outcome.set_result(result)
    finally:
        _places.release()
