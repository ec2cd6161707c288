"""/telegram/webhook/: Telegram posts updates here. They are stored and nothing else; the bot process handles them.

With an answer of 2xx the update is ours; after any other, Telegram sends it again, for a day. So what can never be
stored is answered with 200 and forgotten, and 503 means "again later".
"""

from __future__ import annotations

import json
import logging
import secrets
import threading
import time
from concurrent.futures import Future

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBadRequest,
    HttpResponseForbidden,
    HttpResponseNotAllowed,
    HttpResponseNotFound,
)
from django.views.decorators.csrf import csrf_exempt

from . import inbox

logger = logging.getLogger(__name__)

# Telegram's own updates stay below 100 kB.
LARGEST_BODY = 1024 * 1024
# How long the rest of a body that is too large may take to arrive.
DROP_SECONDS = 0.5
# Telegram is answered within five seconds, whatever the database does.
PATIENCE = 4.0
# Threads that wait for the database at one time, those included whose answer has long been 503.
AT_ONCE = 16
_places = threading.BoundedSemaphore(AT_ONCE)


@csrf_exempt
def webhook(request: HttpRequest) -> HttpResponse:
    """Cheap checks first: a stranger costs neither a read of the body nor a query."""
    if not settings.WEBHOOK_SECRET:
        return HttpResponseNotFound()
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    if not knows_the_secret(request):
        return HttpResponseForbidden()
    if request.content_type != "application/json":
        return HttpResponse(status=415)
    try:
        body = body_of(request)
    except OSError:
        # Cut off on its way; the whole of it comes with the next attempt.
        return HttpResponseBadRequest()
    if len(body) > LARGEST_BODY:
        logger.warning("Ignored an update of more than %s bytes.", LARGEST_BODY)
        return HttpResponse()
    try:
        store_in_time(json.loads(body))
    except (ValueError, RecursionError) as error:
        logger.warning("Ignored an update that is no JSON: %s", type(error).__name__)
    except (DatabaseError, TimeoutError) as error:
        logger.error("An update could not be stored; Telegram will send it again: %s", type(error).__name__)
        return HttpResponse(status=503)
    return HttpResponse()


def knows_the_secret(request: HttpRequest) -> bool:
    """Telegram repeats in this header what setWebhook told it."""
    given = request.headers.get("X-Telegram-Bot-Api-Secret-Token", "")
    return secrets.compare_digest(given.encode(errors="replace"), settings.WEBHOOK_SECRET.encode(errors="replace"))


def body_of(request: HttpRequest) -> bytes:
    """The body, or its beginning when it is larger than LARGEST_BODY. OSError when it is cut short."""
    # Some proxies send a body in chunks without a length, and Django reads nothing without a length. A server that can
    # tell where the chunks end says so.
    chunked = "HTTP_TRANSFER_ENCODING" in request.META and request.META.get("wsgi.input_terminated")
    stream = request.META["wsgi.input"] if chunked else request
    body: bytes = stream.read(LARGEST_BODY + 1)
    # A server that closes while the other side still sends resets the connection, and the answer is lost with it.
    deadline = time.monotonic() + DROP_SECONDS
    while len(body) > LARGEST_BODY and time.monotonic() < deadline and stream.read(64 * 1024):
        pass
    announced = str(request.META.get("CONTENT_LENGTH", ""))
    if not chunked and announced.isdecimal() and len(body) < min(int(announced), LARGEST_BODY):
        raise OSError("the body is shorter than announced")
    return body


def store_in_time(update: inbox.Json) -> None:
    """Returns when the update is committed. TimeoutError when that takes too long.

    On a thread of its own, because a driver may wait for ever: for a lock, a frozen server, a name that is not found. A
    late thread may still commit; when Telegram sends that update again, it is a known one.
    """
    deadline = time.monotonic() + PATIENCE
    if not _places.acquire(timeout=PATIENCE):
        raise TimeoutError
    outcome: Future[None] = Future()

    def store() -> None:
        try:
            try:
                inbox.store([update])
            finally:
                connection.close()
            outcome.set_result(None)
        except BaseException as error:
            outcome.set_exception(error)
        finally:
            _places.release()

    try:
        threading.Thread(target=store, name="webhook", daemon=True).start()
    except RuntimeError:
        # The machine has no thread left.
        _places.release()
        raise TimeoutError from None
    outcome.result(max(0.0, deadline - time.monotonic()))
