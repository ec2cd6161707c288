"""What is kept about what was done: what operators did, and that somebody was erased."""

from __future__ import annotations

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models

from generations.models.people import Requester


class Erasure(models.Model):
    """Everything of somebody was deleted. Nobody can tell whose: see erasing.py."""

    at = models.DateTimeField(auto_now_add=True)
    prompts = models.PositiveIntegerField(help_text="Deleted with their videos and their history.")
    updates = models.PositiveIntegerField(help_text="Stored messages and presses that were emptied.")
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text="The operator who did it; nobody: the person.",
    )

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"erasure {self.pk}"


class AuditEntry(models.Model):
    """What an operator did, to what, and what it changed. Only ever added to, by audit_log.write()."""

    class Via(models.TextChoices):
        ADMIN = "admin", "Admin"
        TELEGRAM = "telegram", "Telegram"
        COMMAND = "command", "Command line"
        SYSTEM = "system", "By itself"

    at = models.DateTimeField(auto_now_add=True, db_index=True)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    # As it was then: the account may be gone.
    actor_label = models.CharField(max_length=150, blank=True)
    via = models.CharField(max_length=10, choices=Via)
    action = models.CharField(max_length=30)
    # No foreign key: the entry outlives what it is about.
    object_type = models.CharField(max_length=100)
    object_id = models.CharField(max_length=64)
    object_label = models.CharField(max_length=200)
    # Whom it concerns: when that person is erased, nothing here may tell who it was.
    person = models.ForeignKey(Requester, null=True, on_delete=models.SET_NULL, related_name="+")
    before = models.JSONField(default=dict, encoder=DjangoJSONEncoder)
    after = models.JSONField(default=dict, encoder=DjangoJSONEncoder)
    note = models.TextField(blank=True)

    class Meta:
        verbose_name_plural = "audit log"
        default_permissions = ("view",)
        ordering = ["-pk"]
        indexes = [
            models.Index(fields=["object_type", "object_id", "-id"], name="audit_by_object"),
            models.Index(fields=["action", "-id"], name="audit_by_action"),
            models.Index(fields=["actor", "-id"], name="audit_by_actor"),
        ]

    def __str__(self) -> str:
        return f"{self.action}: {self.object_label}"
