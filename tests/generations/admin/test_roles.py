"""Each role at each address and lever of the admin, against the table in generations/roles.py."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import django_rq.views
import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import AnonymousUser, Group, Permission, User
from django.core.management import call_command
from django.http import Http404
from django.template.response import SimpleTemplateResponse
from django.test import Client
from django.urls import URLPattern
from django.utils import timezone

from generations import roles
from generations.admin.levers import LEVERS
from generations.models import AuditEntry, Erasure, Generation, Policy, Requester, Rule, Status, Style, Tier
from generations.models import Group as GroupChat
from telegram_bot import broadcasts
from telegram_bot.models import AccessRequest, Alert, Broadcast, Invitation, OperatorAccount, ReceivedUpdate

pytestmark = [pytest.mark.services, pytest.mark.django_db]

NOBODY = None
CHANGE_BROADCAST = "telegram_bot.change_broadcast"
# What no permission opens: nobody makes such rows by hand, or changes or deletes them.
CLOSED = {
    "generations.generation": {"add", "change"},
    "generations.requester": {"add"},
    "generations.policy": {"add", "delete"},
    "generations.group": {"add", "delete"},
    "generations.erasure": {"add", "change", "delete"},
    "generations.auditentry": {"add", "change", "delete"},
    "telegram_bot.accessrequest": {"add", "delete"},
    "telegram_bot.alert": {"add", "change", "delete"},
    "telegram_bot.invitation": {"delete"},
    "telegram_bot.receivedupdate": {"add", "change", "delete"},
}
# Addresses that Django does not give to every model, by the end of their names.
OWN = {
    "generations_generation_reject": roles.REVIEW,
    "generations_generation_rerun": roles.RERUN,
    "generations_generation_lever": "",  # each of LEVERS
    "telegram_bot_broadcast_try": CHANGE_BROADCAST,
    "telegram_bot_broadcast_begin": CHANGE_BROADCAST,
    "telegram_bot_broadcast_stop": CHANGE_BROADCAST,
    "generations_requester_ban": roles.BAN,
    "generations_requester_grant": roles.LIMIT,
    "generations_requester_unban": roles.BAN,
    "generations_requester_erase": roles.ERASE,
    "auth_user_password_change": "auth.change_user",
}
ACTIONS = {
    "generations.generation": {
        "approve_selected": roles.REVIEW,
        "reject_selected": roles.REVIEW,
        "hold_selected": roles.REVIEW,
        "cancel_selected": roles.CANCEL,
        "rerun_same_selected": roles.RERUN,
        "rerun_new_selected": roles.RERUN,
        "resend_selected": roles.RESEND,
        "first_selected": roles.PRIORITISE,
        "in_turn_selected": roles.PRIORITISE,
        "bad_selected": roles.REVIEW,
        "not_bad_selected": roles.REVIEW,
        "delete_files_selected": roles.DELETE,
        "export_csv_selected": roles.EXPORT,
        "export_json_selected": roles.EXPORT,
    },
    "generations.requester": {
        "let_in_selected": roles.ADMIT,
        "put_out_selected": roles.ADMIT,
        "grant_selected": roles.LIMIT,
        "tier_selected": roles.LIMIT,
        "ban_selected": roles.BAN,
        "unban_selected": roles.BAN,
    },
    "telegram_bot.invitation": {"revoke_selected": "telegram_bot.change_invitation"},
    "telegram_bot.accessrequest": {
        "approve_selected": "telegram_bot.change_accessrequest",
        "deny_selected": "telegram_bot.change_accessrequest",
    },
}
# Pages and doors of their own: method, the end of the address, and what it takes.
INBOX = {
    "generations_generation_review": ("GET", "review/", roles.REVIEW),
    "generations_generation_review_claim": ("POST", "review/claim/", roles.REVIEW),
    "generations_generation_export": ("GET", "export/csv/", roles.EXPORT),
    "generations_policy_versions": ("GET", "versions/", "generations.view_policy"),
    "generations_policy_export": ("GET", "export/", "generations.view_policy"),
    "generations_policy_import": ("GET", "import/", "generations.change_policy"),
    "telegram_bot_broadcast_message": ("GET", "to/1/", roles.MESSAGE),
    "generations_generation_review_decide": ("POST", "review/decide/", roles.REVIEW),
}
# Further pages to look at, for whoever may look at the rows.
LOOKS = {
    "generations_dashboard": "{start}dashboard/",
    "generations_generation_live": "{one}live/",
    "generations_rule_trial": "{start}try/",
    "telegram_bot_broadcast_live": "{one}live/",
    "telegram_bot_receivedupdate_number": "{start}number/1/",
}
# What is not a page of rows: RQ's own.
RQ = "django_rq.dashboard"


@pytest.fixture
def rows(db: None) -> dict[str, Any]:
    """One row of each model of the admin."""
    person = Requester.objects.create(user_id=4711, display_name="Petra")
    size = {"seed": 7, "frames": 16, "width": 256, "height": 256, "fps": 8, "steps": 50, "guidance_scale": 9}
    made = [
        person,
        Generation.objects.create(requester=person, request_key="k", prompt="a", status=Status.FAILED, **size),
        Policy.current(),
        GroupChat.objects.create(chat_id=-1),
        Rule.objects.create(name="names", pattern="petra"),
        Style.objects.create(name="mono", label="Mono", words="{prompt}, grey"),
        Tier.objects.create(name="Gold"),
        Erasure.objects.create(prompts=1, updates=1),
        AuditEntry.objects.create(via="admin", action="banned", object_type="generations.requester", object_id="1"),
        AccessRequest.objects.create(requester=person),
        Broadcast.objects.create(text="New!"),
        Alert.objects.create(kind="queue", since=timezone.now()),
        Invitation.objects.create(note="for Petra"),
        OperatorAccount.objects.create(user=User.objects.create_user("boss"), telegram_id=1),
        ReceivedUpdate.objects.create(update_id=1, payload="{}"),
        User.objects.create_user("other"),
        Group.objects.create(name="Own"),
    ]
    return {row._meta.label_lower: row for row in made}


def named(model_admin: Any) -> Iterator[URLPattern]:
    return (pattern for pattern in model_admin.get_urls() if pattern.name)


def needed(label: str, verb: str) -> str | None:
    app, model = label.split(".")
    return NOBODY if verb in CLOSED.get(label, ()) else f"{app}.{verb}_{model}"


def requests(rows: dict[str, Any]) -> Iterator[tuple[str, str, str | None]]:
    """Method, address, and the permission that it takes."""
    for model, model_admin in admin.site._registry.items():
        label, name = model._meta.label_lower, f"{model._meta.app_label}_{model._meta.model_name}"
        if label == RQ:
            yield "GET", "/admin/django_rq/dashboard/queues/0/", roles.USE_RQ
            continue
        start = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        one = f"{start}{rows[label].pk}/"
        for pattern in named(model_admin):
            if pattern.name == f"{name}_changelist":
                yield "GET", start, needed(label, "view")
            elif pattern.name == f"{name}_add":
                yield "GET", f"{start}add/", needed(label, "add")
            elif pattern.name == f"{name}_change":
                yield "GET", f"{one}change/", needed(label, "view")
                yield "POST", f"{one}change/", needed(label, "change")
            elif pattern.name == f"{name}_history":
                yield "GET", f"{one}history/", needed(label, "view")
            elif pattern.name == f"{name}_delete":
                yield "GET", f"{one}delete/", needed(label, "delete")
            elif pattern.name in INBOX:
                method, end, permission = INBOX[str(pattern.name)]
                yield method, f"{start}{end}", permission
            elif pattern.name in LOOKS:
                yield "GET", LOOKS[str(pattern.name)].format(start=start, one=one), needed(label, "view")
            elif pattern.name == "generations_generation_lever":
                yield from (("POST", f"{one}do/{lever}/", LEVERS[lever].permission) for lever in LEVERS)
            else:
                # An address without an entry here fails with its name.
                end = "password/" if pattern.name == "auth_user_password_change" else f"{pattern.name.split('_')[-1]}/"
                # Nothing is filled in, so nothing is done.
                yield "POST", f"{one}{end}", OWN[str(pattern.name)]


@pytest.mark.parametrize("role", roles.ROLES)
def test_each_role_opens_what_the_table_says_and_nothing_else(
    rows: dict[str, Any], role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Who may see a page is decided before it is drawn, which takes most of the time.
    monkeypatch.setattr(SimpleTemplateResponse, "rendered_content", "")
    # And there is no queue here.
    monkeypatch.setattr(django_rq.views, "get_queue_by_index", Mock(side_effect=Http404))
    # It would not be a draft any more for what follows.
    monkeypatch.setattr(broadcasts, "begin", Mock(return_value=False))
    roles.sync()
    user = User.objects.create_user("olga", is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    browser = Client()
    browser.force_login(user)
    wrong, asked = [], 0
    for method, address, permission in requests(rows):
        answer = browser.generic(method, address)
        expected = permission is not NOBODY and permission in roles.ROLES[role]
        asked += 1
        if (answer.status_code != 403) is not expected or answer.status_code >= 500:
            wrong.append(f"{method} {address} is {answer.status_code}, needs {permission}")
    assert wrong == []
    assert asked > 70


def test_each_role_is_offered_the_actions_that_the_table_says(rows: dict[str, Any], rf: Any) -> None:
    roles.sync()
    request = rf.get("/")
    for role, may in roles.ROLES.items():
        request.user = User.objects.create_user(role, is_staff=True)
        request.user.groups.add(Group.objects.get(name=role))
        for model, model_admin in admin.site._registry.items():
            label = model._meta.label_lower
            wanted = {name for name, permission in ACTIONS.get(label, {}).items() if permission in may}
            if needed(label, "delete") in may and model_admin.actions is not None:
                wanted.add("delete_selected")
            assert set(model_admin.get_actions(request)) == wanted, (role, label)


def test_strangers_see_the_login_page_only(rows: dict[str, Any]) -> None:
    browser = Client()
    for method, address, _ in requests(rows):
        answer = browser.generic(method, address)
        assert answer.status_code == 302, address
        assert re.match(r"/admin/login/\?next=", answer.headers["Location"]), address
    assert AnonymousUser().get_all_permissions() == set()


def names(permissions: Any) -> set[str]:
    return {f"{row.content_type.app_label}.{row.codename}" for row in permissions.select_related("content_type")}


def test_every_permission_in_the_table_exists_and_a_migration_gave_it_to_its_role() -> None:
    """One that is added here needs a migration that ends with roles.grant."""
    found = {
        f"{row.content_type.app_label}.{row.codename}" for row in Permission.objects.select_related("content_type")
    }
    assert frozenset().union(*roles.ROLES.values()) - found == frozenset()
    Group.objects.filter(name__in=roles.ROLES).delete()
    historic: Any = type("Editor", (), {"connection": type("Connection", (), {"alias": "default"})})
    for _ in range(2):
        roles.grant(apps, historic)
    for name, wanted in roles.ROLES.items():
        assert names(Group.objects.get(name=name).permissions.all()) == wanted


def test_the_command_gives_the_roles_back_what_they_may_do_and_keeps_their_members() -> None:
    roles.sync()
    viewer = Group.objects.get(name="Viewer")
    user = User.objects.create_user("vera", is_staff=True)
    user.groups.add(viewer)
    viewer.permissions.set(Permission.objects.filter(codename="change_policy"))
    call_command("roles", verbosity=0)
    vera = User.objects.get(pk=user.pk)
    assert vera.get_all_permissions() == roles.VIEWER
