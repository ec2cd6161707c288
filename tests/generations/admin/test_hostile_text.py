"""What people type is shown as text, wherever an operator meets it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import django_rq
import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.test import Client
from rq import Queue
from rq.serializers import JSONSerializer

from generations.models import Generation, GenerationEvent, Group, Policy, Requester, Rule, Status, Tier
from telegram_bot import messages
from telegram_bot.models import Broadcast, Invitation
from tests.valkey import own_valkey

pytestmark = [pytest.mark.services, pytest.mark.django_db]

HOSTILE = [
    '"><img src=x onerror=alert(1)>',
    "</script><script>alert(1)</script>",
    "</textarea><svg/onload=alert(1)>",
    "{{ settings.SECRET_KEY }}{% debug %}",
    "javascript:alert(1)",
]
RAW = ("<img src=x", "<script>alert", "<svg/onload", 'href="javascript:')


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_text_is_shown_as_text_on_every_page(
    prompt: Callable[..., Generation], page: Client, hostile: str
) -> None:
    person = Requester.objects.create(
        user_id=666, display_name=hostile, username=hostile, language_code="en", ban_reason=hostile, notes=hostile
    )
    row = prompt(
        requester=person,
        prompt=hostile,
        negative_prompt=hostile,
        ignored_text=hostile,
        public_error=hostile,
        traceback=hostile,
        delivery_error=hostile,
        status_text=hostile,
        model_name=hostile,
        owner=hostile,
        file_id=hostile,
        status=Status.FAILED,
    )
    GenerationEvent.objects.create(generation=row, kind=hostile[:40], actor=hostile, detail=hostile)
    one, list_ = f"/admin/generations/generation/{row.pk}", "/admin/generations/generation/"
    chosen = {"_selected_action": [row.pk]}
    answers = [
        page.get(list_),
        page.get(list_, {"q": hostile}),
        page.get(f"{one}/change/"),
        page.get(f"{one}/rerun/"),
        page.post(f"{one}/rerun/", {"prompt": hostile, "seed": hostile}),
        page.get(f"{one}/reject/"),
        page.get(f"{one}/history/", follow=True),
        page.get(f"{one}/delete/"),
        page.post(list_, {"action": "delete_selected", **chosen}),
        page.post(list_, {"action": "reject_selected", **chosen}),
        page.post(f"{one}/do/rerun-new/", follow=True),
        page.get("/admin/generations/requester/"),
        page.get(f"/admin/generations/requester/{person.pk}/change/"),
        page.get(f"/admin/generations/requester/{person.pk}/ban/"),
        page.post(f"/admin/generations/requester/{person.pk}/ban/", {"reason": hostile}, follow=True),
        page.get(f"/admin/generations/requester/{person.pk}/delete/"),
        page.get("/admin/generations/auditentry/"),
        page.get("/admin/"),
    ]
    for answer in answers:
        text = answer.content.decode()
        assert answer.status_code == 200
        assert not [raw for raw in RAW if raw in text]
        assert "unsafe-inline" not in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_what_operators_and_groups_write_is_shown_as_text_too(
    prompt: Callable[..., Generation], page: Client, hostile: str
) -> None:
    person = Requester.objects.create(user_id=666, display_name=hostile, tier=Tier.objects.create(name=hostile[:40]))
    held = prompt(requester=person, prompt=hostile, status=Status.PENDING_REVIEW, flagged=True, rules=[hostile])
    Rule.objects.create(name=hostile[:40], pattern=hostile, reason=hostile, notes=hostile)
    group = Group.objects.create(chat_id=-1, title=hostile)
    Policy.current()
    Policy.objects.update(greeting=hostile, pause_notice=hostile, negative_prompt=hostile)
    broadcast = Broadcast.objects.create(text=hostile)
    messages.write(person, hostile, by=User.objects.get(username="olga"))
    Invitation.objects.create(note=hostile)
    pages = [
        "/admin/generations/generation/review/",
        f"/admin/generations/generation/{held.pk}/change/",
        "/admin/generations/rule/",
        "/admin/generations/rule/try/",
        "/admin/generations/group/",
        f"/admin/generations/group/{group.pk}/change/",
        "/admin/generations/tier/",
        "/admin/generations/requester/",
        f"/admin/generations/requester/{person.pk}/change/",
        f"/admin/generations/requester/{person.pk}/grant/",
        "/admin/generations/policy/versions/",
        "/admin/generations/policy/1/change/",
        "/admin/telegram_bot/broadcast/",
        f"/admin/telegram_bot/broadcast/{broadcast.pk}/change/",
        f"/admin/telegram_bot/broadcast/to/{person.pk}/",
        "/admin/telegram_bot/invitation/",
        "/admin/generations/auditentry/",
    ]
    tried = {"kind": "words", "pattern": hostile, "newest": 10}
    answers = [page.get(address) for address in pages] + [
        page.post("/admin/generations/rule/try/", tried),
        page.post("/admin/generations/policy/import/", {"text": f'{{"greeting": 7, "{hostile[:5]}": 1}}'}),
        page.post("/admin/generations/requester/", {"action": "tier_selected", "_selected_action": [person.pk]}),
    ]
    for answer in answers:
        text = answer.content.decode()
        assert answer.status_code == 200
        assert not [raw for raw in RAW if raw in text]


def test_a_name_that_turns_the_text_around_it_is_kept_apart(prompt: Callable[..., Generation], page: Client) -> None:
    person = Requester.objects.create(user_id=666, display_name="\u202e evil")
    prompt(requester=person, prompt="\u202e cat")
    text = page.get("/admin/generations/generation/").content.decode()
    for shown in ("\u202e evil", "\u202e cat"):
        assert re.search(rf"<bdi>[^<]*{shown}</bdi>", text)


@pytest.fixture
def queue(settings: LazySettings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Queue]:
    """A queue in a server of its own."""
    with own_valkey() as server:
        settings.RQ_QUEUES = {"gpu": {**settings.RQ_QUEUES["gpu"], "URL": f"redis://127.0.0.1:{server.port}/0"}}
        # django-rq's own would wait for a commit, which these tests never make.
        yield Queue("gpu", connection=django_rq.get_connection("gpu"), serializer=JSONSerializer)


def test_hostile_text_in_a_job_is_shown_as_text(queue: Queue, page: Client) -> None:
    hostile = HOSTILE[0]
    queue.enqueue("generations.tasks.run_generations", hostile, job_id="gen-1-0", description=hostile)
    for address in ("queues/0/", "queues/0/gen-1-0/", "queues/0/gen-1-0/delete/", "", "queues/0/details/"):
        answer = page.get(f"/admin/django_rq/dashboard/{address}")
        assert answer.status_code == 200
        assert "<img src=x" not in answer.content.decode()
    assert "onerror=alert(1)" in page.get("/admin/django_rq/dashboard/queues/0/gen-1-0/").content.decode()
