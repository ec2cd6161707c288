"""A wrong variable stops the start with one line that names it, and no secret is ever part of that line."""

from __future__ import annotations

import logging
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import LazySettings, settings
from django.contrib.auth import get_user_model
from django.test import Client

from t2vsite.logs import HideSecrets, NoFloods, OneLineFormatter

ROOT = Path(__file__).resolve().parents[2]
LONG_ENOUGH = "x7" * 25


def manage(*arguments: str, data_dir: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run manage.py in an environment that holds nothing but what the test says."""
    basics = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), *arguments],
        cwd=ROOT,
        env={**basics, "DATA_DIR": str(data_dir), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("name", "environment"),
    [
        ("DEBUG", {"DEBUG": "maybe"}),
        ("SECRET_KEY", {"SECRET_KEY": ""}),
        ("SECRET_KEY", {"SECRET_KEY": "hunter2"}),
        ("SECRET_KEY", {"SECRET_KEY": "change-me-" + LONG_ENOUGH}),
        ("SECRET_KEY_FILE", {"SECRET_KEY_FILE": "/nowhere/secret_key"}),
        ("SECRET_KEY", {"DATABASE_URL": "postgres://user:hunter2@127.0.0.1/t2v"}),
        ("DATABASE_URL", {"DATABASE_URL": "gopher://user:hunter2@127.0.0.1/t2v", "SECRET_KEY": LONG_ENOUGH}),
        ("DATABASE_URL", {"DATABASE_URL": "hunter2", "SECRET_KEY": LONG_ENOUGH}),
        ("REDIS_URL", {"REDIS_URL": "http://:hunter2@127.0.0.1"}),
        ("REDIS_URL", {"REDIS_URL": "127.0.0.1:6379"}),
        ("WEBHOOK_URL", {"WEBHOOK_URL": "https://["}),
        ("DEVICE", {"DEVICE": "gpu"}),
        ("DEVICE", {"DEVICE": "cuda:first"}),
        ("BATCH_SIZE", {"BATCH_SIZE": "0"}),
        ("BATCH_SIZE", {"BATCH_SIZE": "17"}),
        ("BATCH_SIZE", {"BATCH_SIZE": "10000000"}),
        ("BATCH_SIZE", {"BATCH_SIZE": "-1"}),
        ("BATCH_SIZE", {"BATCH_SIZE": "2.5"}),
        ("BATCH_SIZE", {"BATCH_SIZE": "many"}),
        ("BATCH_SIZE", {"BATCH_SIZE": "٣"}),
        ("BOT_TOKEN_FILE", {"BOT_TOKEN_FILE": "/nowhere/token"}),
        ("TELEGRAM_API_URL", {"TELEGRAM_API_URL": "ftp://127.0.0.1"}),
        ("WEBHOOK_URL", {"WEBHOOK_URL": "example.org/hook"}),
        ("CSRF_TRUSTED_ORIGINS", {"CSRF_TRUSTED_ORIGINS": "videos.example.org"}),
        ("DATA_DIR", {"DATA_DIR": "/dev/null/var"}),
    ],
)
def test_a_wrong_variable_is_one_line_that_names_it(name: str, environment: dict[str, str], tmp_path: Path) -> None:
    result = manage("check", **{"data_dir": tmp_path, **environment})  # type: ignore[arg-type]
    assert result.returncode != 0
    assert result.stdout == ""
    [line] = result.stderr.splitlines()
    assert name in line
    assert "hunter2" not in line
    assert LONG_ENOUGH not in line


def test_a_right_environment_passes_the_check(tmp_path: Path) -> None:
    result = manage("check", data_dir=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize(("value", "read"), [("", "None"), ("auto", "None"), ("1", "1"), (" 16 ", "16")])
def test_the_batch_size_is_a_number_or_left_to_the_engine(value: str, read: str, tmp_path: Path) -> None:
    code = "from django.conf import settings; print(settings.BATCH_SIZE)"
    result = manage("shell", "--no-imports", "-c", code, data_dir=tmp_path, BATCH_SIZE=value)
    assert (result.stdout, result.stderr) == (f"{read}\n", "")


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("12345:from-a-file\n", encoding="utf-8")
    code = "from django.conf import settings; print(settings.BOT_TOKEN)"
    result = manage("shell", "--no-imports", "-c", code, data_dir=tmp_path, BOT_TOKEN_FILE=str(token))
    assert result.stdout == "12345:from-a-file\n"


def test_the_secret_key_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    code = "from django.conf import settings; print(settings.SECRET_KEY)"
    first = manage("shell", "--no-imports", "-c", code, data_dir=tmp_path)
    second = manage("shell", "--no-imports", "-c", code, data_dir=tmp_path)
    assert first.stdout == second.stdout
    assert len(first.stdout.strip()) >= 50
    assert stat.S_IMODE((tmp_path / "secret_key").stat().st_mode) == 0o600


@pytest.mark.services
@pytest.mark.django_db
def test_a_fresh_installation_has_no_account() -> None:
    assert not get_user_model().objects.exists()


def test_production_is_the_default(tmp_path: Path) -> None:
    code = "from django.conf import settings; print(settings.DEBUG)"
    assert manage("shell", "--no-imports", "-c", code, data_dir=tmp_path).stdout == "False\n"


def test_the_tests_keep_their_state_out_of_the_repository() -> None:
    assert not Path(settings.DATA_DIR).is_relative_to(ROOT)
    assert not Path(settings.MEDIA_ROOT).is_relative_to(ROOT)
    assert settings.BOT_TOKEN == ""


def record(message: str, *args: object) -> logging.LogRecord:
    return logging.LogRecord("generations", logging.INFO, __file__, 1, message, args, None)


def test_a_prompt_with_newlines_stays_one_log_line() -> None:
    formatter = OneLineFormatter("%(levelname)s %(message)s")
    line = formatter.format(record("Prompt: %s", "a cat\n2026-01-01 ERROR django: forged\r\nmore"))
    assert len(line.splitlines()) == 1
    assert line == "INFO Prompt: a cat\\n2026-01-01 ERROR django: forged\\r\\nmore"


def test_a_log_line_never_holds_a_secret(settings: LazySettings) -> None:
    settings.BOT_TOKEN = "12345:very-secret"
    settings.WEBHOOK_SECRET = "also-secret"
    formatter = OneLineFormatter("%(message)s")
    line = formatter.format(record("GET https://api.telegram.org/bot%s/getMe %s", "12345:very-secret", "also-secret"))
    assert line == "GET https://api.telegram.org/bot***/getMe ***"


def test_a_traceback_never_holds_a_secret(settings: LazySettings) -> None:
    settings.BOT_TOKEN = "12345:very-secret"
    entry = record("failed")
    try:
        raise ValueError("url was /bot12345:very-secret/getMe")
    except ValueError:
        entry.exc_info = sys.exc_info()
    text = OneLineFormatter("%(message)s").format(entry)
    assert "ValueError" in text
    assert "very-secret" not in text


def test_other_handlers_get_the_message_without_the_secret(settings: LazySettings) -> None:
    settings.BOT_TOKEN = "12345:very-secret"
    entry = record("token %s", "12345:very-secret")
    assert HideSecrets().filter(entry)
    assert entry.getMessage() == "token ***"


def refusal(status: int, message: str = "Forbidden: %s", name: str = "django.request") -> logging.LogRecord:
    entry = logging.LogRecord(name, logging.WARNING, __file__, 1, message, ("/telegram/webhook/",), None)
    entry.status_code = status
    return entry


def test_a_flood_of_refused_calls_leaves_a_few_lines_a_minute_and_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("t2vsite.logs.time.monotonic", lambda: now)
    floods = NoFloods(most=3)
    assert [floods.filter(refusal(403)) for _ in range(1000)] == [True] * 3 + [False] * 997
    # Other refusals, faults of our own and our own lines are counted apart, or not at all.
    assert floods.filter(refusal(404))
    assert all(floods.filter(refusal(500)) for _ in range(10))
    assert all(floods.filter(refusal(403, name="telegram_bot.polling")) for _ in range(10))
    now += 60
    last = refusal(403)
    assert floods.filter(last)
    assert last.getMessage() == "Forbidden: /telegram/webhook/ (997 like this were left out before)"
    now += 60
    quiet = refusal(403)
    assert floods.filter(quiet)
    assert quiet.getMessage() == "Forbidden: /telegram/webhook/"


@pytest.mark.services
@pytest.mark.django_db
def test_forged_webhook_calls_do_not_fill_the_log(
    client: Client, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.WEBHOOK_SECRET = "the-Right_secret-0123456789"
    [console] = [handler for handler in logging.getLogger().handlers if any(map(is_flood_filter, handler.filters))]
    lines: list[logging.LogRecord] = []
    # A new one: other tests may have used this minute's lines up.
    others = [each for each in console.filters if not is_flood_filter(each)]
    monkeypatch.setattr(console, "filters", [*others, NoFloods(), lambda entry: lines.append(entry) or True])
    for _ in range(50):
        assert client.post("/telegram/webhook/", "{}", content_type="application/json").status_code == 403
    assert 1 <= len([line for line in lines if line.name == "django.request"]) <= 20


def is_flood_filter(candidate: object) -> bool:
    return isinstance(candidate, NoFloods)
