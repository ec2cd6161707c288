"""Whatever an operator does stands in the audit log, and nobody takes it out again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.test import Client

from generations import access, audit_log, erasing, exporting, operating, services
from generations.admin.levers import LEVERS
from generations.models import AuditEntry, Delivery, Erasure, Generation, Policy, Requester, Rule, Status, Style, Tier
from generations.models import Group as GroupChat
from telegram_bot import operators
from telegram_bot.models import AccessRequest, Broadcast, Invitation, OperatorAccount

pytestmark = [pytest.mark.services, pytest.mark.django_db]

Make = Callable[..., Generation]
DIFFERENCE = tuple[str, dict[str, Any], dict[str, Any]]

HELD = {"status": Status.PENDING_REVIEW}
UNKNOWN = {"status": Status.SUCCEEDED, "delivery": Delivery.UNKNOWN, "file": "a.mp4"}
TOLD = {"status": Status.SUCCEEDED, "delivery": Delivery.DELIVERED}
RULE = {"name": "names", "kind": "words", "pattern": "petra", "action": "block", "enabled": "on"}
NAMES = {"name": "names", "pattern": "petra"}
BROADCAST = {"text": "New!", "per_minute": 60}
TIER = {"name": "Gold", "daily_limit": 7}
STYLE = {"name": "mono", "label": "Mono", "words": "{prompt}, grey"}
POLICY = {
    "greeting": "Hi!",
    "access": "open",
    "review": "auto",
    "default_preset": "exact",
    "presets": ["exact"],
    "language_note": "on",
    "groups_enabled": "on",
    "hourly_limit": 0,
    "waiting_limit": 5,
    "running_limit": 0,
    "queue_limit": 200,
    "group_daily_limit": 0,
    "max_frames": 0,
    "max_steps": 0,
    "max_pixels": 0,
}
USER = {"username": "vera", "password1": "a long password", "password2": "a long password", "usable_password": "true"}
JOINED = {"username": "vera", "date_joined_0": "2026-01-01", "date_joined_1": "00:00:00", "is_active": "on"}
REJECTED: DIFFERENCE = ("rejected", {"status": "pending_review"}, {"status": "rejected"})
APPROVED: DIFFERENCE = ("approved", {"status": "pending_review"}, {"status": "queued"})
HELD_BACK: DIFFERENCE = ("held", {"hold_delivery": False}, {"hold_delivery": True})
FIRST: DIFFERENCE = ("prioritised", {"priority": 0}, {"priority": 10})
IN_TURN: DIFFERENCE = ("prioritised", {"priority": 10}, {"priority": 0})
BAD: DIFFERENCE = ("marked bad", {"marked_bad": False}, {"marked_bad": True})
NOT_BAD: DIFFERENCE = ("marked bad", {"marked_bad": True}, {"marked_bad": False})
NO_FILES: DIFFERENCE = ("files deleted", {"file": "a.mp4"}, {"file": ""})
EXPORTED: DIFFERENCE = ("exported", {}, {"rows": 1})
CANCELLED: DIFFERENCE = ("cancelled", {"status": "queued"}, {"status": "cancelled"})
RERUN: DIFFERENCE = ("re-run", {}, {"made": "#"})
RESENT: DIFFERENCE = ("sent again", {"delivery": "unknown"}, {"delivery": "waiting"})
BANNED: DIFFERENCE = ("banned", {"banned": False}, {"banned": True, "prompts_stopped": 0})
GRANTED: DIFFERENCE = ("granted", {"more": 0}, {"more": 3})
GIVEN: DIFFERENCE = ("access given", {"access": False}, {"access": True})
WITHDRAWN: DIFFERENCE = ("access withdrawn", {"access": True}, {"access": False})
UNBANNED: DIFFERENCE = ("unbanned", {"ban_reason": "Spam."}, {"banned_at": None, "ban_reason": ""})
ERASED: DIFFERENCE = ("erased", {}, {})
CHANGES = {"prompt": "b", "seed": 7, "frames": 16, "width": 256, "height": 256, "preset": "exact", "guidance_scale": 9}


def of(model: type[Any], **values: Any) -> Callable[[Requester], Any]:
    return lambda person: model.objects.create(**values)


def prompted(**values: Any) -> Callable[[Requester], Any]:
    size = {"seed": 7, "frames": 16, "width": 256, "height": 256, "fps": 8, "steps": 50, "guidance_scale": 9}
    return lambda person: Generation.objects.create(requester=person, request_key="k", prompt="a", **size | values)


def someone(**values: Any) -> Callable[[Requester], Any]:
    return lambda person: Requester.objects.create(user_id=1, display_name="Paul", **values)


def asking(person: Requester) -> AccessRequest:
    return AccessRequest.objects.create(requester=person)


def account(person: Requester) -> OperatorAccount:
    return OperatorAccount.objects.create(user=User.objects.get(username="olga"), telegram_id=5)


# What there is before, what is sent, and what is in the log afterwards. The name is that of an action on a list, of
# an address (with a lever), or of one of Django's forms.
Case = tuple[Callable[[Requester], Any], dict[str, Any], DIFFERENCE]
BAN = {"banned_at": "2026-01-01T00:00Z", "ban_reason": "Spam."}
IN = {"admitted_at": "2026-01-01T00:00Z"}
CASES: dict[str, Case] = {
    "generations.generation approve_selected": (prompted(**HELD), {}, APPROVED),
    "generations.generation reject_selected": (prompted(**HELD), {"reason": "No."}, REJECTED),
    "generations.generation hold_selected": (prompted(status=Status.QUEUED, chat_id=5), {}, HELD_BACK),
    "generations.generation first_selected": (prompted(), {}, FIRST),
    "generations.generation in_turn_selected": (prompted(priority=10), {}, IN_TURN),
    "generations.generation bad_selected": (prompted(**TOLD), {}, BAD),
    "generations.generation not_bad_selected": (prompted(**TOLD, marked_bad=True), {}, NOT_BAD),
    "generations.generation delete_files_selected": (prompted(**TOLD, file="a.mp4"), {}, NO_FILES),
    "generations_generation_lever first": (prompted(), {}, FIRST),
    "generations_generation_lever in-turn": (prompted(priority=10), {}, IN_TURN),
    "generations_generation_lever bad": (prompted(**TOLD), {}, BAD),
    "generations_generation_lever not-bad": (prompted(**TOLD, marked_bad=True), {}, NOT_BAD),
    "generations_generation_lever delete-files": (prompted(**TOLD, file="a.mp4"), {}, NO_FILES),
    "generations.generation export_csv_selected": (prompted(), {}, EXPORTED),
    "generations.generation export_json_selected": (prompted(), {}, EXPORTED),
    "generations_generation_export": (prompted(), {}, EXPORTED),
    "generations_policy_import": (
        lambda person: Policy.current(),
        {"text": '{"daily_limit": 7}', "apply": "Apply"},
        ("changed", {"daily_limit": 50}, {"daily_limit": 7}),
    ),
    "generations.generation cancel_selected": (prompted(status=Status.QUEUED), {}, CANCELLED),
    "generations.generation rerun_same_selected": (prompted(), {}, RERUN),
    "generations.generation rerun_new_selected": (prompted(), {}, ("re-run", {"seed": 7}, {"made": "#"})),
    "generations.generation resend_selected": (prompted(**UNKNOWN), {}, RESENT),
    "generations.generation delete_selected": (prompted(**TOLD), {"post": "yes"}, ("deleted", TOLD, {})),
    "generations.generation delete": (prompted(**TOLD), {"post": "yes"}, ("deleted", TOLD, {})),
    "generations_generation_lever approve": (prompted(**HELD), {}, APPROVED),
    "generations_generation_lever hold": (prompted(status=Status.QUEUED, chat_id=5), {}, HELD_BACK),
    "generations_generation_lever cancel": (prompted(status=Status.QUEUED), {}, CANCELLED),
    "generations_generation_lever rerun-same": (prompted(), {}, RERUN),
    "generations_generation_lever rerun-new": (prompted(), {}, ("re-run", {"seed": 7}, {"made": "#"})),
    "generations_generation_lever resend": (prompted(**UNKNOWN), {}, RESENT),
    "generations_generation_reject": (prompted(**HELD), {"reason": "No."}, REJECTED),
    "generations_generation_rerun": (prompted(), CHANGES, ("re-run", {"prompt": "a"}, {"prompt": "b", "made": "#"})),
    "generations_generation_review_decide": (prompted(**HELD), {"decision": "approve"}, APPROVED),
    "generations.requester let_in_selected": (someone(), {}, GIVEN),
    "generations.requester put_out_selected": (someone(**IN), {}, WITHDRAWN),
    "generations.requester ban_selected": (someone(), {"reason": "Spam."}, BANNED),
    "generations.requester unban_selected": (someone(**BAN), {}, UNBANNED),
    "generations.requester delete_selected": (someone(), {"post": "yes"}, ERASED),
    "generations.requester change": (someone(), {"notes": "Rude."}, ("changed", {"notes": ""}, {"notes": "Rude."})),
    "generations.requester delete": (someone(), {"post": "yes"}, ERASED),
    "generations.requester grant_selected": (someone(), {"videos": 3}, GRANTED),
    "generations.requester tier_selected": (
        lambda person: someone(tier=Tier.objects.create(name="Gold"))(person),
        {"tier": ""},
        ("changed", {"tier": "Gold"}, {"tier": ""}),
    ),
    "generations_requester_grant": (someone(), {"videos": 3}, GRANTED),
    "generations_requester_ban": (someone(), {"reason": "Spam."}, BANNED),
    "generations_requester_unban": (someone(**BAN), {}, UNBANNED),
    "generations_requester_erase": (someone(), {"sure": "on"}, ERASED),
    "generations.policy change": (
        lambda person: Policy.current(),
        POLICY | {"daily_limit": 7, "paused": "on"},
        ("changed", {"daily_limit": 50, "paused": False}, {"daily_limit": 7, "paused": True}),
    ),
    "generations.group change": (
        of(GroupChat, chat_id=-1, title="Circles"),
        {"daily_limit": 3},
        ("changed", {"enabled": True, "daily_limit": None}, {"enabled": False, "daily_limit": 3}),
    ),
    "generations.rule add": (someone(), RULE, ("added", {}, {"name": "names", "action": "block"})),
    "generations.rule change": (
        of(Rule, **NAMES),
        RULE,
        ("changed", {"action": "hold"}, {"action": "block"}),
    ),
    "generations.rule delete": (of(Rule, **NAMES), {"post": "yes"}, ("deleted", NAMES, {})),
    "generations.rule delete_selected": (of(Rule, **NAMES), {"post": "yes"}, ("deleted", NAMES, {})),
    "generations.tier add": (someone(), TIER | {"priority": 2}, ("added", {}, TIER)),
    "generations.tier change": (
        of(Tier, **TIER),
        {"name": "Gold", "daily_limit": 8},
        ("changed", {"daily_limit": 7}, {"daily_limit": 8}),
    ),
    "generations.tier delete": (of(Tier, **TIER), {"post": "yes"}, ("deleted", TIER, {})),
    "generations.tier delete_selected": (of(Tier, **TIER), {"post": "yes"}, ("deleted", TIER, {})),
    "generations.style add": (someone(), STYLE | {"position": 2}, ("added", {}, STYLE)),
    "generations.style change": (
        of(Style, **STYLE),
        STYLE | {"label": "Black", "position": 0},
        ("changed", {"label": "Mono"}, {"label": "Black"}),
    ),
    "generations.style delete": (of(Style, **STYLE), {"post": "yes"}, ("deleted", STYLE, {})),
    "generations.style delete_selected": (of(Style, **STYLE), {"post": "yes"}, ("deleted", STYLE, {})),
    "telegram_bot.broadcast add": (someone(), BROADCAST, ("added", {}, {"text": "New!"})),
    "telegram_bot.broadcast change": (
        of(Broadcast, **BROADCAST),
        BROADCAST | {"text": "Newer!"},
        ("changed", {"text": "New!"}, {"text": "Newer!"}),
    ),
    "telegram_bot.broadcast delete": (of(Broadcast, **BROADCAST), {"post": "yes"}, ("deleted", {"text": "New!"}, {})),
    "telegram_bot_broadcast_begin": (
        of(Broadcast, **BROADCAST),
        {},
        ("begun", {"state": "draft"}, {"state": "sending", "people": 1}),
    ),
    "telegram_bot_broadcast_stop": (
        of(Broadcast, **BROADCAST, state="sending"),
        {},
        ("stopped", {"state": "sending"}, {"state": "stopped"}),
    ),
    "telegram_bot_broadcast_message": (someone(), {"text": "Be kind."}, ("messaged", {}, {})),
    "telegram_bot.invitation add": (someone(), {"note": "Paul", "uses_left": 2}, ("added", {}, {"uses_left": 2})),
    "telegram_bot.invitation change": (
        of(Invitation, note="Paul"),
        {"note": "Paul", "uses_left": 2},
        ("changed", {"uses_left": 1}, {"uses_left": 2}),
    ),
    "telegram_bot.invitation revoke_selected": (of(Invitation), {}, ("revoked", {"revoked": False}, {"revoked": True})),
    "telegram_bot.accessrequest approve_selected": (
        asking,
        {},
        ("access given", {"state": "open"}, {"state": "granted"}),
    ),
    "telegram_bot.accessrequest deny_selected": (asking, {}, ("access denied", {"state": "open"}, {"state": "denied"})),
    "telegram_bot.operatoraccount add": (
        someone(),
        {"user": "olga", "telegram_id": 5},
        ("added", {}, {"telegram_id": 5}),
    ),
    "telegram_bot.operatoraccount change": (
        account,
        {"user": "olga", "telegram_id": 6},
        ("changed", {"telegram_id": 5}, {"telegram_id": 6}),
    ),
    "telegram_bot.operatoraccount delete": (account, {"post": "yes"}, ("deleted", {"telegram_id": 5}, {})),
    "telegram_bot.operatoraccount delete_selected": (account, {"post": "yes"}, ("deleted", {"telegram_id": 5}, {})),
    "auth.user add": (someone(), USER, ("added", {}, {"username": "vera"})),
    "auth.user change": (
        of(User, username="vera", is_active=True),
        JOINED | {"is_staff": "on", "groups": ["Own"]},
        ("changed", {"is_staff": False, "groups": []}, {"is_staff": True, "groups": ["Own"]}),
    ),
    "auth.user delete": (of(User, username="vera"), {"post": "yes"}, ("deleted", {"username": "vera"}, {})),
    "auth.user delete_selected": (of(User, username="vera"), {"post": "yes"}, ("deleted", {"username": "vera"}, {})),
    "auth_user_password_change": (of(User, username="vera"), USER, ("password changed", {}, {})),
    "auth.group add": (someone(), {"name": "New"}, ("added", {}, {"name": "New"})),
    "auth.group change": (of(Group, name="Old"), {"name": "New"}, ("changed", {"name": "Old"}, {"name": "New"})),
    "auth.group delete": (of(Group, name="Old"), {"post": "yes"}, ("deleted", {"name": "Old"}, {})),
    "auth.group delete_selected": (of(Group, name="Old"), {"post": "yes"}, ("deleted", {"name": "Old"}, {})),
}
# Nothing can be changed on it: all its fields are only shown.
NOTHING_TO_CHANGE = {
    "telegram_bot.accessrequest change",
    "generations_dashboard",
    "generations_policy_versions",
    "generations_policy_export",
    "generations_rule_trial",
    "telegram_bot_broadcast_live",
    # To whoever presses it, and nobody else.
    "telegram_bot_broadcast_try",
    "generations_generation_review",
    # Who looks at an item: nothing that a person would notice.
    "generations_generation_review_claim",
    "generations_generation_live",
    "telegram_bot_receivedupdate_number",
}
DJANGOS = {"changelist", "add", "change", "delete", "history"}


def registered(request: Any) -> Iterator[str]:
    """Everything that changes something, of every model but RQ's, whose pages know no rows."""
    for model, model_admin in admin.site._registry.items():
        label = model._meta.label_lower
        if label == "django_rq.dashboard":
            continue
        yield from (f"{label} {action}" for action in model_admin.get_actions(request))
        may = {verb: getattr(model_admin, f"has_{verb}_permission")(request) for verb in ("add", "change", "delete")}
        yield from (f"{label} {verb}" for verb, allowed in may.items() if allowed)
        own = f"{model._meta.app_label}_{model._meta.model_name}_"
        for pattern in model_admin.get_urls():
            if pattern.name and pattern.name.removeprefix(own) not in DJANGOS:
                lever = pattern.name == "generations_generation_lever"
                yield from (f"{pattern.name} {name}" for name in LEVERS) if lever else (pattern.name,)


def test_every_action_and_lever_that_there_is_is_tried_here(operator: User, rf: Any) -> None:
    request = rf.get("/")
    request.user = operator
    assert set(registered(request)) - NOTHING_TO_CHANGE == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_what_is_done_on_a_page_is_in_the_log(
    name: str, page: Client, operator: User, person: Requester, settings: LazySettings
) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    make, values, (action, before, after) = CASES[name]
    own = Group.objects.create(name="Own")
    row = make(person)
    values = {key: operator.pk if value == "olga" else value for key, value in values.items()}
    values = {key: [own.pk] if value == ["Own"] else value for key, value in values.items()}
    page.post(address(name, row), chosen(name, row) | values)

    [entry] = AuditEntry.objects.all()
    assert (entry.actor, entry.actor_label, entry.via, entry.action) == (operator, "olga", "admin", action)
    assert before.items() <= entry.before.items()
    made = entry.after.get("made")
    assert after.items() <= (entry.after | ({"made": "#"} if made else {})).items()
    assert made is None or made == f"#{Generation.objects.first().pk}"
    # Prompts that are taken away are told as the operator's.
    if action not in ("added", "erased", "exported"):
        assert (entry.object_type, entry.object_id) == (row._meta.label_lower, str(row.pk))
    assert "password" not in entry.after
    assert page.get("/admin/generations/auditentry/").status_code == 200
    assert action.encode() in page.get(f"/admin/generations/auditentry/{entry.pk}/change/").content


def address(name: str, row: Any) -> str:
    label, _, what = name.partition(" ")
    if "." in label:
        start = f"/admin/{label.replace('.', '/')}/"
        return start if "_selected" in what else f"{start}{'' if what == 'add' else f'{row.pk}/'}{what}/"
    app, model, lever = label.replace("telegram_bot", "telegram-bot").split("_", 2)
    app = app.replace("-", "_")
    if lever == "message":
        return f"/admin/{app}/{model}/to/{row.pk}/"
    doors = {"review_decide": "review/decide", "export": "export/csv", "import": "import"}
    if lever in doors:
        return f"/admin/{app}/{model}/{doors[lever]}/"
    end = {"lever": f"do/{what}", "password_change": "password"}.get(lever, lever)
    return f"/admin/{app}/{model}/{row.pk}/{end}/"


def chosen(name: str, row: Any) -> dict[str, Any]:
    what = name.partition(" ")[2]
    if name == "generations_generation_review_decide":
        return {"pk": row.pk}
    return {"action": what, "_selected_action": [row.pk]} if "_selected" in what else {}


def test_switches_on_the_list_of_groups_are_in_the_log(page: Client) -> None:
    group = GroupChat.objects.create(chat_id=-1)
    form = {"form-TOTAL_FORMS": 1, "form-INITIAL_FORMS": 1, "form-0-id": group.pk, "form-0-daily_limit": 4}
    page.post("/admin/generations/group/", form | {"form-0-enabled": "on", "_save": "Save"})
    [entry] = AuditEntry.objects.all()
    assert (entry.before, entry.after) == ({"daily_limit": None}, {"daily_limit": 4})


def test_what_changed_nothing_is_not_in_the_log(page: Client, prompt: Make, person: Requester, operator: User) -> None:
    row = prompt(status=Status.SUCCEEDED)
    page.post(f"/admin/generations/generation/{row.pk}/do/approve/")
    page.post(f"/admin/generations/generation/{row.pk}/do/cancel/")
    page.post(f"/admin/generations/requester/{person.pk}/unban/")
    page.post(f"/admin/generations/requester/{person.pk}/change/", {"notes": ""})
    operating.cancel(prompt(status=Status.QUEUED), by="requester")
    assert not access.withdraw_access(person, by=operator)
    assert not AuditEntry.objects.exists()


def test_a_change_that_is_undone_leaves_no_entry(prompt: Make, operator: User) -> None:
    with transaction.atomic():
        assert operating.approve(prompt(**HELD), by=operator)
        transaction.set_rollback(True)
    assert not AuditEntry.objects.exists()


def test_nobody_changes_or_deletes_an_entry(page: Client, operator: User, person: Requester) -> None:
    operating.ban(person, by=operator, reason="Spam.")
    entry = AuditEntry.objects.get()
    one = f"/admin/generations/auditentry/{entry.pk}/"
    assert page.post(f"{one}change/", {"note": "Nothing."}).status_code == 403
    assert page.post(f"{one}delete/", {"post": "yes"}).status_code == 403
    assert page.get("/admin/generations/auditentry/add/").status_code == 403
    page.post("/admin/generations/auditentry/", {"action": "delete_selected", "_selected_action": [entry.pk]})
    operator.delete()
    entry.refresh_from_db()
    assert (entry.note, entry.actor, entry.actor_label, entry.via) == ("Spam.", None, "olga", "command")


def test_the_log_is_filtered_by_who_what_way_and_object(page: Client, operator: User, person: Requester) -> None:
    operating.ban(person, by=operator, reason="Spam.")
    operating.pause(by=User.objects.create_user("paula", is_staff=True))

    def shown(**chosen: Any) -> list[bool]:
        text = page.get("/admin/generations/auditentry/", chosen).content.decode()
        return ["prompts_stopped" in text, "paused: no → yes" in text]

    assert shown() == [True, True]
    assert shown(who=operator.pk) == [True, False]
    assert shown(what="paused") == [False, True]
    assert shown(via__exact="telegram") == [False, False]
    assert shown(q="Petra") == [True, False]
    assert shown(who="x" * 30, what="'") == [True, True]
    history = page.get(f"/admin/generations/requester/{person.pk}/history/", follow=True).content.decode()
    assert "prompts_stopped" in history
    assert "paused: no" not in history


def test_an_erased_person_is_nowhere_in_the_log(page: Client, prompt: Make, person: Requester, operator: User) -> None:
    row = prompt(**HELD)
    services.rerun(row, by=operator, prompt="Petra on a red circle")
    operating.reject(row, by=operator, reason="Petra is real.")
    page.post(f"/admin/generations/requester/{person.pk}/change/", {"notes": "Petra is rude."})
    operating.ban(person, by=operator, reason="Petra spams.")
    operating.ban(Requester.objects.create(user_id=1, display_name="Paul"), by=operator, reason="Paul too.")
    erasing.erase(person.user_id, by=operator)
    entries = list(AuditEntry.objects.order_by("pk").values_list("action", "object_label", "note", "person__user_id"))
    gone = [(action, "(erased)", "", None) for action in ("re-run", "rejected", "changed", "banned", "erased")]
    assert entries == [*gone[:4], ("banned", "Paul", "Paul too.", 1), gone[4]]
    kept = str(list(AuditEntry.objects.values()))
    assert [word in kept for word in ("Petra", "4711", "circle", "olga")] == [False, False, False, True]
    assert Erasure.objects.get().by == operator


def test_whoever_was_an_operator_in_telegram_and_is_erased_is_not_in_the_log_by_number(
    page: Client, operator: User
) -> None:
    page.post("/admin/telegram_bot/operatoraccount/add/", {"user": operator.pk, "telegram_id": 4712})
    operators.forget(4712)
    [entry] = AuditEntry.objects.all()
    assert (entry.object_label, entry.after, entry.actor) == ("(erased)", {}, operator)


def test_what_nobody_did_is_the_systems(person: Requester) -> None:
    entry = audit_log.write("changed", person, by=None)
    assert (entry.via, entry.actor_label) == ("system", "")


def test_a_person_reads_what_operators_did_about_them_but_not_who(person: Requester, operator: User) -> None:
    operating.ban(person, by=operator, reason="Petra spams.")
    operating.pause(by=operator)
    document = json.loads(exporting.package(person.user_id, 10_000, {}).content)
    [entry] = document["done_by_operators"]
    assert (entry["what"], entry["to"], entry["number"]) == ("banned", "requester", str(person.pk))
    assert "olga" not in str(document)
