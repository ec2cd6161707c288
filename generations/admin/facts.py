"""How the facts of a generation are shown, in the list and on its page."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.utils.html import format_html

from generations.admin.shared import link, pill, seconds, shortened
from generations.models import Delivery, Generation, Status
from t2vsite.media import media_link

FIELDSETS: Any = [
    (
        "Parameters",
        {
            "fields": [
                ("seed", "guidance_scale"),
                ("preset", "steps"),
                ("size", "frames", "fps"),
                "translated_prompt",
                "negative_prompt",
                ("style", "style_words", "style_negative"),
                "ignored_text",
                "rules_met",
                ("model_name", "model_licence"),
            ]
        },
    ),
    (
        "Rendering",
        {
            "classes": ["collapse"],
            "fields": [
                ("attempt", "worker_deaths", "progress"),
                ("priority", "owner", "lease_until"),
                ("created_at", "queued_at"),
                ("started_at", "finished_at"),
                "cancel_requested_at",
                ("created_by", "reviewed_by"),
                "hold_delivery",
            ],
        },
    ),
    (
        "File",
        {"classes": ["collapse"], "fields": ["file_name", ("video_size", "duration"), "sha256"]},
    ),
    (
        "Delivery",
        {
            "classes": ["collapse"],
            "fields": [
                ("delivery", "delivery_attempts"),
                "delivery_error",
                ("deliver_after", "delivered_at"),
                ("delivery_owner", "delivery_lease_until"),
                ("chat_id", "thread_id", "prompt_message_id"),
                ("status_message_id", "delivered_message_id"),
                "status_text",
                ("file_id", "file_kind"),
                "request_key",
            ],
        },
    ),
]
METHODS = ["rules_met", "size", "file_name", "video_size"]


class GenerationFacts:
    """The columns. Every text from outside goes through format_html or Django's own escaping."""

    @admin.display(description="Poster")
    def thumbnail(self, row: Generation) -> str:
        if not row.poster:
            return format_html('<span class="poster poster-none" title="{}"></span>', "No poster")
        return format_html(
            '<img class="poster" src="{}" alt="Poster of #{}" width="64" height="64" loading="lazy">',
            media_link(row.poster.name or ""),
            row.pk,
        )

    def status_pill(self, row: Generation) -> str:
        label = row.get_status_display()
        if row.status == Status.RUNNING:
            label = "Stopping" if row.cancel_requested_at else f"{label} {row.progress} %"
        return pill(row.status, label)

    def delivery_pill(self, row: Generation) -> str:
        return pill(row.delivery, row.get_delivery_display())

    @admin.display(description="Status")
    def pills(self, row: Generation) -> str:
        delivery = "" if row.delivery == Delivery.NONE else self.delivery_pill(row)
        flag = pill("flagged", "Flagged") if row.flagged else ""
        bad = pill("banned", "Bad") if row.marked_bad else ""
        return format_html('<div class="pills">{} {} {} {}</div>', self.status_pill(row), delivery, flag, bad)

    @admin.display(description="Prompt")
    def short_prompt(self, row: Generation) -> str:
        return link(row, f"#{row.pk} {shortened(row.prompt)}")

    @admin.display(description="Person")
    def person(self, row: Generation) -> str:
        name = link(row.requester, shortened(str(row.requester), 30))
        return format_html("{} {}", name, pill("banned", "Banned")) if row.requester.is_banned else name

    @admin.display(description="Waited, rendered")
    def times(self, row: Generation) -> str:
        if row.started_at is None:
            return "–"
        return format_html(
            '<span class="times"><span title="{}">{}</span><br> <span title="{}">{}</span></span>',
            "From the message to the start of rendering",
            f"waited {self.waited(row)}",
            "Rendering alone",
            f"rendered {self.rendered_in(row)}",
        )

    def waited(self, row: Generation) -> str:
        """From the message to the start of rendering."""
        return seconds((row.started_at - row.created_at).total_seconds() if row.started_at else None)

    def rendered_in(self, row: Generation) -> str:
        return seconds(row.render_seconds)

    @admin.display(description="Rules that it met")
    def rules_met(self, row: Generation) -> str:
        return ", ".join(row.rules) or "–"

    @admin.display(description="Size")
    def size(self, row: Generation) -> str:
        return f"{row.width}×{row.height}"

    @admin.display(description="Size of the video")
    def video_size(self, row: Generation) -> str:
        return f"{row.video_width}×{row.video_height}" if row.video_width else "–"

    @admin.display(description="File")
    def file_name(self, row: Generation) -> str:
        # Not Django's own link: the storage's addresses are not served without a signature.
        return row.file.name or "–"

    def links(self, row: Generation) -> dict[str, str]:
        return {"video_link": media_link(row.file.name or ""), "poster_link": media_link(row.poster.name or "")}
