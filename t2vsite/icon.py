"""/favicon.ico, which every browser asks for."""

from django.http import HttpRequest, HttpResponseRedirect
from django.templatetags.static import static
from django.views.decorators.http import require_safe


@require_safe
def icon(request: HttpRequest) -> HttpResponseRedirect:
    return HttpResponseRedirect(static("generations/icon.svg"))
