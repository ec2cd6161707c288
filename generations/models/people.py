"""People, and the group chats where they are."""

from __future__ import annotations

from datetime import date, timedelta

from django.db import models
from django.db.models import Q
from django.utils import timezone

from generations.models.policy import Policy
from generations.models.tiers import Entitlement, OwnLimits, Tier, entitlement


class Requester(OwnLimits):
    """A person who types prompts, known by the chat network's 64-bit id."""

    user_id = models.BigIntegerField(unique=True)
    display_name = models.CharField(max_length=256, blank=True)
    username = models.CharField(max_length=64, blank=True)
    language_code = models.CharField(max_length=16, blank=True)
    # In which this person wants to be answered, chosen with /language; empty: as their Telegram is.
    language = models.CharField(max_length=16, blank=True, editable=False)
    banned_at = models.DateTimeField(null=True, blank=True)
    ban_reason = models.CharField(max_length=200, blank=True)
    # Since when this person may submit; counts while the policy lets in only some. See limits.admitted.
    admitted_at = models.DateTimeField(null=True, blank=True, editable=False)
    # When this person last read in full why nothing is made for them.
    told_why_at = models.DateTimeField(null=True, blank=True, editable=False)
    # The policy's terms that this person has accepted; 0 for none.
    terms_accepted_version = models.PositiveIntegerField(default=0, editable=False)
    terms_accepted_at = models.DateTimeField(null=True, blank=True, editable=False)
    notes = models.TextField(blank=True)
    # See reviewing.py.
    review = models.CharField(
        max_length=20,
        choices=Policy.Review,
        blank=True,
        help_text="For this person, wherever they write. Empty: as the group or the policy says.",
    )
    tier = models.ForeignKey(
        Tier,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="people",
        help_text="Its limits count where this person has none below.",
    )
    # Videos besides the daily limit, on that day only. See limits.granted_today.
    granted = models.PositiveIntegerField(default=0, editable=False)
    granted_on = models.DateField(null=True, blank=True, editable=False)
    # What this person chose for all prompts; empty for the default. See preferences.py.
    preset = models.CharField(max_length=20, blank=True, editable=False)
    aspect = models.CharField(max_length=16, blank=True, editable=False)
    seconds = models.FloatField(null=True, blank=True, editable=False)
    style = models.CharField(max_length=24, blank=True, editable=False)
    silent = models.BooleanField(default=False, editable=False, help_text="Results never ring.")
    no_news = models.BooleanField(
        "no announcements", default=False, editable=False, help_text="Is sent nothing that goes to many people."
    )
    # Model and licence as a caption told them last, see services.licence_to_tell.
    licence_told = models.CharField(max_length=410, blank=True, editable=False)
    # Fair order: whoever was served longest ago comes first.
    last_served_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        permissions = [
            ("ban_requester", "Can ban people"),
            ("admit_requester", "Can give and withdraw access"),
            ("limit_requester", "Can set limits of people"),
        ]

    def __str__(self) -> str:
        return self.display_name or self.username or str(self.user_id)

    @property
    def is_banned(self) -> bool:
        return self.banned_at is not None

    def entitlement(self, policy: Policy) -> Entitlement:
        return entitlement(policy, self, self.tier)

    def grant(self, videos: int, day: date) -> bool:
        """So many on this day in all. What was granted for an earlier one is over."""
        return Requester.objects.filter(pk=self.pk).update(granted=videos, granted_on=day) == 1

    def admit(self) -> bool:
        """False when this person had access before."""
        return Requester.objects.filter(pk=self.pk, admitted_at=None).update(admitted_at=timezone.now()) == 1

    def withdraw_access(self) -> bool:
        return Requester.objects.filter(pk=self.pk, admitted_at__isnull=False).update(admitted_at=None) == 1

    def accept_terms(self, version: int) -> bool:
        """False when these were accepted before, or newer ones."""
        older = Requester.objects.filter(pk=self.pk, terms_accepted_version__lt=version)
        return older.update(terms_accepted_version=version, terms_accepted_at=timezone.now()) == 1


class Group(models.Model):
    """A group chat where somebody spoke to the bot, with the operators' switch and limit for it."""

    chat_id = models.BigIntegerField(unique=True)
    title = models.CharField(max_length=256, blank=True)
    enabled = models.BooleanField(default=True, help_text="Take prompts from this group.")
    daily_limit = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="Videos per day, of all its people together; 0 for no limit, empty for the policy's.",
    )
    review = models.CharField(max_length=20, choices=Policy.Review, blank=True, help_text="Empty: as the policy says.")
    removed_at = models.DateTimeField(null=True, blank=True, help_text="Since when the bot is no member there.")
    # When it was last said there that nothing is taken from it.
    refused_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField("first seen", auto_now_add=True)

    class Meta:
        # Django's own groups, of operators, stand on the same page.
        verbose_name = "group chat"
        ordering = ["-pk"]

    def __str__(self) -> str:
        return self.title or str(self.chat_id)

    def is_open(self, policy: Policy) -> bool:
        return self.enabled and policy.groups_enabled

    def limit(self, policy: Policy) -> int:
        """Videos per day; 0 is none."""
        return policy.group_daily_limit if self.daily_limit is None else self.daily_limit

    def refuse(self) -> bool:
        """Say there that nothing is taken from it? Yes once a day."""
        yesterday = Q(refused_at=None) | Q(refused_at__lte=timezone.now() - timedelta(days=1))
        return Group.objects.filter(yesterday, pk=self.pk).update(refused_at=timezone.now()) == 1

    def leave(self) -> bool:
        """The bot was removed."""
        return Group.objects.filter(pk=self.pk, removed_at=None).update(removed_at=timezone.now()) == 1

    def come_back(self) -> bool:
        return Group.objects.filter(pk=self.pk).exclude(removed_at=None).update(removed_at=None) == 1
