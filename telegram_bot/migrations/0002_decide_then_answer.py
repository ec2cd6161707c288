"""Deciding and answering become two steps: what was handled had been decided."""

from typing import Any

from django.db import migrations, models
from django.db.models import F, Q


def decide_what_was_handled(apps: Any, schema_editor: Any) -> None:
    updates = apps.get_model("telegram_bot", "ReceivedUpdate").objects.using(schema_editor.connection.alias)
    updates.filter(handled_at__isnull=False).update(decided_at=F("handled_at"))
    # Its answer may have been sent when the old version was stopped, and is not sent again.
    begun = updates.filter(handled_at__isnull=True, answered_at__isnull=False)
    begun.update(decided_at=F("answered_at"), handled_at=F("answered_at"))


class Migration(migrations.Migration):
    dependencies = [("telegram_bot", "0001_initial")]

    operations = [
        migrations.AddField("receivedupdate", "decided_at", models.DateTimeField(blank=True, null=True)),
        migrations.AddField(
            "receivedupdate", "answer", models.TextField(blank=True, default=""), preserve_default=False
        ),
        migrations.AddField("receivedupdate", "announces", models.BigIntegerField(blank=True, null=True)),
        migrations.RunPython(decide_what_was_handled, migrations.RunPython.noop),
        migrations.RemoveIndex("receivedupdate", "update_waiting"),
        migrations.RemoveIndex("receivedupdate", "update_order"),
        migrations.AddIndex(
            "receivedupdate",
            models.Index(fields=["update_id"], name="update_waiting", condition=Q(decided_at__isnull=True)),
        ),
        migrations.AddIndex(
            "receivedupdate",
            models.Index(fields=["chat", "update_id"], name="update_order", condition=Q(decided_at__isnull=True)),
        ),
        migrations.AddIndex(
            "receivedupdate",
            models.Index(
                fields=["chat", "update_id"],
                name="update_unsaid",
                condition=Q(decided_at__isnull=False, handled_at__isnull=True),
            ),
        ),
    ]
