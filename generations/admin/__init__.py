"""The operators' pages: facts to read, and levers that call generations.services. No rules of their own."""

from django.contrib import admin

from generations.admin import generation, people, policy, queue

__all__ = ["generation", "people", "policy", "queue"]

admin.site.site_title = admin.site.site_header = "Text to video"
admin.site.index_template = "generations/admin/index.html"
