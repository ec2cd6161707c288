"""The operators' pages: facts to read, and levers that call generations.services. No rules of their own."""

from django.contrib import admin

from generations.admin import (
    accounts,
    audit_entries,
    erasures,
    generation,
    groups,
    people,
    policy,
    queue,
    rules,
    styles,
    tiers,
)

__all__ = [
    "accounts",
    "audit_entries",
    "erasures",
    "generation",
    "groups",
    "people",
    "policy",
    "queue",
    "rules",
    "styles",
    "tiers",
]

admin.site.site_title = admin.site.site_header = "Text to video"
# There is no public site to view, and the list needs the width that the menu at the side would take.
admin.site.site_url = None
admin.site.enable_nav_sidebar = False
admin.site.index_template = "generations/admin/index.html"
