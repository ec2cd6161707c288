"""Django's own pages of accounts and roles, with their changes in the audit log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.http import HttpRequest, HttpResponse

from generations import audit_log
from generations.admin.audited import Audited

if TYPE_CHECKING:
    # It takes a parameter in its stubs only.
    UserModelAdmin = DjangoUserAdmin[User]
else:
    UserModelAdmin = DjangoUserAdmin

admin.site.unregister([User, Group])


@admin.register(User)
class UserAdmin(Audited, UserModelAdmin):
    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        """The one form of Django's that saves past save_form."""
        with transaction.atomic():
            before = User.objects.filter(pk=id).values_list("password", flat=True).first() if id.isdigit() else None
            response: HttpResponse = super().user_change_password(request, id, form_url)
            after = User.objects.filter(pk=id).first() if before is not None else None
            if after is not None and after.password != before:
                assert request.user.is_authenticated
                audit_log.write("password changed", after, by=request.user)
        return response


@admin.register(Group)
class RoleAdmin(Audited, DjangoGroupAdmin):
    """Members of the roles are chosen on the pages of the accounts."""
