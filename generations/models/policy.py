"""What operators set at run time: the policy, and the styles that people may choose."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.validators import MaxValueValidator
from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext_noop

from generations.engine.base import EXACT

DEFAULT_GREETING = gettext_noop(
    "Hello! I make short videos from text. Send me a sentence and I will turn it into a clip."
)


class Policy(models.Model):
    """One row of run-time settings; a change binds the next message."""

    class Review(models.TextChoices):
        AUTO = "auto", "Every prompt is rendered at once"
        BEFORE_GENERATION = "before_generation", "An operator approves each prompt first"
        BEFORE_DELIVERY = "before_delivery", "An operator sees each video before it is sent"

    class Access(models.TextChoices):
        OPEN = "open", "Everybody"
        INVITE = "invite", "Whoever opens an invitation link"
        ASK = "ask", "Whoever asks and is approved, or opens an invitation link"

    greeting = models.TextField(default=DEFAULT_GREETING, help_text="Answer to /start and /hello.")
    review = models.CharField(
        max_length=20,
        choices=Review,
        default=Review.AUTO,
        help_text="A group or a person may have a mode of their own.",
    )
    hourly_limit = models.PositiveIntegerField(
        default=0, help_text="Videos per person in any sixty minutes; 0 for no limit. Counted as those of a day."
    )
    daily_limit = models.PositiveIntegerField(
        default=50,
        help_text="Videos per person per day; 0 for no limit. Failed, cancelled and refused ones do not count.",
    )
    waiting_limit = models.PositiveIntegerField(
        default=5, help_text="Unfinished prompts per person at one time; 0 for no limit."
    )
    running_limit = models.PositiveIntegerField(
        default=0,
        help_text="Videos of one person that are rendered at one time; further ones wait, and others pass them. "
        "0 for no limit.",
    )
    queue_limit = models.PositiveIntegerField(
        default=200,
        help_text="Unfinished prompts of all people together; 0 for no limit.",
        validators=[MaxValueValidator(100_000)],
    )
    default_preset = models.CharField(
        max_length=20, default=EXACT, help_text="For prompts that name none. People see which one made their video."
    )
    presets = models.JSONField(default=list, blank=True, help_text="What people may choose; empty: every preset.")
    max_frames = models.PositiveIntegerField(
        default=0,
        help_text="Frames that people may ask for; 0 for as many as the model can. Most get worse past about 30.",
    )
    max_steps = models.PositiveIntegerField(
        default=0, help_text="Steps that people may ask for; 0 for as many as the model can."
    )
    max_pixels = models.PositiveIntegerField(
        default=0, help_text="Width times height that people may ask for; 0 for as much as the model can."
    )
    groups_enabled = models.BooleanField(
        default=True, help_text="Take prompts from group chats. Each group has a switch of its own, too."
    )
    group_daily_limit = models.PositiveIntegerField(
        default=0,
        help_text="Videos per group per day, of all its people together; 0 for no limit. A group's own limit wins.",
    )
    language_note = models.BooleanField(
        default=True,
        help_text="Ask before a prompt in another script is queued, when the model understands English only.",
    )
    access = models.CharField(
        max_length=10,
        choices=Access,
        default=Access.OPEN,
        help_text="Who may send prompts. Whoever did so before a change keeps access; operators always have it.",
    )
    terms = models.TextField(
        blank=True,
        help_text="Everybody accepts them before the next prompt, and again when they change. Empty: none.",
    )
    # Counts the changes of the terms.
    terms_version = models.PositiveIntegerField(default=0, editable=False)
    quiet_from = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        help_text="Results that arrive from this hour on ring nobody's phone; both empty: they always may.",
        validators=[MaxValueValidator(23)],
    )
    quiet_until = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="The hour in which they ring again.", validators=[MaxValueValidator(23)]
    )
    reactions = models.BooleanField(
        default=False,
        help_text="An accepted prompt gets 👀 as well, where that is allowed and as long as there is little to send.",
    )
    open_from = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        help_text="Prompts are taken from this hour on, every day; both empty: always.",
        validators=[MaxValueValidator(23)],
    )
    open_until = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="The hour in which that ends.", validators=[MaxValueValidator(23)]
    )
    closed_notice = models.CharField(
        max_length=300, blank=True, help_text="What people read outside these hours, before the time it opens again."
    )
    negative_prompt = models.CharField(
        max_length=300, blank=True, help_text="What not to show, for prompts that do not say it themselves with --no."
    )
    paused = models.BooleanField(
        default=False, help_text="No new prompts are taken. What was accepted before is still made."
    )
    pause_notice = models.CharField(
        max_length=300, blank=True, help_text="What people read meanwhile, behind the sentence that says so."
    )
    operators_chat_id = models.BigIntegerField(
        null=True,
        blank=True,
        help_text="Number of the chat where alerts and requests go; of a group it begins with -. Empty: to each "
        "operator's private chat.",
    )
    updated_at = models.DateTimeField(auto_now=True)
    updated_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, editable=False, on_delete=models.SET_NULL
    )

    class Meta:
        verbose_name_plural = "policy"

    def __str__(self) -> str:
        return "Policy"

    def save(self, *args: Any, **options: Any) -> None:
        """Other terms are another version, which everybody has to accept anew."""
        with transaction.atomic():
            stored = Policy.objects.select_for_update().filter(pk=self.pk).first()
            terms, version = (stored.terms, stored.terms_version) if stored is not None else ("", 0)
            self.terms_version = version + (self.terms != terms)
            if stored is not None and not PolicyVersion.objects.exists():
                # Of before there were versions.
                PolicyVersion.keep(stored)
            super().save(*args, **options)
            PolicyVersion.keep(self)

    @classmethod
    def current(cls) -> Policy:
        """The one row, made with the defaults on first use."""
        return cls.objects.get_or_create(pk=1)[0]

    @classmethod
    def pause(cls, paused: bool, *, by: Any) -> bool:
        """Stop or go on taking prompts. False when that is so already."""
        # It is there, with a version of how it was.
        if not PolicyVersion.objects.exists():
            PolicyVersion.keep(cls.current())
        changes = {"paused": paused, "updated_at": timezone.now(), "updated_by": by}
        with transaction.atomic():
            changed = cls.objects.filter(pk=cls.current().pk, paused=not paused).update(**changes) == 1
            if changed:
                PolicyVersion.keep(cls.current())
        return changed

    def values(self) -> dict[str, Any]:
        """Everything that an operator sets, as JSON has it."""
        return {
            field.name: getattr(self, field.attname)
            for field in self._meta.concrete_fields
            if field.editable and not field.primary_key
        }


class PolicyVersion(models.Model):
    """The policy as it was from one change to the next. Only ever added to."""

    at = models.DateTimeField(auto_now_add=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    # Kept when the account goes.
    by_label = models.CharField(max_length=150, blank=True)
    values = models.JSONField()

    class Meta:
        ordering = ["-pk"]
        default_permissions = ()

    def __str__(self) -> str:
        return f"version {self.pk}"

    @classmethod
    def keep(cls, policy: Policy) -> None:
        """In the transaction of the change. What changed nothing makes no version."""
        values, last = policy.values(), cls.objects.first()
        if last is None or last.values != values:
            by = policy.updated_by
            cls.objects.create(values=values, by=by, by_label=by.get_username() if by is not None else "")


class Style(models.Model):
    """Words that an operator puts around people's prompts. Rows keep the words that they were made with."""

    # What stands for the prompt in the words.
    PLACE = "{prompt}"

    name = models.CharField(max_length=24, unique=True, help_text="As people type it: --style NAME.")
    label = models.CharField(max_length=24, help_text="On the button in /settings.")
    words = models.CharField(max_length=300, help_text=f"What the model reads; {PLACE} stands for the prompt, once.")
    negative = models.CharField(max_length=300, blank=True, help_text="What not to show, besides what people say.")
    enabled = models.BooleanField(default=False, help_text="May people choose it?")
    position = models.PositiveSmallIntegerField(default=0, help_text="The smallest comes first.")

    class Meta:
        ordering = ["position", "name"]

    def __str__(self) -> str:
        return self.name
