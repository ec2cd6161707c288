"""The person in `make demo`: types one prompt into the stand-in, prints the chat as it changes, keeps the video.

python -m telegram_bot.simulator.demo http://127.0.0.1:8081 "a red circle moving right" FOLDER
"""

from __future__ import annotations

import json
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

CHAT = 1001
GREETING_SECONDS = 60.0
# A little less than the supervisor's own limit, so that this program can say what it saw.
VIDEO_SECONDS = 200.0


class Conversation:
    """One private chat as a person sees it on the screen."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._shown: dict[int, str] = {}

    def type(self, text: str) -> None:
        body = json.dumps({"chat_id": CHAT, "text": text}).encode()
        request = urllib.request.Request(f"{self.url}/control/say", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10):
            pass

    def messages(self) -> list[dict[str, Any]]:
        """What the bot has written, as it reads now; new and changed lines are printed."""
        with urllib.request.urlopen(f"{self.url}/control/messages/{CHAT}", timeout=10) as answer:
            entries = [entry for entry in json.load(answer) if not entry["deleted"]]
        for entry in entries:
            message = entry["message"]
            number, line = message["message_id"], seen(message)
            if self._shown.get(number) != line:
                who = "bot" if entry["from_bot"] else "you"
                print(f"{who} > {line}{'  (edited)' if number in self._shown else ''}", flush=True)
                self._shown[number] = line
        return [entry["message"] for entry in entries if entry["from_bot"]]

    def wait_for(self, what: str, seconds: float) -> dict[str, Any] | None:
        """The first message of the bot that has this; None when it does not come."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = next((message for message in self.messages() if what in message), None)
            if found:
                return found
            time.sleep(0.2)
        return None

    def download(self, video: dict[str, Any], folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / time.strftime("%Y%m%d-%H%M%S.mp4")
        with urllib.request.urlopen(f"{self.url}/control/files/{video['file_unique_id']}", timeout=30) as answer:
            path.write_bytes(answer.read())
        return path


def seen(message: dict[str, Any]) -> str:
    words = " ".join(str(message.get("text") or message.get("caption") or "").split())
    video = message.get("video")
    if video:
        return f"[video {video['width']}x{video['height']}, {video['duration']} s] {words}".rstrip()
    return words


def main(url: str, prompt: str, folder: str) -> int:
    chat = Conversation(url)
    chat.type("/start")
    if chat.wait_for("text", GREETING_SECONDS) is None:
        print("The bot does not answer.", file=sys.stderr)
        return 1
    chat.type(prompt)
    message = chat.wait_for("video", VIDEO_SECONDS)
    if message is None:
        print("No video came.", file=sys.stderr)
        return 1
    print(chat.download(message["video"], Path(folder)), flush=True)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except OSError as error:
        sys.exit(f"The stand-in does not answer: {error}")
