"""Error pages and security headers: what a stranger learns, and what a browser is told to refuse."""

from __future__ import annotations

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path

from t2vsite import urls

SECRETS = ("hunter2", "Traceback", "SELECT", "settings", "/work", "site-packages", "Django", "broken-page")


def broken(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("hunter2: SELECT * FROM passwords")


def suspicious(request: HttpRequest) -> HttpResponse:
    raise SuspiciousOperation("hunter2")


def forbidden(request: HttpRequest) -> HttpResponse:
    raise PermissionDenied("hunter2")


@pytest.fixture(autouse=True)
def _broken_pages(settings: LazySettings) -> None:
    pages = [path("broken-page", broken), path("suspicious", suspicious), path("forbidden", forbidden)]
    # A tuple: the resolver keeps what it was built from as a key.
    settings.ROOT_URLCONF = (*urls.urlpatterns, *pages)


@pytest.fixture
def stranger() -> Client:
    return Client(raise_request_exception=False)


@pytest.mark.parametrize(
    ("address", "status", "words"),
    [
        ("/broken-page", 500, "Something went wrong"),
        ("/suspicious", 400, "Bad request"),
        ("/forbidden", 403, "Not allowed"),
        ("/nope?token=hunter2", 404, "Not found"),
    ],
)
def test_an_error_page_says_what_happened_and_nothing_about_the_inside(
    stranger: Client, address: str, status: int, words: str
) -> None:
    answer = stranger.get(address)
    text = answer.content.decode()
    assert answer.status_code == status
    assert words in text
    assert [secret for secret in SECRETS if secret in text] == []


def test_an_unknown_host_is_refused(stranger: Client) -> None:
    answer = stranger.get("/admin/login/", headers={"Host": "evil.example"})
    assert answer.status_code == 400
    assert "evil" not in answer.content.decode()


@pytest.mark.services
@pytest.mark.django_db
def test_headers_tell_the_browser_to_run_nothing_foreign(stranger: Client) -> None:
    headers = stranger.get("/admin/login/").headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"


@pytest.mark.services
@pytest.mark.django_db
def test_cookies_are_closed_to_scripts_and_other_sites(stranger: Client, settings: LazySettings) -> None:
    settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = True
    User.objects.create_superuser("olga", password="correct horse battery")
    stranger.get("/admin/login/")
    stranger.post("/admin/login/", {"username": "olga", "password": "correct horse battery"})
    for name in ("sessionid", "csrftoken"):
        cookie = stranger.cookies[name]
        assert (cookie["httponly"], cookie["samesite"], cookie["secure"]) == (True, "Lax", True)


@pytest.mark.services
@pytest.mark.django_db
@pytest.mark.parametrize(("trusted", "status"), [(["https://app.example"], 200), ([], 403)])
def test_login_works_behind_a_proxy_once_its_address_is_named(
    settings: LazySettings, caplog: pytest.LogCaptureFixture, trusted: list[str], status: int
) -> None:
    settings.ALLOWED_HOSTS = ["app"]
    settings.CSRF_TRUSTED_ORIGINS = trusted
    browser = Client(enforce_csrf_checks=True)
    headers = {"Host": "app", "X-Forwarded-Proto": "https", "Origin": "https://app.example"}
    token = browser.get("/admin/login/", headers=headers).cookies["csrftoken"].value
    values = {"username": "x", "password": "y", "csrfmiddlewaretoken": token}
    answer = browser.post("/admin/login/", values, headers=headers)
    assert answer.status_code == status
    if status == 403:
        # The page says which variable to set, and the log says what was compared.
        assert "CSRF_TRUSTED_ORIGINS" in answer.content.decode()
        assert "https://app.example does not match any trusted origins" in caplog.text
