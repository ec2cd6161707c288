"""Announcements to many people, with a preview before and the progress after; and a message to one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.views.decorators.http import require_POST

from generations import prompts
from generations.admin.audited import Audited
from generations.admin.shared import MultilineField, form_page, link, pill, seconds, shortened
from generations.models import Requester
from generations.roles import MESSAGE
from telegram_bot.models import Broadcast

if TYPE_CHECKING:
    # These classes take a parameter in their stubs only.
    BroadcastModelAdmin = admin.ModelAdmin[Broadcast]
    BroadcastModelForm = forms.ModelForm[Broadcast]
else:
    BroadcastModelAdmin = admin.ModelAdmin
    BroadcastModelForm = forms.ModelForm

# One message holds 4096 UTF-16 units, and the bot adds lines of its own.
UNITS = 3500
# Of what was said to one person.
SHOWN = 50
State = Broadcast.State
COLOURS = {State.DRAFT: "waiting", State.SENDING: "running", State.DONE: "free", State.STOPPED: "cancelled"}
CHANGE = "telegram_bot.change_broadcast"


def text_field() -> MultilineField:
    return MultilineField(rows=8, label="Text", help_text="Plain text, in your own language. It is not translated.")


def sendable(text: str) -> str:
    """Raises ValidationError."""
    if len(text.encode("utf-16-le", "surrogatepass")) // 2 > UNITS:
        raise ValidationError(f"One message has to hold it: at most {UNITS} characters.")
    if not prompts.is_visible(text):
        raise ValidationError("There is no text that can be seen.")
    return prompts.storable(text.strip(), UNITS)


class BroadcastForm(BroadcastModelForm):
    text = text_field()

    class Meta:
        model = Broadcast
        fields = ["text", "active_days", "tier", "per_minute"]

    def clean_text(self) -> str:
        return sendable(self.cleaned_data["text"])


class MessageForm(forms.Form):
    text = text_field()

    def clean_text(self) -> str:
        return sendable(self.cleaned_data["text"])


@admin.register(Broadcast)
class BroadcastAdmin(Audited, BroadcastModelAdmin):
    form = BroadcastForm
    list_display = ["title", "standing", "created_by", "begun_at", "people", "reached", "missed"]
    list_display_links = None
    list_select_related = ["created_by"]
    list_per_page = 50
    sortable_by = ()
    actions = None
    fields = ["text", ("active_days", "tier"), "per_minute"]
    change_form_template = "telegram_bot/admin/broadcast.html"

    class Media:
        js = ["generations/live.js"]

    # --- who may do what

    def has_change_permission(self, request: HttpRequest, obj: Broadcast | None = None) -> bool:
        """What people have read is not changed any more."""
        begun = obj is not None and obj.state != State.DRAFT
        return not begun and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Broadcast | None = None) -> bool:
        """What was sent stays as a record."""
        begun = obj is not None and obj.state != State.DRAFT
        return not begun and super().has_delete_permission(request, obj)

    def save_model(self, request: HttpRequest, obj: Broadcast, form: Any, change: bool) -> None:
        if change:
            # Never the state: somebody else may have begun it a moment ago.
            draft = Broadcast.objects.filter(pk=obj.pk, state=State.DRAFT)
            if not draft.update(**{name: getattr(obj, name) for name in BroadcastForm.Meta.fields}):
                self.message_user(request, "It was begun meanwhile; nothing is changed.", messages.ERROR)
            return
        obj.created_by = request.user  # type: ignore[assignment] # nobody gets here without logging in
        super().save_model(request, obj, form, change)

    def response_add(self, request: HttpRequest, obj: Broadcast, post_url_continue: str | None = None) -> HttpResponse:
        """To its page: nothing is sent before somebody has seen there how it looks, and to how many it goes."""
        self.message_user(request, "Kept as a draft. Nothing is sent yet.", messages.SUCCESS)
        return HttpResponseRedirect(_address(obj))

    # --- what is shown

    @admin.display(description="Text")
    def title(self, row: Broadcast) -> str:
        return link(row, shortened(row.text, 60))

    @admin.display(description="State")
    def standing(self, row: Broadcast) -> str:
        return pill(COLOURS[State(row.state)], State(row.state).label)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        obj: Broadcast | None = kwargs.get("obj")
        if obj is not None:
            context |= self._live(request, obj)
        return super().render_change_form(request, context, *args, **kwargs)

    def _live(self, request: HttpRequest, obj: Broadcast) -> dict[str, Any]:
        # Here and below imported when it is called: a worker, which loads the pages too, has no Telegram library.
        from telegram_bot import broadcasts, operators

        assert request.user.is_authenticated
        progress = broadcasts.progress(obj)
        may = request.user.has_perm(CHANGE)
        return {
            "preview": broadcasts.words_for(obj, "en"),
            "progress": progress,
            "standing": self.standing(obj),
            "takes": seconds(60 * progress.people / obj.per_minute),
            "may_begin": may and obj.state == State.DRAFT,
            "may_stop": may and obj.state == State.SENDING,
            "may_try": may and operators.chat_of(request.user) is not None,
            "is_over": obj.state != State.SENDING and not progress.waiting,
        }

    # --- levers

    def get_urls(self) -> list[URLPattern]:
        def page(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
            return self.admin_site.admin_view(view)

        return [
            path("<int:pk>/live/", page(self.live_view), name="telegram_bot_broadcast_live"),
            path("<int:pk>/try/", page(self.try_view), name="telegram_bot_broadcast_try"),
            path("<int:pk>/begin/", page(self.begin_view), name="telegram_bot_broadcast_begin"),
            path("<int:pk>/stop/", page(self.stop_view), name="telegram_bot_broadcast_stop"),
            path("to/<int:pk>/", page(self.message_view), name="telegram_bot_broadcast_message"),
            *super().get_urls(),
        ]

    def live_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """What live.js puts in the place of what is shown."""
        broadcast = get_object_or_404(Broadcast, pk=pk)
        if not self.has_view_permission(request, broadcast):
            raise PermissionDenied
        context = {"original": broadcast, **self._live(request, broadcast)}
        return TemplateResponse(request, "telegram_bot/admin/broadcast_live.html", context)

    @method_decorator(require_POST)
    def try_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        from telegram_bot import broadcasts, operators

        broadcast = self._target(request, pk)
        assert request.user.is_authenticated
        chat_id = operators.chat_of(request.user)
        if chat_id is None:
            self.message_user(request, "Nobody knows your number in Telegram: see Operator accounts.", messages.ERROR)
        else:
            broadcasts.try_out(broadcast, chat_id)
            self.message_user(request, "It is sent to you.", messages.SUCCESS)
        return HttpResponseRedirect(_address(broadcast))

    @method_decorator(require_POST)
    def begin_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        from telegram_bot import broadcasts

        broadcast = self._target(request, pk)
        assert request.user.is_authenticated
        if broadcasts.begin(broadcast, by=request.user):
            self.message_user(request, f"It goes to {broadcast.people} people.", messages.SUCCESS)
        else:
            self.message_user(request, "It was begun before.", messages.WARNING)
        return HttpResponseRedirect(_address(broadcast))

    @method_decorator(require_POST)
    def stop_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        from telegram_bot import broadcasts

        broadcast = self._target(request, pk)
        assert request.user.is_authenticated
        if broadcasts.stop(broadcast, by=request.user):
            self.message_user(request, "Stopped. Nobody more reads it.", messages.SUCCESS)
        else:
            self.message_user(request, "It is not being sent.", messages.WARNING)
        return HttpResponseRedirect(_address(broadcast))

    def message_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """To one person, whether or not that one wants announcements."""
        if not request.user.has_perm(MESSAGE):
            raise PermissionDenied
        from telegram_bot import bulletins
        from telegram_bot import messages as direct

        requester = get_object_or_404(Requester, pk=pk)
        form, back = MessageForm(request.POST or None), reverse("admin:generations_requester_change", args=[pk])
        if form.is_valid():
            assert request.user.is_authenticated
            if requester.user_id > 0:
                direct.write(requester, form.cleaned_data["text"], by=request.user)
                self.message_user(request, "It is sent.", messages.SUCCESS)
            else:
                self.message_user(request, "That is a channel, which reads no messages.", messages.ERROR)
            return HttpResponseRedirect(back)
        answer = form_page(
            self.admin_site,
            request,
            Requester,
            title=f"Write to {requester}",
            form=form,
            button="Send",
            back=back,
        )
        answer.template_name = "telegram_bot/admin/message.html"
        received = f"{reverse('admin:telegram_bot_receivedupdate_changelist')}?q={requester.user_id}"
        may_see = request.user.has_perm("telegram_bot.view_receivedupdate")
        assert answer.context_data is not None
        answer.context_data |= {
            "said": bulletins.outcomes(requester.user_id, SHOWN),
            "received": received if may_see else "",
        }
        return answer

    @staticmethod
    def _target(request: HttpRequest, pk: int) -> Broadcast:
        if not request.user.has_perm(CHANGE):
            raise PermissionDenied
        return get_object_or_404(Broadcast, pk=pk)


def _address(broadcast: Broadcast) -> str:
    return reverse("admin:telegram_bot_broadcast_change", args=[broadcast.pk])
