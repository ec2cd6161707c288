"""All configuration. The only file that reads the environment; everything else reads django.conf.settings.

A wrong value stops the start with one line that names the variable (django.core.exceptions.ImproperlyConfigured).
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent
TESTING = "pytest" in sys.modules


def envbool(name: str, default: bool) -> bool:
    value = os.environ.get(name, "").strip().lower()
    known = {"": default, "1": True, "true": True, "yes": True, "on": True}
    known |= {"0": False, "false": False, "no": False, "off": False}
    if value not in known:
        raise ImproperlyConfigured(f"{name} must be true or false, not {value!r}.")
    return known[value]


def envlist(name: str, default: list[str]) -> list[str]:
    value = os.environ.get(name)
    return default if value is None else [item.strip() for item in value.split(",") if item.strip()]


def envsecret(name: str) -> str:
    """The variable, or the content of the file that NAME_FILE names. Docker and systemd hand secrets over as files."""
    path = os.environ.get(f"{name}_FILE")
    if not path:
        return os.environ.get(name, "").strip()
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ImproperlyConfigured(f"{name}_FILE: cannot read it ({error.strerror}).") from error


def envurl(name: str, default: str, schemes: set[str]) -> str:
    value = os.environ.get(name, "").strip() or default
    try:
        scheme = urlsplit(value).scheme
    except ValueError:
        # Half an IPv6 address.
        scheme = ""
    if value and scheme not in schemes:
        # The value may hold a password, so the message never repeats it.
        raise ImproperlyConfigured(f"{name} must be a URL starting with one of: {', '.join(sorted(schemes))}.")
    return value


def batch_size() -> int | None:
    value = os.environ.get("BATCH_SIZE", "").strip().lower()
    if value in {"", "auto"}:
        return None
    if not re.fullmatch(r"[1-9]|1[0-6]", value):
        raise ImproperlyConfigured(f"BATCH_SIZE must be auto or a whole number from 1 to 16, not {value!r}.")
    return int(value)


DEBUG = envbool("DEBUG", False)

# All embedded state: database, queue, secret key, media.
DATA_DIR = Path(os.environ.get("DATA_DIR") or BASE_DIR / "var").resolve()
try:
    DATA_DIR.mkdir(parents=True, exist_ok=True)
except OSError as error:
    raise ImproperlyConfigured(f"DATA_DIR: cannot create {DATA_DIR} ({error.strerror}).") from error


def secret_key(embedded: bool) -> str:
    """SECRET_KEY, or for an install on one machine a key made once and kept in DATA_DIR."""
    name = "SECRET_KEY"
    if os.environ.get(name) is not None or os.environ.get(f"{name}_FILE"):
        value = envsecret(name)
        if len(value) < 32 or "change-me" in value:
            raise ImproperlyConfigured(f"{name} must be your own random value of at least 32 characters.")
        return value
    if not embedded:
        # Several hosts with a key each would reject each other's links and sessions.
        raise ImproperlyConfigured(f"{name} is not set.")
    path = DATA_DIR / "secret_key"
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as fresh:
            fresh.write(secrets.token_urlsafe(50))
    except FileExistsError:
        pass
    except OSError as error:
        raise ImproperlyConfigured(f"{name}: cannot keep one in {path} ({error.strerror}).") from error
    return path.read_text(encoding="utf-8")


EMBEDDED_DATABASE = not os.environ.get("DATABASE_URL")
SECRET_KEY = secret_key(embedded=EMBEDDED_DATABASE)

ALLOWED_HOSTS = envlist("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = envlist("CSRF_TRUSTED_ORIGINS", [])
for origin in CSRF_TRUSTED_ORIGINS:
    if "://" not in origin:
        raise ImproperlyConfigured(f"CSRF_TRUSTED_ORIGINS: {origin!r} must start with https:// or http://.")

INSTALLED_APPS = [
    # Before the admin: its base template is ours.
    "generations",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "axes",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "telegram_bot",
    # After generations: its rqworker command must win over django-rq's.
    "django_rq",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "t2vsite.security.ContentSecurityPolicy",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "t2vsite.auditing.ThroughTheAdmin",
    # Last, as it turns the answer to a password that was not looked at into the page that says so.
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "t2vsite.urls"
WSGI_APPLICATION = "t2vsite.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# --- database ---------------------------------------------------------------------------------------------------------


def database() -> dict[str, Any]:
    url = os.environ.get("DATABASE_URL") or f"sqlite:///{DATA_DIR / 'db.sqlite3'}"
    try:
        config: dict[str, Any] = dict(dj_database_url.parse(url, conn_max_age=60, conn_health_checks=True))
    except ValueError as error:
        raise ImproperlyConfigured("DATABASE_URL is not a database URL that we know.") from error
    if config["ENGINE"] == "django.db.backends.sqlite3":
        # A transaction that reads and then writes must take the write lock at its start: upgrading later fails at once
        # with "database is locked", however long the timeout.
        config["OPTIONS"] = {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        }
        # Tests run on a file as well: threads and other processes must meet the locks that a real install has.
        config["TEST"] = {"NAME": str(DATA_DIR / "test.sqlite3")}
    return config


DATABASES = {"default": database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- queue ------------------------------------------------------------------------------------------------------------


def embedded_socket() -> Path:
    """A unix socket path of less than 100 characters: the kernel allows 107."""
    path = DATA_DIR / "valkey.sock"
    if len(str(path)) < 100:
        return path
    digest = hashlib.sha256(str(DATA_DIR).encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"t2v-{os.getuid()}-{digest}" / "valkey.sock"


REDIS_SOCKET = embedded_socket()
EMBEDDED_REDIS = not os.environ.get("REDIS_URL")
REDIS_URL = envurl("REDIS_URL", f"unix://{REDIS_SOCKET}?db=0", {"redis", "rediss", "unix"})

# RQ ends a render that takes longer: ModelScope's own model needs most of an hour on a processor without a GPU.
RENDER_TIMEOUT_SECONDS = 7200
# A render that shows no step for so long hangs; then the worker process ends itself.
STEP_TIMEOUT_SECONDS = 600

RQ_QUEUES = {
    "gpu": {
        "URL": REDIS_URL,
        "DEFAULT_TIMEOUT": RENDER_TIMEOUT_SECONDS,
        # Pickle would make anybody who can write to Redis able to run code on the GPU host.
        "SERIALIZER": "rq.serializers.JSONSerializer",
        # redis-py gives up after 5 s of silence; the worker's blocking pop waits longer than that.
        "REDIS_CLIENT_KWARGS": {"socket_timeout": 30, "socket_connect_timeout": 5},
    },
}

# django-rq lets every staff member see, requeue and delete jobs; generations.admin shows its pages to few.
RQ_SHOW_ADMIN_LINK = False

# --- files ------------------------------------------------------------------------------------------------------------

STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
MEDIA_URL = "/media/"
MEDIA_ROOT = Path(os.environ.get("MEDIA_ROOT") or DATA_DIR / "media").resolve()
MEDIA_LINK_SECONDS = 3600
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG or TESTING
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = DEBUG or TESTING
if TESTING:
    # WhiteNoise warns of a missing folder, and in tests a warning is an error.
    STATIC_ROOT.mkdir(exist_ok=True)
WHITENOISE_AUTOREFRESH = DEBUG

# --- engine -----------------------------------------------------------------------------------------------------------

# A folder in ModelScope's format, or a hub id (also id@revision) that fetchmodel has put below MODELS_DIR. Default: the
# small demo model.
MODEL = os.environ.get("MODEL", "").strip() or str(BASE_DIR / "generations" / "engine" / "demo_model")
MODELS_DIR = DATA_DIR / "models"
# The client of ModelScope's hub draws bars of its own, into logs too; fetchmodel shows progress itself.
os.environ.setdefault("TQDM_DISABLE", "1")
DEVICE = os.environ.get("DEVICE", "").strip() or "auto"
if DEVICE not in {"auto", "cpu", "cuda"} and not (DEVICE.startswith("cuda:") and DEVICE[5:].isdigit()):
    raise ImproperlyConfigured(f"DEVICE must be auto, cpu, cuda or cuda:N, not {DEVICE!r}.")
# How a worker runs the network: auto is graphs on CUDA, which fall back to off by themselves, and off on a CPU.
ENGINE_ACCELERATION = os.environ.get("ENGINE_ACCELERATION", "").strip() or "auto"
if ENGINE_ACCELERATION not in {"auto", "off", "graphs", "compile"}:
    raise ImproperlyConfigured(
        f"ENGINE_ACCELERATION must be auto, off, graphs or compile, not {ENGINE_ACCELERATION!r}."
    )
# How many prompts one render may take together; None leaves it to the engine, which knows where that pays.
BATCH_SIZE = batch_size()
# A few-step LoRA in PEFT's format, a folder or file. Only workers read it; everybody else offers the preset turbo then.
TURBO_LORA = os.environ.get("TURBO_LORA", "").strip()

# --- chat -------------------------------------------------------------------------------------------------------------

# python-telegram-bot's flood error warns, even when raised, until it is told which type its wait may have.
os.environ.setdefault("PTB_TIMEDELTA", "true")
BOT_TOKEN = envsecret("BOT_TOKEN")
TELEGRAM_API_URL = envurl("TELEGRAM_API_URL", "https://api.telegram.org", {"http", "https"}).rstrip("/")
WEBHOOK_URL = envurl("WEBHOOK_URL", "", {"https", "http"})
WEBHOOK_SECRET = envsecret("WEBHOOK_SECRET")
# The dotted path of a function(text, language code) that gives a prompt in English. None: people are only asked.
TRANSLATOR = os.environ.get("TRANSLATOR", "").strip()

# --- the site ---------------------------------------------------------------------------------------------------------

# Of the admin, and of people in the chat who read none of LANGUAGES; see telegram_bot/languages.py.
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch"), ("es", "Español"), ("ru", "Русский"), ("zh-hans", "简体中文")]
# Before those of Django's own apps, which know other words for "Delete".
LOCALE_PATHS = [BASE_DIR / "telegram_bot" / "locale"]
TIME_ZONE = os.environ.get("TZ", "").strip() or "UTC"
USE_I18N = True
USE_TZ = True
FORMAT_MODULE_PATH = ["t2vsite.formats"]

LOGIN_URL = "admin:login"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]

# The login brake: so many wrong passwords for one name, and none is looked at for this long. By name alone, because
# behind a proxy an address is the proxy's or whatever the client wrote into a header.
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AXES_LOCKOUT_PARAMETERS = ["username"]
# It wants the address among them.
SILENCED_SYSTEM_CHECKS = ["axes.W006"]
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_RESET_ON_SUCCESS = True
# Else whoever goes on guessing could lock the operator out for good.
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_LOCKOUT_TEMPLATE = "locked.html"
# Nothing is kept of logins that went well, and failures are no matter of the admin's pages.
AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False

X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SESSION_COOKIE_HTTPONLY = True
# Forms carry the token themselves; no script of ours reads the cookie.
CSRF_COOKIE_HTTPONLY = True
# Behind a TLS proxy that sets X-Forwarded-Proto; every CSRF_TRUSTED_ORIGINS entry with https says there is one.
BEHIND_TLS = any(origin.startswith("https://") for origin in CSRF_TRUSTED_ORIGINS)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_TLS else None
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = BEHIND_TLS
SECURE_HSTS_SECONDS = 3600 if BEHIND_TLS else 0

# --- logs -------------------------------------------------------------------------------------------------------------

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        # Newlines in a prompt must not be able to forge a log line.
        "line": {"()": "t2vsite.logs.OneLineFormatter", "format": "%(asctime)s %(levelname)s %(name)s: %(message)s"},
    },
    "filters": {"secrets": {"()": "t2vsite.logs.HideSecrets"}, "floods": {"()": "t2vsite.logs.NoFloods"}},
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["floods", "secrets"]},
    },
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        # httpx logs every request's URL at INFO, and Telegram's URLs contain the bot token.
        "httpx": {"level": "WARNING"},
        "httpcore": {"level": "WARNING"},
        # Four lines for each login that went well.
        "axes": {"level": "WARNING"},
        "rq.worker": {"handlers": ["console"], "level": "INFO", "propagate": False},
        "django.server": {"level": "WARNING"},
    },
}
