"""Who may import whom, read from the source of every file. DESIGN: the database is the truth, Telegram is the edge.

A failure here means that a piece of work went into the wrong module, or that a process would load what it must not.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ["t2vsite", "generations", "telegram_bot", "training", "benchmarks"]
FILES = sorted(
    [ROOT / "manage.py"]
    + [path for package in PACKAGES for path in (ROOT / package).rglob("*.py") if "migrations" not in path.parts]
)

TORCH = {"torch", "torchvision", "open_clip", "modelscope", "einops", "safetensors"}
TELEGRAM = {"telegram", "telegram_bot"}
# What each module of the product may import from the product. The first entry that fits a module counts.
MAY_IMPORT = {
    "generations.engine": {"generations.engine"},
    "generations.fair_order": set(),
    "generations.models": {"generations.models", "generations.fair_order", "generations.engine.base"},
    "generations.prompts": set(),
    "generations.flags": {"generations.prompts", "generations.engine.card", "generations.engine.presets"},
    "generations.styles": {"generations.models", "generations.flags"},
    "generations.preferences": {
        "generations.models",
        "generations.styles",
        "generations.engine.base",
        "generations.engine.card",
    },
    "generations.limits": {"generations.models"},
    "generations.personal": {"generations.models", "generations.limits"},
    "generations.access": {
        "generations.models",
        "generations.audit_log",
        "generations.limits",
        "generations.services",
        "generations.telling",
    },
    "generations.telling": {"generations.models"},
    "generations.audit_log": {"generations.models"},
    # A migration imports it.
    "generations.roles": set(),
    # The job itself imports rendering, and with it torch, when a worker runs it.
    "generations.language": set(),
    "generations.reviewing": {"generations.models"},
    "generations.rules": {"generations.models"},
    "generations.claims": {"generations.models", "generations.services.Operator"},
    "generations.groups": {"generations.models", "generations.prompts"},
    "generations.tasks": {"generations.models", "generations.reencoding", "generations.rendering"},
    "generations.services": {
        "generations.models",
        "generations.audit_log",
        "generations.limits",
        "generations.groups",
        "generations.language",
        "generations.prompts",
        "generations.flags",
        "generations.preferences",
        "generations.reviewing",
        "generations.rules",
        "generations.styles",
        "generations.tasks",
        "generations.attendance",
        "generations.served",
        "generations.engine.base",
        "generations.engine.card",
    },
    "generations.operating": {
        "generations.limits",
        "generations.telling",
        "generations.models",
        "generations.audit_log",
        "generations.deleted_files",
        "generations.tasks",
        "generations.services.Operator",
    },
    "telegram_bot.simulator": {"telegram_bot.simulator"},
    "telegram_bot.inbox": {"telegram_bot", "generations.models"},
    "telegram_bot.delivery": {
        "telegram_bot",
        "generations.models",
        "generations.services",
        "generations.estimates",
        "generations.quiet",
    },
    # The sweeper lives in the bot process.
    "telegram_bot.process": {"telegram_bot", "generations.sweep", "generations.asked"},
    "telegram_bot.conditions": {
        "telegram_bot",
        "generations.reviewing",
        "generations.attendance",
        "generations.limits",
        "generations.overview",
        "generations.services",
        "generations.operating",
        "t2vsite.health",
    },
    "telegram_bot.admin": {"telegram_bot", "generations.admin.audited"},
    "telegram_bot.apps": {
        "telegram_bot",
        "generations.erasing",
        "generations.limits",
        "generations.models.Requester",
        "generations.telling",
    },
    "telegram_bot.access_admin": {"telegram_bot", "generations.admin.audited", "generations.admin.shared"},
    "telegram_bot.broadcast_admin": {
        "telegram_bot",
        "generations.admin.audited",
        "generations.admin.shared",
        "generations.models",
        "generations.prompts",
        "generations.roles",
    },
    # These are told by the number of a person's row, and write to people whom nobody has just heard.
    "telegram_bot.broadcasts": {"telegram_bot", "generations.audit_log", "generations.models", "generations.services"},
    "telegram_bot.messages": {
        "telegram_bot",
        "generations.audit_log",
        "generations.models",
        "generations.services",
        "generations.telling",
    },
    "telegram_bot": {
        "telegram_bot",
        "generations.access",
        "generations.audit_log",
        "generations.services",
        "generations.operating",
        "generations.groups",
        "generations.asked",
        "generations.personal",
        "generations.afterwards",
        "generations.erasing",
        "generations.exporting",
        "generations.limits",
        "generations.overview",
        "generations.prompts",
        "generations.reviewing",
        "generations.roles",
        "generations.telling",
        "generations.engine.card",
    },
    "generations": {"generations", "t2vsite"},
    "training": {"training", "generations.engine"},
    # These measure the service as a whole: jobs as everybody asks for them, and the answers of the whole bot.
    "benchmarks.b7_service": {"benchmarks", "generations"},
    "benchmarks.admin": {"benchmarks", "generations"},
    "benchmarks.status": {"benchmarks", "generations", "telegram_bot"},
    "benchmarks": {"benchmarks", "generations.engine"},
}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def inside(module: str, packages: set[str]) -> bool:
    return any(module == package or module.startswith(package + ".") for package in packages)


def imports(path: Path) -> Iterator[str]:
    """Every module that the file imports anywhere, by its full name; `from a import b` gives a.b."""
    package = module_name(path) if path.name == "__init__.py" else module_name(path).rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, node.module] if node.module else above)
            yield from (f"{base}.{alias.name}" for alias in node.names)


def offenders(packages: set[str], *, outside: set[str]) -> list[str]:
    """Files that import one of the packages and do not lie in one of the places."""
    return [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in FILES
        if not inside(module_name(path), outside)
        for module in imports(path)
        if inside(module, packages)
    ]


def test_there_is_something_to_read() -> None:
    assert len(FILES) > 20


def test_torch_lives_in_the_modelscope_engine_only() -> None:
    assert offenders(TORCH, outside={"generations.engine.modelscope", "training", "benchmarks"}) == []


def test_only_the_bot_knows_telegram() -> None:
    assert offenders(TELEGRAM, outside={"telegram_bot", "t2vsite.urls", "t2vsite.health", "benchmarks.status"}) == []


def test_the_engine_knows_neither_django_nor_the_queue_nor_the_rows() -> None:
    unknown = {"django", "django_rq", "rq", "redis", "telegram", "generations.models", "t2vsite"}
    engine = [path for path in FILES if inside(module_name(path), {"generations.engine"})]
    found = [f"{path.name}: {name}" for path in engine for name in imports(path) if inside(name, unknown)]
    assert found == []


def test_nothing_of_the_product_imports_its_benchmarks_training_or_tests() -> None:
    assert offenders({"benchmarks"}, outside={"benchmarks"}) == []
    assert offenders({"training"}, outside={"training", "benchmarks"}) == []
    assert offenders({"tests", "pytest"}, outside=set()) == []


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_a_module_imports_only_what_lies_below_it(path: Path) -> None:
    name = module_name(path)
    allowed = next((allowed for place, allowed in MAY_IMPORT.items() if inside(name, {place})), None)
    if allowed is None:
        return
    ours = [module for module in imports(path) if inside(module, {"generations", "telegram_bot", "t2vsite"})]
    assert [module for module in ours if not inside(module, allowed)] == []


def reads_environment(path: Path) -> bool:
    """Does the file ask for a variable by name? Handing all of them on to a child process is no question."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Attribute(attr="getenv" | "getenvb" | "putenv"):
                return True
            case ast.Subscript(value=ast.Attribute(attr="environ")):
                return True
            case ast.Attribute(value=ast.Attribute(attr="environ"), attr="get" | "setdefault" | "pop" | "update"):
                return True
            case ast.ImportFrom(module="os", names=names) if any("env" in name.name for name in names):
                return True
    return False


def test_only_the_settings_read_the_environment() -> None:
    # manage.py and wsgi.py say which settings to load, as every Django project does.
    may = {"manage.py", "t2vsite/settings.py", "t2vsite/wsgi.py"}
    found = {path.relative_to(ROOT).as_posix() for path in FILES if reads_environment(path)}
    assert found - may == set()


def test_web_and_bot_processes_never_load_torch() -> None:
    """Torch costs 400 MB and seconds in every process that imports it; only the worker may."""
    code = (
        "import django, importlib, sys; django.setup()\n"
        "from django.contrib import admin; admin.autodiscover()\n"
        "for name in ('t2vsite.urls', 't2vsite.wsgi', 'telegram_bot.application', 'generations.services'):\n"
        "    importlib.import_module(name)\n"
        f"print(sorted({TORCH!r} & set(sys.modules)))\n"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (result.stdout, result.stderr) == ("[]\n", "")
