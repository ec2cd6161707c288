"""Tells people what became of their prompts: one status message per job, which at last becomes the video.

status.py     "Queued, 3 of 5, about 4 min" -> "Rendering 60 %": edits that may fail
outlook.py    what a status message says
courier.py    what to do next, in which chat
handover.py   one result: handed over, and the outcome recorded
parcel.py     what is handed over: the video with its caption, or words
rows.py       everything that these read from and write to the database
"""

from .courier import Courier
from .rows import ANNOUNCEMENT

__all__ = ["ANNOUNCEMENT", "Courier"]
