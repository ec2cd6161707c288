"""The count after a fault: every accepted row against what people see in their chats, and files against rows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from telegram_bot.simulator import Message
from tests.faults.system import WEBHOOK_SECRET, System

UNFINISHED = {"pending_review", "queued", "running"}
UNTOLD = {"none", "waiting", "sending", "too_large"}
STATUS_WORDS = ("Queued", "Rendering", "Waiting for an operator")


@dataclass
class Account:
    accepted: int = 0
    videos: int = 0
    failures: int = 0
    # Delivery could not be proved and waits for a person: the one outcome that may be no message or one.
    unknown: int = 0
    undeliverable: int = 0
    # Status messages whose number was lost in a crash: the result came as a message of its own.
    left_over: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def outcomes(self) -> int:
        return self.videos + self.failures

    def __str__(self) -> str:
        counts = {name: value for name, value in vars(self).items() if name != "problems"}
        return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in counts.items())


def settled(system: System) -> bool:
    """Nothing is under way any more."""
    return not any(row["status"] in UNFINISHED or row["delivery"] in UNTOLD for row in system.rows())


def count(system: System) -> Account:
    account = Account()
    chats: dict[int, list[dict[str, Any]]] = {}
    for row in system.rows():
        account.accepted += 1
        account.unknown += row["delivery"] == "unknown"
        account.undeliverable += row["delivery"] == "undeliverable"
        if row["status"] in UNFINISHED or row["delivery"] in UNTOLD:
            account.problems.append(f"stuck: #{row['id']} {row['status']} {row['delivery']} {row['prompt']!r}")
        chats.setdefault(row["chat_id"], []).append(row)
    for chat_id, rows in chats.items():
        _count_chat(account, rows, [message for message in system.telegram.messages(chat_id) if message.from_bot])
    account.problems += _files(system)
    account.problems += _secrets(system)
    return account


def _count_chat(account: Account, rows: list[dict[str, Any]], messages: list[Message]) -> None:
    videos = Counter(message.text.partition("\n\n")[0] for message in messages if message.video)
    texts = Counter(message.text for message in messages if not message.video)
    account.left_over += sum(number for text, number in texts.items() if text.startswith(STATUS_WORDS))
    for prompt in {row["prompt"] for row in rows}:
        same = [row for row in rows if row["prompt"] == prompt]
        made = [row for row in same if row["status"] == "succeeded"]
        told_in_words = [row for row in made if row["delivery"] == "undeliverable"]
        seen, most, least = videos.pop(prompt, 0), len(made), len(made) - len(told_in_words)
        least -= sum(row["delivery"] == "unknown" for row in made)
        account.videos += seen
        if not least <= seen <= most:
            account.problems.append(f"{seen} videos instead of {most} for {prompt!r}")
    for prompt, number in videos.items():
        account.problems.append(f"{number} videos for {prompt!r}, which nobody ordered")
    words = Counter(words_for(row) for row in rows if row["status"] != "succeeded")
    unsure = sum(row["delivery"] in {"unknown", "undeliverable"} for row in rows)
    for text, number in words.items():
        account.failures += texts[text]
        if not number - unsure <= texts[text] <= number:
            account.problems.append(f"{texts[text]} messages instead of {number}: {text!r}")


def words_for(row: dict[str, Any]) -> str:
    return row["public_error"] or ("This video was cancelled." if row["status"] == "cancelled" else "")


def _files(system: System) -> list[str]:
    known = {name for row in system.rows() for name in (row["file"], row["poster"]) if name}
    there = {str(path.relative_to(system.media)) for path in system.media.rglob("videos/**/*") if path.is_file()}
    missing = {row["file"] for row in system.rows() if row["status"] == "succeeded"} - there
    return [f"a file without a row: {name}" for name in sorted(there - known)] + [
        f"a row without its file: {name}" for name in sorted(missing)
    ]


def _secrets(system: System) -> list[str]:
    secrets = {"the token": system.telegram.token.partition(":")[2], "the webhook's secret": WEBHOOK_SECRET}
    logs = {path.name: path.read_text("latin-1") for path in system.folder.glob("*.log")}
    return [f"{what} is in {name}" for what, secret in secrets.items() for name, log in logs.items() if secret in log]
