"""A prompt and its history. Every change of state is one conditional UPDATE; states.py says which are legal."""

from __future__ import annotations

import secrets
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from typing import Any, Self

from django.conf import settings
from django.db import connection, models, transaction
from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_noop

from generations import fair_order
from generations.engine.base import EXACT, VideoSpec
from generations.models.people import Requester
from generations.models.policy import Policy, Style
from generations.models.states import DELIVERY_TRANSITIONS, FINISHED, TRANSITIONS, UNFINISHED, Delivery, Status

# A worker that has not renewed its lease for this long is taken for dead. It renews every 5 seconds.
LEASE = timedelta(seconds=60)
# Two worker deaths on one row: the prompt itself kills the worker.
MAX_WORKER_DEATHS = 2
# A failure that may pass (out of memory, non-finite output) is tried this many times in all.
MAX_ATTEMPTS = 3
# A bot process that has not finished a delivery for this long is taken for dead. Uploads may take two minutes.
DELIVERY_LEASE = timedelta(seconds=300)

# Nobody is at its delivery, or whoever was is dead.
_UNLEASED = Q(delivery_lease_until__isnull=True) | Q(delivery_lease_until__lt=Now())

# A report of the person, as an event. afterwards.py records it.
REPORT = "reported"

# Rows that are equal in these may be rendered together: they take the same passes through the network.
BATCH_KEY = ("frames", "width", "height", "steps", "preset")

# What a row says of its video while it has none.
NO_FILE: dict[str, Any] = {"file": "", "poster": "", "sha256": ""}


def host_of(owner: str) -> str:
    """The machine of whoever holds a lease: owners are HOST.PROCESS.SECRET."""
    return owner.rsplit(".", 2)[0]


def _sent_or_held(only: Q) -> Case:
    """Read by the UPDATE itself: an operator may have held it a moment ago."""
    return Case(When(only & Q(hold_delivery=True), then=Value(Delivery.HELD)), default=Value(Delivery.WAITING))


class GenerationQuerySet(models.QuerySet["Generation"]):
    def unfinished(self) -> Self:
        return self.filter(status__in=UNFINISHED)

    def in_fair_order(self) -> Self:
        """Queued rows as workers take them: priority lane, then whoever was served longest ago, then age."""
        return self.filter(status=Status.QUEUED).order_by(
            F("priority").desc(), F("requester__last_served_at").asc(nulls_first=True), "queued_at", "pk"
        )

    def claim_next(self, owner: str, n: int = 1) -> list[Generation]:
        """Make the next queued row ours, with a lease, and up to n - 1 more that may be rendered together with it.

        Empty when nothing is queued.
        """
        first = self._claim_first(owner)
        return [] if first is None else [first, *self.claim_mates(first, owner, n - 1)]

    def claim_mates(self, first: Generation, owner: str, n: int) -> list[Generation]:
        """Make up to n queued rows ours that may be rendered together with first, in fair order.

        What was begun before is rendered alone, whatever ended that: a prompt that kills its worker must not take
        others with it twice.
        """
        alike = self.filter(attempt=0, **{field: getattr(first, field) for field in BATCH_KEY})
        mates: list[Generation] = []
        while first.attempt == 1 and len(mates) < n and (mate := alike._claim_first(owner)) is not None:
            mates.append(mate)
        return mates

    def _claim_first(self, owner: str) -> Generation | None:
        candidates = self.in_fair_order().select_related("requester__tier")
        policy, at_their_limit = Policy.current(), set[int]()
        # SQLite has one writer at a time anyway, and an idle look must not become a write.
        skips_locked = connection.features.has_select_for_update_skip_locked
        if skips_locked:
            # Past the rows that other workers are just taking, instead of waiting for each of them.
            candidates = candidates.select_for_update(skip_locked=True, of=("self",))
        while True:
            with transaction.atomic() if skips_locked else nullcontext():
                candidate = candidates.exclude(requester__in=at_their_limit).first()
                if candidate is None:
                    return None
                limit = candidate.requester.entitlement(policy).running_limit
                with transaction.atomic():
                    if limit and candidate.running_of_its_person() >= limit:
                        at_their_limit.add(candidate.requester_id)
                    # Another worker may have taken it since; then the next candidate is fetched.
                    elif candidate.start(owner):
                        return candidate

    def queue_positions(self) -> dict[int, int]:
        """Position (1 = next) of every queued row, by primary key and in that order. One query."""
        return fair_order.positions(self.in_fair_order().values_list("pk", "priority", "requester_id"))

    def claim_delivery(self, owner: str) -> Generation | None:
        """Take one finished row that nobody has been told about; None when there is none due."""
        due = Q(deliver_after__isnull=True) | Q(deliver_after__lte=Now())
        while True:
            row = (
                self.filter(due, delivery=Delivery.WAITING).select_related("requester").order_by("finished_at").first()
            )
            if row is None:
                return None
            if row._move_delivery(
                Delivery.SENDING,
                delivery_owner=owner,
                delivery_lease_until=Now() + DELIVERY_LEASE,
                delivery_attempts=F("delivery_attempts") + 1,
            ):
                return row

    def claim_too_large(self, owner: str) -> Generation | None:
        """Take one video that is to be made smaller, with a lease; None when there is none."""
        for row in self.filter(_UNLEASED, delivery=Delivery.TOO_LARGE).order_by("finished_at"):
            if row.begin_shrinking(owner):
                return row
        return None


def media_token() -> str:
    """128 bits from the system: a file name that nobody can guess."""
    return secrets.token_urlsafe(16)


class Generation(models.Model):
    """One prompt on its way to one video or one clear message why not. History is never overwritten."""

    # The same key twice is the same request: a replayed update makes no second video.
    request_key = models.CharField(max_length=64, unique=True)
    requester = models.ForeignKey(Requester, on_delete=models.CASCADE, related_name="generations")
    parent = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL, related_name="children")
    # Set when an operator made the row; such rows never count against the person's limits.
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )

    prompt = models.TextField(help_text="As typed.")
    translated_prompt = models.TextField(blank=True, default="", help_text="What the model read in its place.")
    negative_prompt = models.TextField(blank=True)
    seed = models.PositiveIntegerField()
    frames = models.PositiveSmallIntegerField()
    width = models.PositiveSmallIntegerField(help_text="Pixels, as rendered.")
    height = models.PositiveSmallIntegerField(help_text="Pixels, as rendered.")
    fps = models.FloatField()
    steps = models.PositiveSmallIntegerField()
    guidance_scale = models.FloatField()
    preset = models.CharField(max_length=20, default=EXACT)
    # With the words of that day: the same seed gives the same frames when the style is another one since.
    style = models.CharField(max_length=24, blank=True)
    style_words = models.CharField(max_length=300, blank=True)
    style_negative = models.CharField(max_length=300, blank=True)
    priority = models.SmallIntegerField(default=0)
    # Until one has seen it.
    hold_delivery = models.BooleanField(default=False, help_text="An operator sees the video before it is sent.")

    status = models.CharField(max_length=20, choices=Status, default=Status.QUEUED)
    attempt = models.PositiveSmallIntegerField(default=0)
    worker_deaths = models.PositiveSmallIntegerField(default=0)
    owner = models.CharField(max_length=100, blank=True, help_text="The worker that holds the lease.")
    # Kept when the lease is over.
    host = models.CharField(
        "worker", max_length=100, blank=True, default="", help_text="The machine that rendered it last."
    )
    lease_until = models.DateTimeField(null=True, blank=True)
    progress = models.PositiveSmallIntegerField(default=0, help_text="Per cent.")
    cancel_requested_at = models.DateTimeField(null=True, blank=True)

    created_at = models.DateTimeField(auto_now_add=True)
    queued_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    render_seconds = models.FloatField(null=True, blank=True)

    public_error = models.TextField(blank=True, help_text="What the person is told.")
    traceback = models.TextField(blank=True)
    reviewed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )

    # Who looks at it in the inbox just now, see claims.py.
    review_claimed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    review_claimed_until = models.DateTimeField(null=True, blank=True)

    model_name = models.CharField(max_length=200, blank=True)
    model_licence = models.CharField(max_length=200, blank=True)
    # How many videos one message asked for and got. On the first one only.
    results = models.PositiveSmallIntegerField(default=1, editable=False)
    # Of several results that were asked for, those that did not fit, see services.Shortfall. On the first one only.
    shortfall = models.JSONField(null=True, blank=True, editable=False)
    ignored_text = models.TextField(blank=True, help_text="The tail that the text encoder cannot see.")
    # By an operator: it should not have been made, or came out badly.
    marked_bad = models.BooleanField(default=False)
    # Met a rule, see rules.py; and the names that these had then.
    flagged = models.BooleanField(default=False)
    rules = models.JSONField(default=list, blank=True, editable=False)
    file = models.FileField(blank=True, max_length=200)
    poster = models.FileField(blank=True, max_length=200)
    sha256 = models.CharField(max_length=64, blank=True)
    video_width = models.PositiveIntegerField(default=0)
    video_height = models.PositiveIntegerField(default=0)
    duration = models.FloatField(default=0, help_text="Seconds.")

    chat_id = models.BigIntegerField(null=True, blank=True)
    thread_id = models.BigIntegerField(null=True, blank=True)
    prompt_message_id = models.BigIntegerField(null=True, blank=True)
    status_message_id = models.BigIntegerField(null=True, blank=True)
    status_text = models.TextField(blank=True, help_text="What the status message says now.")

    delivery = models.CharField(max_length=20, choices=Delivery, default=Delivery.NONE)
    delivery_owner = models.CharField(max_length=100, blank=True)
    delivery_lease_until = models.DateTimeField(null=True, blank=True)
    delivery_attempts = models.PositiveSmallIntegerField(default=0)
    delivery_error = models.TextField(blank=True)
    deliver_after = models.DateTimeField(null=True, blank=True)
    delivered_at = models.DateTimeField(null=True, blank=True)
    delivered_message_id = models.BigIntegerField(null=True, blank=True)
    file_id = models.CharField(max_length=200, blank=True)
    # What the chat network made of the video: "video", "animation" or "document".
    file_kind = models.CharField(max_length=20, blank=True, default="")

    objects = GenerationQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        indexes = [
            models.Index(fields=["status", "-priority", "queued_at"], name="generation_queue"),
            models.Index(fields=["delivery", "deliver_after"], name="generation_delivery"),
            models.Index(fields=["requester", "status", "created_at"], name="generation_limits"),
            models.Index(fields=["created_at"], name="generation_created"),
            # What a group made today, and all that goes to a chat that has moved or is lost.
            models.Index(fields=["chat_id", "created_at"], name="generation_chat"),
            # The admin's list, newest first, filtered: without these a million rows are sorted for one page.
            models.Index(fields=["status", "-id"], name="generation_by_status"),
            models.Index(fields=["delivery", "-id"], name="generation_by_delivery"),
            models.Index(fields=["preset", "-id"], name="generation_by_preset"),
            models.Index(fields=["host", "-id"], name="generation_by_host"),
            # Few of millions, and the list is filtered by them.
            models.Index(fields=["-id"], name="generation_flagged", condition=Q(flagged=True)),
            models.Index(fields=["-id"], name="generation_marked_bad", condition=Q(marked_bad=True)),
            # What ended lately: the dashboard's figures.
            models.Index(fields=["finished_at"], name="generation_finished"),
        ]
        # What each role gets of these: roles.py.
        permissions = [
            ("review_generation", "Can approve and reject prompts"),
            ("cancel_generation", "Can cancel prompts"),
            ("rerun_generation", "Can run prompts again"),
            ("resend_generation", "Can have videos sent again"),
            ("prioritise_generation", "Can change the order of the queue"),
            ("export_generation", "Can export prompts"),
            ("use_rq", "Can use the pages of RQ"),
        ]

    def __str__(self) -> str:
        return f"#{self.pk} {self.prompt[:60]}"

    # --- questions

    @property
    def is_begun(self) -> bool:
        """Too late to change what it will show."""
        return self.status not in (Status.PENDING_REVIEW, Status.QUEUED)

    @property
    def is_finished(self) -> bool:
        return self.status in FINISHED

    def spec(self) -> VideoSpec:
        """What the engine is asked for."""
        asked = self.asked()
        if not self.style:
            return asked
        before, _, after = self.style_words.partition(Style.PLACE)
        negative = ", ".join(words for words in (self.negative_prompt, self.style_negative) if words)
        return replace(asked, prompt=f"{before}{asked.prompt}{after}", negative_prompt=negative)

    def asked(self) -> VideoSpec:
        """What the person asked for, without the words of its style."""
        return VideoSpec(
            prompt=self.translated_prompt or self.prompt,
            negative_prompt=self.negative_prompt,
            seed=self.seed,
            frames=self.frames,
            width=self.width,
            height=self.height,
            fps=self.fps,
            steps=self.steps,
            guidance_scale=self.guidance_scale,
            preset=self.preset,
        )

    def cancel_wanted(self, owner: str) -> bool:
        """Should this worker stop? Yes when somebody pressed cancel, or the row is no longer its own."""
        mine = Generation.objects.filter(
            pk=self.pk, status=Status.RUNNING, owner=owner, attempt=self.attempt, cancel_requested_at=None
        )
        return not mine.exists()

    # --- changes of status

    def queue(self, *, by: Any) -> bool:
        """An operator approved the prompt."""
        return self._move(
            Status.QUEUED,
            Q(status=Status.PENDING_REVIEW),
            event="approved",
            actor=str(by),
            reviewed_by=by,
            queued_at=timezone.now(),
        )

    def release(self, *, by: Any) -> bool:
        """An operator approved the video."""
        facts = {"reviewed_by": by, "hold_delivery": False}
        return self._move_delivery(
            Delivery.WAITING, Q(delivery=Delivery.HELD), event="approved", actor=str(by), **facts
        )

    def reject(self, *, by: Any, reason: str) -> bool:
        """An operator refused the prompt, or its video while that is held. The file stays, for operators only."""
        said: dict[str, Any] = {"event": "rejected", "actor": str(by), "detail": reason}
        facts = {"reviewed_by": by, "public_error": reason}
        if self._finish(Status.REJECTED, Q(status=Status.PENDING_REVIEW), **said, **facts):
            return True
        held = Q(status=Status.SUCCEEDED, delivery=Delivery.HELD)
        return self._move(Status.REJECTED, held, **said, **facts, delivery=Delivery.WAITING)

    def hold(self, *, by: Any) -> bool:
        """Let an operator see the video before it is sent. False when it is too late, or so already."""
        untold = Q(hold_delivery=False, chat_id__isnull=False)
        said = ("held for review", str(by), "")
        if self._update(untold & Q(status__in=UNFINISHED), {"hold_delivery": True}, *said):
            return True
        # Not what was begun to be sent: nobody knows for sure that it did not arrive.
        made = untold & Q(status=Status.SUCCEEDED, delivery=Delivery.WAITING, delivery_attempts=0)
        return self._update(made, {"hold_delivery": True, "delivery": Delivery.HELD}, *said)

    def prioritise(self, priority: int, *, actor: str) -> bool:
        """Another place in the queue. False when it does not wait any more, or has that place."""
        waits = Q(status__in=[Status.PENDING_REVIEW, Status.QUEUED]) & ~Q(priority=priority)
        return self._update(waits, {"priority": priority}, "priority changed", actor, str(priority))

    def mark_bad(self, bad: bool, *, actor: str) -> bool:
        """For operators to find again. False when it is so already, or no video was made."""
        made = Q(status__in=[Status.SUCCEEDED, Status.REJECTED], marked_bad=not bad)
        return self._update(made, {"marked_bad": bad}, "marked bad" if bad else "mark taken back", actor, "")

    def running_of_its_person(self) -> int:
        """How many. Until the end of the transaction no other worker can begin one."""
        Requester.objects.select_for_update().get(pk=self.requester_id)
        return Generation.objects.filter(requester=self.requester_id, status=Status.RUNNING).count()

    def start(self, owner: str) -> bool:
        """A worker takes the row: attempt counted, lease set."""
        now = timezone.now()
        with transaction.atomic():
            won = self._move(
                Status.RUNNING,
                event="started",
                actor=owner,
                owner=owner,
                host=host_of(owner),
                lease_until=Now() + LEASE,
                attempt=self.attempt + 1,
                started_at=now,
                progress=0,
            )
            if won:
                Requester.objects.filter(pk=self.requester_id).update(last_served_at=now)
        return won

    def renew_lease(self, owner: str) -> bool:
        """Still alive. False when the lease is no longer ours."""
        return self._mine(owner).update(lease_until=Now() + LEASE) == 1

    def report_progress(self, owner: str, percent: int) -> bool:
        """Publish progress and renew the lease. False when the row is no longer ours."""
        return self._mine(owner).update(progress=percent, lease_until=Now() + LEASE) == 1

    def about_to_store(self, owner: str, *, file: str, poster: str, sha256: str, **facts: Any) -> bool:
        """The video is made and will lie under these names: a worker that dies from now on has lost nothing.

        False when the lease is no longer ours.
        """
        changes = {"file": file, "poster": poster, "sha256": sha256, "lease_until": Now() + LEASE, **facts}
        return self._mine(owner).update(**changes) == 1

    def succeed(self, owner: str, *, file: str, poster: str, sha256: str, seconds: float, **facts: Any) -> bool:
        """The file lies in the storage under its final name. False when the lease is no longer ours."""
        return self._finish(
            Status.SUCCEEDED,
            self._lease(owner),
            event="succeeded",
            actor=owner,
            detail=f"{seconds:.1f} s",
            file=file,
            poster=poster,
            sha256=sha256,
            render_seconds=seconds,
            progress=100,
            **facts,
        )

    def fail(self, owner: str, *, public_reason: str, traceback: str, detail: str = "") -> bool:
        return self._finish(
            Status.FAILED,
            self._lease(owner),
            event="failed",
            actor=owner,
            detail=detail or public_reason,
            public_error=public_reason,
            traceback=traceback,
            **NO_FILE,
        )

    def retry_later(self, owner: str, *, reason: str) -> bool:
        """Back to the queue by the worker itself: a failure that may pass, or a shutdown."""
        return self._move(
            Status.QUEUED,
            self._lease(owner),
            event="requeued",
            actor=owner,
            detail=reason,
            owner="",
            lease_until=None,
            progress=0,
            **NO_FILE,
        )

    def recover(self, *, video_is_whole: bool = False) -> bool:
        """The lease lapsed: the worker died. Queue again, or fail after MAX_WORKER_DEATHS. Called by the sweep."""
        lapsed = Q(status=Status.RUNNING, lease_until__lt=Now(), attempt=self.attempt)
        deaths = self.worker_deaths + 1
        if self.cancel_requested_at is not None:
            return self._finish(
                Status.CANCELLED, lapsed, event="cancelled", actor="sweep", worker_deaths=deaths, **NO_FILE
            )
        if video_is_whole:
            return self._finish(
                Status.SUCCEEDED,
                lapsed,
                event="succeeded",
                actor="sweep",
                detail="its worker died when the video lay in the storage",
                progress=100,
                worker_deaths=deaths,
            )
        if deaths >= MAX_WORKER_DEATHS:
            return self._finish(
                Status.FAILED,
                lapsed,
                event="failed",
                actor="sweep",
                detail=f"{deaths} workers died on it",
                public_error=gettext_noop("The video could not be made: rendering it stopped the machine twice."),
                worker_deaths=deaths,
                **NO_FILE,
            )
        return self._move(
            Status.QUEUED,
            lapsed,
            event="requeued",
            actor="sweep",
            detail="the worker's lease lapsed",
            owner="",
            lease_until=None,
            progress=0,
            worker_deaths=deaths,
            **NO_FILE,
        )

    def cancel(self, *, actor: str) -> bool:
        """Stop at once what waits; ask the worker to stop what runs. True when this call changed anything."""
        if self._finish(
            Status.CANCELLED, Q(status__in=[Status.PENDING_REVIEW, Status.QUEUED]), event="cancelled", actor=actor
        ):
            return True
        running = Q(status=Status.RUNNING, cancel_requested_at=None)
        return self._update(running, {"cancel_requested_at": timezone.now()}, "cancel requested", actor, "")

    def abandon(self, *, actor: str, reason: str) -> bool:
        """Nobody in its chat can be reached: render nothing more for it, send nothing. True when this changed anything.

        A worker that runs it is asked to stop.
        """
        here = Q(chat_id=self.chat_id)
        unreachable = {"delivery": Delivery.UNDELIVERABLE, "delivery_error": reason}
        not_begun = here & Q(status__in=[Status.PENDING_REVIEW, Status.QUEUED])
        if self._finish(Status.CANCELLED, not_begun, event="cancelled", actor=actor, detail=reason, **unreachable):
            return True
        running = here & Q(status=Status.RUNNING, cancel_requested_at=None)
        if self._update(running, {"cancel_requested_at": timezone.now()}, "cancel requested", actor, reason):
            return True
        return self._move_delivery(
            Delivery.UNDELIVERABLE,
            here & ~Q(delivery=Delivery.SENDING),
            event="undeliverable",
            actor=actor,
            detail=reason,
            delivery_error=reason,
        )

    def stopped(self, owner: str) -> bool:
        """The worker has stopped rendering because somebody pressed cancel."""
        return self._finish(Status.CANCELLED, self._lease(owner), event="cancelled", actor=owner, **NO_FILE)

    # --- changes of delivery

    def delivered(self, owner: str, *, message_id: int | None, file_id: str = "", file_kind: str = "") -> bool:
        return self._move_delivery(
            Delivery.DELIVERED,
            self._sending(owner),
            event="delivered",
            actor=owner,
            delivered_at=timezone.now(),
            delivered_message_id=message_id,
            file_id=file_id,
            file_kind=file_kind,
            delivery_error="",
        )

    def deliver_later(self, owner: str, *, wait: timedelta, reason: str) -> bool:
        """Provably not sent; try again after the wait."""
        return self._move_delivery(
            Delivery.WAITING,
            self._sending(owner),
            event="delivery postponed",
            actor=owner,
            detail=reason,
            deliver_after=Now() + wait,
            # When the wait began: a beginning in the future tells that the clock was set back.
            delivery_lease_until=Now(),
            delivery_error=reason,
        )

    def too_large(self, owner: str, *, reason: str) -> bool:
        """Not sent, and never will be as it is: for a worker to make smaller. False when that was done before."""
        return self._move_delivery(
            Delivery.TOO_LARGE,
            self._sending(owner) & ~Q(file="") & ~Q(events__kind="too large"),
            event="too large",
            actor=owner,
            detail=reason,
            delivery_owner="",
            delivery_lease_until=None,
            delivery_error=reason,
        )

    def begin_shrinking(self, owner: str) -> bool:
        lease = {"delivery_owner": owner, "delivery_lease_until": Now() + DELIVERY_LEASE}
        return self._update(Q(delivery=Delivery.TOO_LARGE) & _UNLEASED, lease, "making smaller", owner, "")

    def made_smaller(self, owner: str, *, detail: str, **video: Any) -> bool:
        """Another file takes the place of the one that was too large. False when the lease is no longer ours."""
        return self._move_delivery(
            Delivery.WAITING, self._shrinking(owner), event="made smaller", actor=owner, detail=detail, **video
        )

    def not_made_smaller(self, owner: str, *, reason: str) -> bool:
        """It stays as it is; the person is told why it cannot be sent."""
        return self._move_delivery(
            Delivery.WAITING, self._shrinking(owner), event="not made smaller", actor=owner, detail=reason
        )

    def undeliverable(self, owner: str, *, reason: str) -> bool:
        return self._move_delivery(
            Delivery.UNDELIVERABLE,
            self._sending(owner),
            event="undeliverable",
            actor=owner,
            detail=reason,
            delivery_error=reason,
        )

    def delivery_unknown(self, owner: str, *, reason: str) -> bool:
        """It may have arrived. Never sent again without a person's word."""
        return self._move_delivery(
            Delivery.UNKNOWN,
            self._sending(owner),
            event="delivery unknown",
            actor=owner,
            detail=reason,
            delivery_error=reason,
        )

    def recover_delivery(self) -> bool:
        """The bot died while sending. An edit may be repeated; without a status message the outcome is unknown."""
        target = Delivery.WAITING if self.status_message_id else Delivery.UNKNOWN
        return self._move_delivery(
            target,
            Q(delivery=Delivery.SENDING, delivery_lease_until__lt=Now()),
            event="delivery recovered",
            actor="sweep",
            detail="the bot's lease lapsed",
        )

    def resend(self, *, actor: str) -> bool:
        """A person asks to send once more what is unknown or undeliverable. A video that nobody has seen is held."""
        delivery = _sent_or_held(Q(status=Status.SUCCEEDED))
        again = {"delivery": delivery, "deliver_after": None, "delivery_attempts": 0}
        # Of a video whose files were deleted there is nothing to send.
        gone = Q(status=Status.SUCCEEDED, file="")
        unsure = Q(delivery__in=[Delivery.UNKNOWN, Delivery.UNDELIVERABLE]) & ~gone
        return self._update(unsure, again, "resend requested", actor, "")

    def delete_video(self, *, actor: str) -> bool:
        """Nothing is left of it but this row. Not while somebody sends it."""
        told = Q(delivery__in=[Delivery.DELIVERED, Delivery.UNDELIVERABLE, Delivery.UNKNOWN])
        there = Q(status__in=[Status.SUCCEEDED, Status.REJECTED]) & ~Q(file="")
        return self._update(told & there, {**NO_FILE, "file_id": "", "file_kind": ""}, "video deleted", actor, "")

    # --- how all of them work

    def record(self, kind: str, *, actor: str, detail: str = "") -> None:
        GenerationEvent.objects.create(generation=self, kind=kind, actor=actor[:100], detail=detail)

    def _lease(self, owner: str) -> Q:
        return Q(status=Status.RUNNING, owner=owner, attempt=self.attempt)

    def _sending(self, owner: str) -> Q:
        return Q(delivery=Delivery.SENDING, delivery_owner=owner)

    def _shrinking(self, owner: str) -> Q:
        return Q(delivery=Delivery.TOO_LARGE, delivery_owner=owner)

    def _mine(self, owner: str) -> models.QuerySet[Generation]:
        return Generation.objects.filter(self._lease(owner), pk=self.pk)

    def _finish(self, to: Status, only: Q | None = None, **changes: Any) -> bool:
        told: dict[str, Any] = {"delivery": Delivery.WAITING} if self.chat_id is not None else {}
        if told and to == Status.SUCCEEDED:
            told = {"delivery": _sent_or_held(Q())}
        return self._move(
            to,
            only,
            finished_at=timezone.now(),
            owner="",
            lease_until=None,
            cancel_requested_at=None,
            **{**told, **changes},
        )

    def _move(
        self, to: Status, only: Q | None = None, *, event: str, actor: str, detail: str = "", **changes: Any
    ) -> bool:
        sources = [status for status, targets in TRANSITIONS.items() if to in targets]
        return self._update(Q(status__in=sources) & (only or Q()), {"status": to, **changes}, event, actor, detail)

    def _move_delivery(
        self, to: Delivery, only: Q | None = None, *, event: str = "", actor: str = "", detail: str = "", **changes: Any
    ) -> bool:
        sources = [state for state, targets in DELIVERY_TRANSITIONS.items() if to in targets]
        return self._update(Q(delivery__in=sources) & (only or Q()), {"delivery": to, **changes}, event, actor, detail)

    def _update(self, only: Q, changes: dict[str, Any], event: str, actor: str, detail: str) -> bool:
        """The conditional UPDATE: one row changed means we won. The event is part of the same transaction."""
        with transaction.atomic():
            won = Generation.objects.filter(only, pk=self.pk).update(**changes) == 1
            if won and event:
                self.record(event, actor=actor, detail=detail)
            if won:
                # Inside: afterwards the row may be gone, because its person was erased.
                self.refresh_from_db(fields=changes.keys())
        return won


class GenerationEvent(models.Model):
    """The timeline of a generation: what happened, when, and who did it. Only ever added to."""

    generation = models.ForeignKey(Generation, on_delete=models.CASCADE, related_name="events")
    at = models.DateTimeField(auto_now_add=True)
    kind = models.CharField(max_length=40)
    actor = models.CharField(max_length=100)
    detail = models.TextField(blank=True)

    class Meta:
        ordering = ["at", "pk"]
        indexes = [
            # Few of millions, and the list of generations is filtered by them.
            models.Index(fields=["generation"], name="event_report", condition=Q(kind=REPORT)),
        ]

    def __str__(self) -> str:
        return f"{self.kind} by {self.actor}"


class AskedPrompt(models.Model):
    """A prompt that the model will hardly understand: it waits for its person's word, and goes with it."""

    # As of a generation: the same key twice is the same prompt.
    request_key = models.CharField(max_length=64, unique=True)
    requester = models.ForeignKey(Requester, on_delete=models.CASCADE, related_name="asked_prompts")
    prompt = models.TextField(help_text="As typed, with its flags.")
    # Of services.Request: seed, preset, changes, parent_id, styling.
    wish = models.JSONField(default=dict)
    # What the operator's translator made of it, if it made anything.
    translation = models.TextField(blank=True)
    chat_id = models.BigIntegerField()
    thread_id = models.BigIntegerField(null=True, blank=True)
    prompt_message_id = models.BigIntegerField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    def __str__(self) -> str:
        return f"asked {self.pk}"
