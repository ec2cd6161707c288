"""Every word a person reads in the chat. Plain text: no parse mode anywhere, so nothing a person types can break it.

Call these while the person's language is spoken (languages.py). docs/translations.md says how a new text is translated.
"""

from telegram_bot.texts.access import *
from telegram_bot.texts.answers import *
from telegram_bot.texts.buttons import *
from telegram_bot.texts.operators import *
from telegram_bot.texts.person import *
from telegram_bot.texts.privacy import *
from telegram_bot.texts.progress import *
from telegram_bot.texts.refusals import *
