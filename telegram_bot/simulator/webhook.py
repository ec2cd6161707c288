"""Posts updates to the bot's own server, in order, until it takes them."""

from __future__ import annotations

import asyncio
import json
import logging

import httpx

from .errors import ApiError, Json
from .methods import perform
from .params import Params
from .world import World

log = logging.getLogger(__name__)
FIRST_PAUSE = 0.2
LONGEST_PAUSE = 10.0
PATIENCE = 30.0


async def deliver(world: World) -> None:
    """Run for as long as the server does."""
    pause = FIRST_PAUSE
    # No proxy from the environment: the address is on this machine.
    async with httpx.AsyncClient(trust_env=False, verify=False, timeout=PATIENCE) as client:
        while not world.bell.closed:
            await world.bell.until(lambda: bool(world.updates.webhook.url and world.updates.waiting), 3600)
            with world.bell.reading():
                hook, waiting = world.updates.webhook, list(world.updates.waiting[:1])
            if not hook.url or not waiting:
                continue
            problem, answer = await _post(client, hook.url, hook.secret_token, waiting[0].update)
            with world.bell.changing():
                if problem:
                    hook.last_error_message, hook.last_error_date = problem, world.now()
                else:
                    world.updates.remove(waiting[0].update)
            if problem:
                generation = hook.generation
                await world.bell.until(lambda: world.updates.webhook.generation != generation, pause)  # noqa: B023
                pause = min(pause * 2, LONGEST_PAUSE)
            else:
                pause = FIRST_PAUSE
                _perform_reply(world, answer)


async def _post(client: httpx.AsyncClient, url: str, secret: str, update: Json) -> tuple[str, Json]:
    headers = {"Content-Type": "application/json"}
    if secret:
        headers["X-Telegram-Bot-Api-Secret-Token"] = secret
    try:
        reply = await client.post(url, content=json.dumps(update), headers=headers)
    except httpx.TimeoutException:
        return "Read timeout expired", {}
    except httpx.HTTPError:
        return "Connection refused", {}
    if not reply.is_success:
        return f"Wrong response from the webhook: {reply.status_code} {reply.reason_phrase}", {}
    try:
        answer = reply.json()
    except ValueError:
        answer = {}
    return "", answer if isinstance(answer, dict) else {}


def _perform_reply(world: World, answer: Json) -> None:
    """A bot may answer the post with a method to call; whether it worked is never told."""
    method = answer.pop("method", None)
    if not isinstance(method, str):
        return
    try:
        perform(world, method, Params(answer))
    except ApiError as error:
        log.info("method %s in a webhook's answer: %s", method, error.description)


def task(world: World) -> asyncio.Task[None]:
    """Start delivering."""
    return asyncio.create_task(deliver(world), name="simulator webhook")
