"""The review inbox: what waits for an operator's word, one card each, decided by key. review.js is its other half.

Without JavaScript the buttons of the cards are plain forms.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from generations import claims, operating, reviewing
from generations.admin.shared import seconds
from generations.models import Generation, Requester, Status
from generations.roles import BAN, REVIEW
from generations.services import Operator
from t2vsite.media import media_link

# Cards on a page. Whoever has decided them gets the next.
CARDS = 25


class DecisionForm(forms.Form):
    pk = forms.IntegerField(min_value=1)
    decision = forms.ChoiceField(choices=[(name, name) for name in ("approve", "reject", "ban")])
    reason = forms.CharField(max_length=200, required=False)

    def clean(self) -> dict[str, Any]:
        values = self.cleaned_data
        if values.get("decision") in ("reject", "ban") and not values.get("reason", "").strip():
            self.add_error("reason", "Say why: the person is told.")
        return values


def urls(site: admin.AdminSite) -> list[URLPattern]:
    return [
        path("review/", site.admin_view(inbox), name="generations_generation_review"),
        path("review/claim/", site.admin_view(claim), name="generations_generation_review_claim"),
        path("review/decide/", site.admin_view(decide), name="generations_generation_review_decide"),
    ]


def inbox(request: HttpRequest) -> HttpResponse:
    operator = _reviewer(request)
    rows = list(reviewing.waiting()[: 2 * CARDS])
    held_by = claims.holders(rows)
    own = operator.get_username()
    # What somebody else looks at comes last.
    rows.sort(key=lambda row: held_by.get(row.pk, own) != own)
    rows = rows[:CARDS]
    records = _records(rows)
    cards = [
        {
            "row": row,
            "is_video": reviewing.is_video(row),
            "record": records[row.requester_id],
            "waited": seconds(_waited(row)),
            "held_by": "" if held_by.get(row.pk, own) == own else held_by[row.pk],
            "video_link": media_link(row.file.name or "") if reviewing.is_video(row) else "",
            "poster_link": media_link(row.poster.name or "") if reviewing.is_video(row) else "",
        }
        for row in rows
    ]
    context = {
        **admin.site.each_context(request),
        "title": "Review",
        "opts": Generation._meta,
        "cards": cards,
        "reasons": reviewing.REASONS,
        "can_ban": request.user.has_perm(BAN),
    }
    return TemplateResponse(request, "generations/admin/review.html", context)


@require_POST
def claim(request: HttpRequest) -> HttpResponse:
    """review.js says whose card has the focus. Answers who else has it, or "" ."""
    operator = _reviewer(request)
    row = get_object_or_404(Generation, pk=_number(request))
    mine = claims.take(row, by=operator)
    return JsonResponse({"held_by": "" if mine else claims.holders([row]).get(row.pk, "")})


@require_POST
def decide(request: HttpRequest) -> HttpResponse:
    operator = _reviewer(request)
    form = DecisionForm(request.POST)
    if not form.is_valid():
        words = " ".join(str(error) for errors in form.errors.values() for error in errors)
        return _answer(request, words, done=False)
    row = reviewing.find(form.cleaned_data["pk"])
    if row is None:
        return _answer(request, "It is gone: its person was erased, or it was deleted.", done=True)
    if not reviewing.waits(row):
        return _answer(request, f"#{row.pk}: {_already(row)}", done=True)
    if not claims.take(row, by=operator):
        name = claims.holders([row]).get(row.pk, "Another operator")
        return _answer(request, f"#{row.pk}: {name} is looking at it. It is still undecided.", done=False)
    decision, reason = form.cleaned_data["decision"], form.cleaned_data["reason"].strip()
    if decision == "ban":
        return _ban(request, row.requester, operator, reason)
    changed = (
        operating.approve(row, by=operator)
        if decision == "approve"
        else operating.reject(row, by=operator, reason=reason)
    )
    if not changed:
        row.refresh_from_db()
        return _answer(request, f"#{row.pk}: {_already(row)}", done=True)
    return _answer(request, f"#{row.pk}: {'approved' if decision == 'approve' else 'rejected'}.", done=True)


def _ban(request: HttpRequest, person: Requester, operator: Operator, reason: str) -> HttpResponse:
    if not request.user.has_perm(BAN):
        raise PermissionDenied
    waiting = list(reviewing.waiting().filter(requester=person).values_list("pk", flat=True)[: 10 * CARDS])
    stopped = operating.ban(person, by=operator, reason=reason)
    return _answer(request, f"{person} is banned; {stopped} stopped.", done=True, gone=waiting)


def _already(row: Generation) -> str:
    outcome, by = reviewing.outcome(row)
    if outcome == "over":
        return f"it does not wait for review any more ({row.get_status_display().lower()})."
    return f"already {outcome} by {by or 'somebody'}."


def _answer(request: HttpRequest, words: str, *, done: bool, gone: list[int] | None = None) -> HttpResponse:
    """For review.js in JSON, for a plain form as the page with a message."""
    if request.headers.get("Accept") == "application/json":
        return JsonResponse({"done": done, "words": words, "gone": gone or []})
    messages.add_message(request, messages.SUCCESS if done else messages.WARNING, words)
    return HttpResponseRedirect(reverse("admin:generations_generation_review"))


def _reviewer(request: HttpRequest) -> Operator:
    if not request.user.has_perm(REVIEW):
        raise PermissionDenied
    # admin_view lets nobody in who is not logged in.
    assert request.user.is_authenticated
    return request.user


def _number(request: HttpRequest) -> int:
    text = request.POST.get("pk", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0


def _waited(row: Generation) -> float | None:
    since = row.finished_at if reviewing.is_video(row) else row.created_at
    return (timezone.now() - since).total_seconds() if since is not None else None


def _records(rows: list[Generation]) -> dict[int, str]:
    """What is known of each person: videos made, prompts refused. One query for the page."""
    people = {row.requester_id for row in rows}
    ended = Generation.objects.filter(requester__in=people, status__in=[Status.SUCCEEDED, Status.REJECTED])
    counted = ended.order_by().values("requester", "status").annotate(number=Count("pk"))
    numbers: dict[int, Counter[str]] = defaultdict(Counter)
    for person, status, number in counted.values_list("requester", "status", "number"):
        numbers[person][status] = number
    return {
        person: f"{numbers[person][Status.SUCCEEDED]} made, {numbers[person][Status.REJECTED]} rejected"
        for person in people
    }
