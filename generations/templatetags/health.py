"""What /healthz calls red, and what operators were told in Telegram, in sentences for their first page."""

from __future__ import annotations

from django import template

from t2vsite import health

register = template.Library()

WORDS = {
    ("redis", "unreachable"): "The queue server cannot be reached. Prompts are accepted and wait.",
    ("worker", "none_while_prompts_wait"): "Prompts wait, and no worker runs.",
    ("bot", "not_running"): "No bot runs: nobody is answered.",
    ("bot", "token_refused"): "Telegram does not accept the bot's token. Everything waits until it has a valid one.",
    ("bot", "conflict"): "Another program fetches the bot's messages, or a webhook takes them.",
    ("bot", "telegram_unreachable"): "The bot cannot reach Telegram.",
    ("bot", "webhook_refused"): "The webhook was taken away, and Telegram refuses to set it again.",
    ("bot", "database_unreachable"): "The bot cannot reach the database.",
}


@register.simple_tag
def troubles() -> list[str]:
    parts = health.look(health.PARTS)
    words = [WORDS.get((part, state), f"{part}: {state}") for part, state in parts.items() if state != health.OK]
    return words + health.told()
