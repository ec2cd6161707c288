"""What Telegram sent, who may fetch it, who is an operator, whom operators let in, and what the bot says by itself.

Telegram forgets an update once it is confirmed; these rows do not.
"""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models.functions import Now
from django.utils import timezone

UNDECIDED = models.Q(decided_at__isnull=True)
UNSAID = models.Q(decided_at__isnull=False, handled_at__isnull=True)


class ReceivedUpdate(models.Model):
    """One update, stored before it is confirmed and handled once.

    waiting (decided_at empty) -> leased by an owner until lease_until -> decided: what to answer is known, and a prompt
    is accepted or refused -> handled: the answer went out, or there is none; with an error if it never worked.
    Without an owner, lease_until says from when it may be tried again.
    """

    update_id = models.BigIntegerField(unique=True)
    # Updates with the same key are handled in order. Text: a stranger's chat id may be any number.
    chat = models.CharField(max_length=64, blank=True)
    # JSON in ASCII: PostgreSQL's own JSON type refuses NUL and lone surrogates, which people can send.
    payload = models.TextField()
    received_at = models.DateTimeField(auto_now_add=True)
    owner = models.CharField(max_length=100, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    decided_at = models.DateTimeField(null=True, blank=True)
    # The words to answer with; for an accepted prompt its number, because its status message says how things are then.
    answer = models.TextField(blank=True)
    announces = models.BigIntegerField(null=True, blank=True)
    # What the answer is besides words: buttons, a file, an edit. JSON in ASCII as buttons.Form makes it, or empty.
    form = models.TextField(blank=True)
    # Set just before its answer goes out: an answer whose fate is unknown is not sent again.
    answered_at = models.DateTimeField(null=True, blank=True)
    handled_at = models.DateTimeField(null=True, blank=True)
    error = models.TextField(blank=True)

    class Meta:
        ordering = ["update_id"]
        indexes = [
            # Few of many rows are waiting, and they are asked for twice a second.
            models.Index(fields=["update_id"], name="update_waiting", condition=UNDECIDED),
            models.Index(fields=["chat", "update_id"], name="update_order", condition=UNDECIDED),
            models.Index(fields=["chat", "update_id"], name="update_unsaid", condition=UNSAID),
            models.Index(fields=["handled_at"], name="update_handled"),
        ]

    def __str__(self) -> str:
        return f"update {self.update_id}"


class PollingLease(models.Model):
    """Which process fetches the updates of a bot. Telegram lets two of them take turns at losing."""

    bot_id = models.CharField(max_length=32, primary_key=True)
    owner = models.CharField(max_length=100)
    lease_until = models.DateTimeField()
    # What keeps the bot from serving, in one word for /healthz ("" when nothing does), and since when.
    problem = models.CharField(max_length=40, blank=True)
    problem_since = models.DateTimeField(null=True, blank=True)
    # A digest of the commands that Telegram was told last, see menus.py.
    menus = models.CharField(max_length=64, blank=True)
    # The bot's own, for links to it.
    username = models.CharField(max_length=64, blank=True)

    def __str__(self) -> str:
        return f"{self.owner} polls for bot {self.bot_id}"


class OperatorAccount(models.Model):
    """Which person in Telegram is which operator. What they may do is what the user may do in the admin."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    # Of a person: chats, which have negative numbers, can write too.
    telegram_id = models.BigIntegerField(
        "number in Telegram",
        unique=True,
        validators=[MinValueValidator(1)],
        help_text="Whoever has sent the bot a prompt stands under Requesters, with this number.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.user} is {self.telegram_id}"


class Alert(models.Model):
    """Something is wrong, or was. It is told when it has lasted, once, and once more when it is over: alerts.py."""

    kind = models.CharField(max_length=40)
    # What exactly, in one word, and numbers for the words.
    state = models.CharField(max_length=60, blank=True)
    facts = models.JSONField(default=dict, blank=True)
    since = models.DateTimeField()
    told_at = models.DateTimeField(null=True, blank=True)
    reminded_at = models.DateTimeField(null=True, blank=True)
    # All has been well since then, but not for long enough yet.
    clear_since = models.DateTimeField(null=True, blank=True)
    recovered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(fields=["kind"], condition=models.Q(recovered_at=None), name="one_open_alert")
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.state}".strip()

    @classmethod
    def open(cls, kind: str) -> Alert | None:
        return cls.objects.filter(kind=kind, recovered_at=None).first()

    @classmethod
    def begin(cls, kind: str, now: datetime, state: str, facts: dict[str, Any]) -> Alert:
        """The open one of this kind, or a new one. It is not well now, in whatever way."""
        seen = {"state": state, "facts": facts, "clear_since": None}
        alert, made = cls.objects.get_or_create(kind=kind, recovered_at=None, defaults={"since": now, **seen})
        if not made and any(getattr(alert, name) != value for name, value in seen.items()):
            alert._update(models.Q(), **seen)
        return alert

    def tell(self, now: datetime) -> bool:
        """True for the one that is to tell it. So with those that follow."""
        return self._update(models.Q(told_at=None), told_at=now, reminded_at=now)

    def remind(self, now: datetime) -> bool:
        return self._update(models.Q(reminded_at=self.reminded_at), reminded_at=now)

    def clear(self, now: datetime) -> bool:
        return self._update(models.Q(clear_since=None), clear_since=now)

    def recover(self) -> bool:
        """It was over when it began to be well."""
        return self._update(models.Q(clear_since=self.clear_since), recovered_at=self.clear_since)

    def drop(self) -> None:
        """It did not last, and nobody heard of it."""
        type(self).objects.filter(pk=self.pk, told_at=None).delete()

    def _update(self, only: models.Q, **changes: Any) -> bool:
        won = type(self).objects.filter(only, pk=self.pk, recovered_at=None).update(**changes) == 1
        if won:
            for name, value in changes.items():
                setattr(self, name, value)
        return won


class Bulletin(models.Model):
    """What the bot says in a chat by itself, not as an answer: sent once, then edited as its words change.

    due until the chat shows it as it is here. One that was begun and never came back may have arrived: it has
    sending_at and no message_id, and is left alone.
    """

    # What it is about, by which it is found again; one message per chat.
    topic = models.CharField(max_length=100)
    chat_id = models.BigIntegerField()
    # The person that it speaks of, who may want it gone.
    about = models.BigIntegerField(null=True, blank=True)
    text = models.TextField()
    # Its buttons. JSON in ASCII as buttons.Form makes it, or empty.
    form = models.TextField(blank=True)
    # Counts the changes of its words.
    version = models.PositiveIntegerField(default=1)
    changed_at = models.DateTimeField(default=timezone.now)
    due = models.BooleanField(default=True)
    not_before = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    # Set just before it goes out.
    sending_at = models.DateTimeField(null=True, blank=True)
    message_id = models.BigIntegerField(null=True, blank=True)
    error = models.TextField(blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["topic", "chat_id"], name="one_bulletin_per_topic_and_chat")]
        indexes = [
            models.Index(fields=["id"], name="bulletin_due", condition=models.Q(due=True)),
            models.Index(fields=["about"], name="bulletin_about", condition=models.Q(about__isnull=False)),
            # Asked for every few seconds, and few of many: what goes to thousands of people has no buttons.
            models.Index(fields=["topic"], name="bulletin_buttons", condition=~models.Q(form="")),
        ]

    def __str__(self) -> str:
        return f"bulletin {self.topic}"


class Broadcast(models.Model):
    """What operators tell many people: draft -> sending -> done or stopped. See broadcasts.py."""

    class State(models.TextChoices):
        DRAFT = "draft", "Draft"
        SENDING = "sending", "Being sent"
        DONE = "done", "Sent"
        STOPPED = "stopped", "Stopped"

    text = models.TextField(help_text="As everybody reads it; below it stands how to get no more of these.")
    active_days = models.PositiveSmallIntegerField(
        "active within",
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="Only people with a video begun within so many days. Empty: everybody.",
    )
    tier = models.ForeignKey(
        "generations.Tier", null=True, blank=True, on_delete=models.PROTECT, help_text="Only people of this tier."
    )
    per_minute = models.PositiveSmallIntegerField(
        default=300,
        validators=[MinValueValidator(1), MaxValueValidator(900)],
        help_text="Messages per minute, beside everything else that the bot sends; Telegram allows about 1,800 in all.",
    )
    state = models.CharField(max_length=10, choices=State, default=State.DRAFT, editable=False)
    # How many people there were when it began, how many were reached or not when it was over.
    people = models.PositiveIntegerField(default=0, editable=False)
    reached = models.PositiveIntegerField(default=0, editable=False)
    missed = models.PositiveIntegerField(default=0, editable=False)
    # The last person, by number, whose message was written.
    last_person = models.BigIntegerField(default=0, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, editable=False, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    begun_at = models.DateTimeField(null=True, blank=True, editable=False)
    over_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["-pk"]
        permissions = [("message_person", "Can write to one person")]

    def __str__(self) -> str:
        return f"announcement {self.pk}"

    def begin(self, people: int) -> bool:
        """False when it was begun before."""
        return self._move(self.State.DRAFT, self.State.SENDING, people=people, begun_at=timezone.now())

    def advance(self, last_person: int) -> bool:
        """So far everybody has a message. False when it was stopped."""
        return self._move(self.State.SENDING, self.State.SENDING, last_person=last_person)

    def stop(self) -> bool:
        return self._move(self.State.SENDING, self.State.STOPPED, over_at=timezone.now())

    def finish(self) -> bool:
        return self._move(self.State.SENDING, self.State.DONE, over_at=timezone.now())

    def count(self, reached: int, missed: int) -> None:
        """What became of the messages: they are forgotten some day."""
        type(self).objects.filter(pk=self.pk).update(reached=reached, missed=missed)

    def _move(self, source: State, to: State, **changes: Any) -> bool:
        won = Broadcast.objects.filter(pk=self.pk, state=source).update(state=to, **changes) == 1
        self.refresh_from_db()
        return won


def invitation_code() -> str:
    """96 bits from the system. Telegram takes up to 64 of these characters in a link."""
    return secrets.token_urlsafe(12)


class Invitation(models.Model):
    """A link that lets in whoever opens it, so many times and until then."""

    code = models.CharField(max_length=64, unique=True, default=invitation_code, editable=False)
    note = models.CharField(max_length=200, blank=True, help_text="For operators: whom it is for.")
    uses_left = models.PositiveIntegerField(
        default=1,
        null=True,
        blank=True,
        validators=[MaxValueValidator(1_000_000)],
        help_text="How many people it still lets in; empty: any number.",
    )
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Empty: never.")
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, editable=False, on_delete=models.SET_NULL, related_name="+"
    )
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"invitation {self.pk}"

    def take(self) -> bool:
        """One use of it. False when it lets in nobody any more."""
        unexpired = models.Q(expires_at=None) | models.Q(expires_at__gt=Now())
        unused = models.Q(uses_left=None) | models.Q(uses_left__gt=0)
        valid = Invitation.objects.filter(unexpired, unused, pk=self.pk, revoked_at=None)
        return valid.update(uses_left=models.F("uses_left") - 1) == 1

    def revoke(self) -> bool:
        """Whoever it has let in keeps access."""
        return Invitation.objects.filter(pk=self.pk, revoked_at=None).update(revoked_at=timezone.now()) == 1


class InvitationUse(models.Model):
    """Who came by which invitation, and when."""

    invitation = models.ForeignKey(Invitation, on_delete=models.CASCADE, related_name="uses")
    requester = models.ForeignKey("generations.Requester", on_delete=models.CASCADE, related_name="+")
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["invitation", "requester"], name="one_use_per_person")]

    def __str__(self) -> str:
        return f"use {self.pk}"


class AccessRequest(models.Model):
    """Somebody asks to be let in: open -> granted or denied by one operator."""

    class State(models.TextChoices):
        OPEN = "open", "To be decided"
        GRANTED = "granted", "Approved"
        DENIED = "denied", "Denied"

    requester = models.ForeignKey("generations.Requester", on_delete=models.CASCADE, related_name="access_requests")
    state = models.CharField(max_length=10, choices=State, default=State.OPEN)
    created_at = models.DateTimeField(auto_now_add=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["requester"], condition=models.Q(state="open"), name="one_open_access_request"
            )
        ]

    def __str__(self) -> str:
        return f"request {self.pk}"

    def decide(self, state: AccessRequest.State, by: Any) -> bool:
        """False when somebody else has decided before."""
        changes = {"state": state, "decided_by": by, "decided_at": timezone.now()}
        decided = AccessRequest.objects.filter(pk=self.pk, state=self.State.OPEN).update(**changes) == 1
        self.refresh_from_db()
        return decided
