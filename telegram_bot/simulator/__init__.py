"""A local stand-in for Telegram: the Bot API over HTTP, a control interface for tests, and a small chat page.

It keeps everything in memory and listens on this machine only. No Django, no network, no real token.
"""

from .chats import Message
from .faults import Fault
from .record import Call
from .simulator import Simulator
from .world import DEFAULT_TOKEN

__all__ = ["DEFAULT_TOKEN", "Call", "Fault", "Message", "Simulator"]
