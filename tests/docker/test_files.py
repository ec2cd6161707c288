"""docker/ cannot be built where these tests run, so they hold what can be held without an engine."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text(encoding="utf-8"))
SERVICES = COMPOSE["services"]
OURS = ["migrate", "web", "bot", "worker"]


def pins(path: Path) -> set[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return {line.strip() for line in lines if line.strip() and not line.startswith(("#", "-r"))}


@pytest.mark.parametrize("image", ["web", "worker"])
def test_an_image_pins_what_the_whole_pins(image: str) -> None:
    split = pins(ROOT / "docker" / f"requirements-{image}.txt")
    assert split
    assert split - pins(ROOT / "requirements.txt") == set()


def test_every_pin_is_exact() -> None:
    for path in [ROOT / "requirements.txt", ROOT / "requirements-dev.txt"]:
        assert [line for line in pins(path) if not re.fullmatch(r"[\w.-]+(\[[\w,-]+\])?==[\w.]+", line)] == []


# What each image starts. With everything taken away that its requirements do not name, it must still load.
STARTS = {
    "web": ["t2vsite.wsgi", "t2vsite.urls", "telegram_bot.application", "telegram_bot.management.commands.runbot"],
    "worker": ["generations.rendering", "generations.worker", "generations.management.commands.rqworker"],
}


@pytest.mark.parametrize("image", ["web", "worker"])
def test_an_image_has_all_that_it_imports(image: str) -> None:
    missing = pins(ROOT / "requirements.txt") - pins(ROOT / "docker" / f"requirements-{image}.txt")
    names = {re.split(r"[\[=]", pin)[0].lower().replace("-", "_") for pin in missing}
    absent = {
        module
        for module, distributions in packages_distributions().items()
        if {distribution.lower().replace("-", "_") for distribution in distributions} & names
    }
    assert ("torch" in absent) == (image == "web")
    code = (
        "import importlib, sys\n"
        f"for name in {sorted(absent)!r}: sys.modules[name] = None\n"
        "import django; django.setup()\n"
        f"for name in {STARTS[image]!r}: importlib.import_module(name)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("name", OURS)
def test_our_containers_cannot_write_to_their_image(name: str) -> None:
    assert SERVICES[name]["read_only"] is True
    assert SERVICES[name]["cap_drop"] == ["ALL"]


@pytest.mark.parametrize("dockerfile", ["Dockerfile", "Dockerfile.worker"])
def test_an_image_runs_as_an_ordinary_user(dockerfile: str) -> None:
    text = (ROOT / "docker" / dockerfile).read_text(encoding="utf-8")
    assert re.search(r"^USER app$", text, re.MULTILINE)
    for source in re.findall(r"^COPY (\S+) ", text, re.MULTILINE):
        assert (ROOT / source).exists(), source


def test_only_the_web_container_is_published_and_only_on_loopback() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"web": ["127.0.0.1:8000:8000"]}


def test_only_the_bot_sees_the_token() -> None:
    holders = [name for name, service in SERVICES.items() if "BOT_TOKEN" in str(service)]
    assert holders == ["bot"]
    assert [name for name, service in SERVICES.items() if "secrets" in service] == ["bot"]


def test_the_example_holds_no_usable_secret() -> None:
    lines = (ROOT / "docker" / ".env.example").read_text(encoding="utf-8").splitlines()
    values = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    assert [values[name] for name in ("SECRET_KEY", "POSTGRES_PASSWORD", "BOT_TOKEN_FILE")] == ["", "", ""]


def test_every_variable_of_compose_is_explained_in_the_example() -> None:
    compose = (ROOT / "docker" / "compose.yaml").read_text(encoding="utf-8")
    example = (ROOT / "docker" / ".env.example").read_text(encoding="utf-8")
    assert {name for name in re.findall(r"\$\{(\w+)", compose) if f"\n{name}=" not in example} == set()


def test_the_queue_never_drops_what_it_was_told_to_keep() -> None:
    assert "--appendonly yes" in SERVICES["redis"]["command"]
    assert "--maxmemory-policy noeviction" in SERVICES["redis"]["command"]
