"""What each role may do: the only table of it. The groups are made from it by a migration, see grant().

A migration that brings a permission named here ends with RunPython(roles.grant): Django itself makes permissions only
when all migrations are done, too late for any of them.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Group, Permission

REVIEW, CANCEL = "generations.review_generation", "generations.cancel_generation"
RERUN, RESEND = "generations.rerun_generation", "generations.resend_generation"
PRIORITISE, EXPORT = "generations.prioritise_generation", "generations.export_generation"
DELETE = "generations.delete_generation"
BAN, ADMIT = "generations.ban_requester", "generations.admit_requester"
LIMIT = "generations.limit_requester"
MESSAGE = "telegram_bot.message_person"
ERASE = "generations.delete_requester"
# RQ's own pages requeue and delete any job, past every rule of ours.
USE_RQ = "generations.use_rq"

VIEWER = frozenset(
    {
        "generations.view_generation",
        "generations.view_requester",
        "generations.view_erasure",
        "generations.view_group",
        "generations.view_policy",
        "generations.view_style",
        "generations.view_tier",
        "telegram_bot.view_accessrequest",
        "telegram_bot.view_alert",
        "telegram_bot.view_broadcast",
    }
)
MODERATOR = VIEWER | {
    REVIEW,
    CANCEL,
    BAN,
    ADMIT,
    MESSAGE,
    "generations.change_requester",
    "generations.view_auditentry",
    "generations.view_rule",
    "telegram_bot.change_accessrequest",
}
OPERATOR = MODERATOR | {
    RERUN,
    RESEND,
    PRIORITISE,
    EXPORT,
    DELETE,
    ERASE,
    LIMIT,
    "generations.change_group",
    "generations.change_policy",
    "generations.add_rule",
    "generations.change_rule",
    "generations.delete_rule",
    "generations.add_style",
    "generations.change_style",
    "generations.delete_style",
    "generations.add_tier",
    "generations.change_tier",
    "generations.delete_tier",
    # A link lets in whoever has it, so to see one is to give it away.
    "telegram_bot.add_invitation",
    "telegram_bot.add_broadcast",
    "telegram_bot.change_broadcast",
    "telegram_bot.delete_broadcast",
    "telegram_bot.change_invitation",
    "telegram_bot.view_invitation",
    # Messages as people wrote them.
    "telegram_bot.view_receivedupdate",
}
# Whoever may change accounts may become a superuser.
ADMIN = OPERATOR | {
    USE_RQ,
    *(f"auth.{verb}_{model}" for model in ("user", "group") for verb in ("add", "change", "delete", "view")),
    *(f"telegram_bot.{verb}_operatoraccount" for verb in ("add", "change", "delete", "view")),
}
ROLES = {"Viewer": VIEWER, "Moderator": MODERATOR, "Operator": OPERATOR, "Admin": ADMIN}
APPS = ("auth", "generations", "telegram_bot")


def sync() -> None:
    """Make the groups what the table says. Who is in them stays."""
    for name, permissions in ROLES.items():
        Group.objects.get_or_create(name=name)[0].permissions.set(_found(Permission.objects.all(), permissions))


def grant(apps: Any, schema_editor: Any) -> None:
    """For migrations: make the permissions that there are by now, and give each role those it has not got."""
    alias = schema_editor.connection.alias
    for label in APPS:
        config = apps.get_app_config(label)
        # Else it is taken for an app without models: that of a migration has no module.
        config.models_module = True
        create_permissions(config, apps=apps, verbosity=0, using=alias)
        config.models_module = None
    groups = apps.get_model("auth", "Group").objects.using(alias)
    permissions = apps.get_model("auth", "Permission").objects.using(alias)
    for name, wanted in ROLES.items():
        groups.get_or_create(name=name)[0].permissions.add(*_found(permissions, wanted))


def _found(permissions: Any, wanted: frozenset[str]) -> list[Any]:
    rows = permissions.filter(content_type__app_label__in=APPS).select_related("content_type")
    return [row for row in rows if f"{row.content_type.app_label}.{row.codename}" in wanted]
