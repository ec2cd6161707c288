"""What an update makes of rows that are there already."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from generations import roles
from generations.models import Generation, Policy, Requester

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]


def migrate(name: str | None) -> Any:
    """Bring the tables to one migration of this app, or to the newest; returns the models as they were then."""
    executor = MigrationExecutor(connection)
    # Those of the bot go back with ours that they depend on.
    newest = [node for node in executor.loader.graph.leaf_nodes() if node[0] in ("generations", "telegram_bot")]
    targets = newest if name is None else [("generations", name)]
    executor.migrate(targets)
    return executor.loader.project_state(targets).apps


@pytest.fixture
def before_presets() -> Iterator[Any]:
    yield migrate("0002_list_indexes")
    migrate(None)


def test_old_rows_and_an_old_policy_are_exact(before_presets: Any) -> None:
    old = before_presets.get_model("generations", "Generation")
    person = before_presets.get_model("generations", "Requester").objects.create(user_id=1)
    before_presets.get_model("generations", "Policy").objects.create(pk=1, daily_limit=7)
    size = {"frames": 16, "width": 256, "height": 256, "fps": 8, "steps": 33, "guidance_scale": 9}
    pk = old.objects.create(request_key="k", requester=person, prompt="a", seed=1, **size).pk
    migrate(None)
    row, policy = Generation.objects.get(pk=pk), Policy.objects.get()
    assert (row.preset, row.steps, row.spec().preset) == ("exact", 33, "exact")
    assert (policy.default_preset, policy.presets, policy.daily_limit) == ("exact", [], 7)


@pytest.fixture
def before_access() -> Iterator[Any]:
    yield migrate("0008_manners_and_styles")
    migrate(None)


def test_whoever_was_there_before_an_update_has_access_afterwards(before_access: Any) -> None:
    person = before_access.get_model("generations", "Requester").objects.create(user_id=1)
    migrate(None)
    assert Requester.objects.get().admitted_at == person.created_at


@pytest.fixture
def before_roles() -> Iterator[Any]:
    yield migrate("0011_language")
    migrate(None)


def test_whoever_could_pull_levers_before_the_roles_still_can_and_a_group_of_such_a_name_gets_nothing(
    before_roles: Any,
) -> None:
    assert not Group.objects.filter(name__in=roles.ROLES).exists()
    clerk, guest = (User.objects.create_user(name) for name in ("clerk", "guest"))
    clerk.user_permissions.add(Permission.objects.get(codename="change_generation"))
    own = Group.objects.create(name="Admin")
    own.permissions.add(Permission.objects.get(codename="change_requester"))
    guest.groups.add(own)
    migrate(None)
    clerk, guest = (User.objects.get(username=name) for name in ("clerk", "guest"))
    levers = {roles.REVIEW, roles.CANCEL, roles.RERUN, roles.RESEND}
    assert clerk.get_all_permissions() == {"generations.change_generation", *levers}
    assert guest.get_all_permissions() == {"generations.change_requester", roles.BAN, roles.ADMIT}
    assert Group.objects.get(pk=own.pk).name == "Admin (before the roles)"
    assert Group.objects.filter(name__in=roles.ROLES).count() == 4
