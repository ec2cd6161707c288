"""What people type, and how many videos of the demo model it asks for in a private chat; None: that depends."""

from __future__ import annotations

ZALGO = "a c" + "\u0300\u0301\u0323\u0330\u0489" * 30 + "at"

TEXTS: tuple[tuple[str, int | None], ...] = (
    ("a red circle", 1),
    ("a red circle", 1),
    ("a cat --seed 7 --ar 1:1", 1),
    ("a dog —seed 9 --no text, blur", 1),
    ("two birds x2", 2),
    ("a fish --steps 12 x4", 4),
    ("x3 a horse", 1),
    # Refused.
    ("--seed 7", 0),
    ("x4", 0),
    ("a cat --seed seven", 0),
    ("a cat --steps 99999", 0),
    ("a cat --ar 16:9", 0),
    ("a cat --sede 7", 0),
    ("\0\0\0", 0),
    ("\u2800\u3164\u200b", 0),
    ("\U0001f600" * 4097, 0),
    # Strange, and a prompt all the same.
    ("a\0cat", 1),
    ("\u202egnihtemos\u202c \u2066a cat\u2069", 1),
    (ZALGO, 1),
    ("\U0001f600" * 4096, 1),
    ("a" * 4096, 1),
    ("half an emoji \ud83d here", 1),
    ("*a* _b_ `c` [d](http://e) <b>f</b> &lt; \\", 1),
    ("'; DROP TABLE generations_generation; --", 1),
    ("%s %(name)s {0} {name}", 1),
    ("// a comment", 1),
    ("/ video", 1),
    ("a cat /cancel", 1),
    ("кот играет на пианино", None),
    ("一只猫在弹钢琴", None),
    ("مرحبا بالعالم", None),
    # Something else than a prompt.
    ("", 0),
    ("/strat", 0),
    ("/video", 0),
    ("/video a cat x2", 2),
    ("/video@simulator_bot a cat", 1),
)

COMMANDS = (
    *("/start", "/help", "/status", "/usage", "/history", "/again", "/settings", "/privacy", "/language"),
    *(
        "/cancel",
        "/cancel all",
        "/cancel 1",
        "/cancel it",
        "/export_me",
        "/delete_me",
        "/ops",
        "/start@simulator_bot x",
    ),
)
MEDIA = ("sticker", "photo", "voice", "document", "animation", "poll", "location", "dice")
IN_GROUPS = ("/video a cat x2", "@simulator_bot a dog", "/status@simulator_bot", "/again", "/cancel", "/history")
REPLIES = ("another cat", "a cat --seed 5 x2", "--frames 0", "кот")
# A group's talk that is none of the bot's business.
TALK = ("a cat", "/strat", "/video@another_bot a cat", "hello @somebody_else", "/cancel@another_bot")
