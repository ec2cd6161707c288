"""Styles in the admin: checked, and what is saved binds the next prompt."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from generations import migrations, services, styles
from generations.admin.styles import StyleForm
from generations.models import Generation, Style
from tests.generations.admin.test_levers import address, rerun_values

pytestmark = [pytest.mark.services, pytest.mark.django_db]

ADD = "/admin/generations/style/add/"
GOOD = {"name": "noir", "label": "Film noir", "words": "{prompt}, film noir", "negative": "color", "position": 1}


@pytest.fixture(autouse=True)
def none_yet(db: None) -> None:
    Style.objects.all().delete()


def test_an_operator_adds_a_style_and_people_can_use_it(page: Client) -> None:
    form = {**GOOD, "name": "Noir", "words": "  {prompt},\r\n film noir ", "enabled": "on"}
    assert page.post(ADD, form).status_code == 302
    row = services.submit(services.Person(1), "a cat --style noir", request_key="1")
    assert (row.style, row.spec().prompt, row.spec().negative_prompt) == ("noir", "a cat, film noir", "color")
    assert "Film noir" in page.get("/admin/generations/style/").content.decode()


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "none"},
        {"name": "seed"},
        {"name": "negative-prompt"},
        {"name": "x2"},
        {"name": "film noir"},
        {"name": "n" * 25},
        {"name": "7"},
        {"label": "\u200b"},
        {"words": "film noir"},
        {"words": "{prompt} and {prompt}"},
        {"words": " {prompt} "},
        {"words": "{prompt} " + "x" * 300},
    ],
    ids=lambda wrong: next(iter(wrong.values()))[:10],
)
def test_a_style_that_cannot_work_is_refused(page: Client, wrong: dict[str, Any]) -> None:
    answer = page.post(ADD, GOOD | wrong)
    assert answer.status_code == 200
    assert "errorlist" in answer.content.decode()
    assert not Style.objects.exists()


def test_the_shipped_styles_are_sound_and_off() -> None:
    [file] = Path(migrations.__file__).parent.glob("*_manners_and_styles.py")
    migration = import_module(f"{migrations.__name__}.{file.stem}")
    fields = ("name", "label", "words", "negative")
    forms = [StyleForm({**dict(zip(fields, style, strict=True)), "position": 0}) for style in migration.STYLES]
    assert [form.errors for form in forms if not form.is_valid()] == []
    assert [form.save().enabled for form in forms] == [False] * 5
    assert styles.offered() == {}


def test_a_rerun_keeps_the_style_unless_its_prompt_names_another_even_one_not_on_offer(
    page: Client, prompt: Any
) -> None:
    old = prompt(style="noir", style_words="{prompt}, film noir", style_negative="color")
    Style.objects.create(name="clay", label="Clay", words="clay {prompt}")
    page.post(address("rerun", old), rerun_values(prompt="a dog"))
    page.post(address("rerun", old), rerun_values(prompt="a dog --style clay"))
    answer = page.post(address("rerun", old), rerun_values(prompt="a dog --style glass"))
    assert "--style must be clay or none, not glass." in answer.content.decode()
    kept, other = Generation.objects.exclude(pk=old.pk).order_by("pk")
    assert (kept.style, kept.spec().prompt, kept.spec().negative_prompt) == ("noir", "a dog, film noir", "color")
    assert (other.style, other.spec().prompt, other.prompt) == ("clay", "clay a dog", "a dog")
    assert "{prompt}, film noir" in page.get(f"/admin/generations/generation/{kept.pk}/change/").content.decode()
