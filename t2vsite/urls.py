"""Addresses of the web process."""

from django.contrib import admin
from django.urls import path

from t2vsite.health import healthz
from t2vsite.icon import icon
from t2vsite.media import media
from telegram_bot.webhook import webhook

urlpatterns = [
    path("admin/", admin.site.urls),
    path("favicon.ico", icon),
    path("healthz", healthz, name="healthz"),
    path("media/<str:token>", media, name="media"),
    path("telegram/webhook/", webhook, name="webhook"),
]
