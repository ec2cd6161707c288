"""What a generation may become.

Legal changes of status (anything else changes no row and returns False):

    PENDING_REVIEW -> QUEUED | REJECTED | CANCELLED
    QUEUED         -> RUNNING | CANCELLED
    RUNNING        -> SUCCEEDED | FAILED | CANCELLED | QUEUED (its lease lapsed and attempts are left)
    SUCCEEDED      -> REJECTED (an operator has seen the video while it was held, and said no)

Delivery is a second column, because failures and refusals must be told too:

    NONE      nobody to tell (made on the command line), or not finished yet
    HELD      finished, waits for an operator -> WAITING | UNDELIVERABLE
    WAITING   finished, to be told          -> SENDING | HELD | UNDELIVERABLE (its chat cannot be reached)
    SENDING   a bot process holds the lease -> DELIVERED | WAITING | UNDELIVERABLE | UNKNOWN | TOO_LARGE
    TOO_LARGE a worker makes it smaller     -> WAITING, once | UNDELIVERABLE
    UNKNOWN   the reply of Telegram was lost; only a person may send again -> WAITING | HELD
"""

from __future__ import annotations

from django.db import models


class Status(models.TextChoices):
    PENDING_REVIEW = "pending_review", "Waiting for review"
    QUEUED = "queued", "Queued"
    RUNNING = "running", "Rendering"
    SUCCEEDED = "succeeded", "Succeeded"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"
    REJECTED = "rejected", "Rejected"


class Delivery(models.TextChoices):
    NONE = "none", "Nobody to tell yet"
    HELD = "held", "Held for an operator"
    WAITING = "waiting", "To be sent"
    SENDING = "sending", "Being sent"
    DELIVERED = "delivered", "Delivered"
    UNDELIVERABLE = "undeliverable", "Undeliverable"
    UNKNOWN = "unknown", "Outcome unknown"
    TOO_LARGE = "too_large", "To be made smaller"


TRANSITIONS: dict[Status, frozenset[Status]] = {
    Status.PENDING_REVIEW: frozenset({Status.QUEUED, Status.REJECTED, Status.CANCELLED}),
    Status.QUEUED: frozenset({Status.RUNNING, Status.CANCELLED}),
    Status.RUNNING: frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELLED, Status.QUEUED}),
    Status.SUCCEEDED: frozenset({Status.REJECTED}),
}
UNFINISHED = (Status.PENDING_REVIEW, Status.QUEUED, Status.RUNNING)
FINISHED = tuple(status for status in Status if status not in UNFINISHED)
# What a person got, or may still get, for one of today's videos.
COUNTED = (*UNFINISHED, Status.SUCCEEDED)

DELIVERY_TRANSITIONS: dict[Delivery, frozenset[Delivery]] = {
    Delivery.HELD: frozenset({Delivery.WAITING, Delivery.UNDELIVERABLE}),
    Delivery.WAITING: frozenset({Delivery.SENDING, Delivery.HELD, Delivery.UNDELIVERABLE}),
    Delivery.SENDING: frozenset(
        {Delivery.DELIVERED, Delivery.WAITING, Delivery.UNDELIVERABLE, Delivery.UNKNOWN, Delivery.TOO_LARGE}
    ),
    Delivery.TOO_LARGE: frozenset({Delivery.WAITING, Delivery.UNDELIVERABLE}),
    Delivery.UNKNOWN: frozenset({Delivery.WAITING, Delivery.HELD}),
    Delivery.UNDELIVERABLE: frozenset({Delivery.WAITING, Delivery.HELD}),
}
