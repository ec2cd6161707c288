"""What prompts may not say."""

from __future__ import annotations

from django.db import models


class Rule(models.Model):
    """Words or a pattern, and what becomes of a prompt that has them. See rules.py."""

    class Kind(models.TextChoices):
        WORDS = "words", "Words, one per line"
        PATTERN = "pattern", "Regular expression (RE2)"

    class Action(models.TextChoices):
        BLOCK = "block", "Refuse it"
        HOLD = "hold", "Hold it for review"
        FLAG = "flag", "Make it, and flag it"

    name = models.CharField(max_length=60, unique=True)
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.WORDS)
    pattern = models.TextField(
        max_length=2000,
        help_text="Words are found whole, whatever their capitals and accents. D1gits for letters are not seen.",
    )
    action = models.CharField(max_length=10, choices=Action, default=Action.HOLD)
    reason = models.CharField(max_length=200, blank=True, help_text="What the person reads behind a refusal.")
    notes = models.TextField(blank=True)
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
