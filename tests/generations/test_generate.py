"""`manage.py generate`: one video on the command line, or a sentence that says what is wrong."""

from __future__ import annotations

import hashlib
import json
from io import StringIO
from pathlib import Path
from typing import Any

import av
import pytest
from django.core.management import CommandError, call_command

from generations.engine.base import CheckpointError, EngineError
from generations.management.commands import generate
from generations.models import Style
from tests.generations.conftest import CARD, StandInEngine


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> StandInEngine:
    engine = StandInEngine()
    monkeypatch.setattr(generate, "load_engine", lambda *_: engine)
    monkeypatch.setattr(generate, "read_card", lambda model, turbo: CARD)
    monkeypatch.chdir(tmp_path)
    return engine


def run(*arguments: str, **options: Any) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command("generate", *arguments, stdout=out, stderr=err, **options)
    return out.getvalue(), err.getvalue()


def test_the_path_of_a_playable_video_is_all_that_is_printed(tmp_path: Path) -> None:
    out, err = run("a red circle")
    path = Path(out.removesuffix("\n"))
    assert path.parent == tmp_path
    assert path.suffix == ".mp4"
    with av.open(str(path)) as container:
        assert container.streams.video[0].frames == 4
    assert "step 4 of 4" in err
    assert "seed " in err, "so that it can be made again"


def test_every_option_reaches_the_model(stand_in: StandInEngine, tmp_path: Path) -> None:
    numbers = ["--seed", "9", "--frames", "6", "--size", "64x128", "--steps", "3", "--guidance", "4.5"]
    out, _ = run("a red circle", *numbers, "--negative", "blur", "--out", "b.mp4")
    [spec] = stand_in.rendered
    assert out == f"{tmp_path / 'b.mp4'}\n"
    assert (spec.prompt, spec.negative_prompt, spec.seed, spec.frames) == ("a red circle", "blur", 9, 6)
    assert (spec.width, spec.height, spec.steps, spec.guidance_scale) == (64, 128, 3, 4.5)


def test_flags_in_the_prompt_win_over_the_options(stand_in: StandInEngine) -> None:
    run("a red circle --seed 9 --no blur, text", "--seed", "3", "--frames", "6")
    [spec] = stand_in.rendered
    assert (spec.prompt, spec.negative_prompt, spec.seed, spec.frames) == ("a red circle", "blur, text", 9, 6)


@pytest.mark.django_db
def test_a_style_of_the_operators_is_put_around_the_prompt(stand_in: StandInEngine) -> None:
    Style.objects.update_or_create(name="clay", defaults={"label": "C", "words": "clay {prompt}", "negative": "fur"})
    run("a cat --no text", "--style", "clay")
    run("a cat --style clay")
    assert [(spec.prompt, spec.negative_prompt) for spec in stand_in.rendered] == [
        ("clay a cat", "text, fur"),
        ("clay a cat", "fur"),
    ]
    with pytest.raises(CommandError, match=r"^--style must be .*none, not glass\.$"):
        run("a cat", "--style", "glass")


@pytest.mark.parametrize(
    ("prompt", "complaint"),
    [
        ("a red circle --sede 9", "There is no flag --sede. Did you mean --seed?"),
        ("a red circle --steps 101", "--steps must be a whole number from 1 to 100, not 101."),
        ("a red circle x2", "x2 asks for several videos; here it is one at a time."),
        ("x" * 4097 + " --seed 9", "A prompt may have 4096 characters; this one has 4106."),
    ],
)
def test_a_slip_in_a_flag_of_the_prompt_is_explained(prompt: str, complaint: str, stand_in: StandInEngine) -> None:
    with pytest.raises(CommandError) as refusal:
        run(prompt)
    assert str(refusal.value) == complaint
    assert stand_in.rendered == []


@pytest.mark.parametrize(
    ("arguments", "preset", "steps"),
    [([], "exact", 4), (["--preset", "balanced"], "balanced", 2), (["--preset", "draft", "--steps", "7"], "draft", 7)],
)
def test_a_preset_decides_how_it_is_made_and_is_written_into_the_file(
    arguments: list[str], preset: str, steps: int, stand_in: StandInEngine
) -> None:
    out, err = run("a red circle", *arguments)
    [spec] = stand_in.rendered
    assert (spec.preset, spec.steps) == (preset, steps)
    assert f"preset {preset}, {steps} steps" in err
    with av.open(out.strip()) as container:
        facts = json.loads(container.metadata["comment"])
    assert (facts["preset"], facts["steps"]) == (preset, steps)


def test_the_same_seed_makes_the_same_file() -> None:
    digests = set()
    for name in ("a.mp4", "b.mp4"):
        out, _ = run("a red circle", "--seed", "3", "--out", name)
        digests.add(hashlib.sha256(Path(out.strip()).read_bytes()).hexdigest())
    assert len(digests) == 1


@pytest.mark.parametrize("prompt", ["../../etc/passwd", "a/b\\c", "--", "$(touch x); `y`", "x" * 4000, "猫\u202e"])
def test_nothing_of_the_prompt_becomes_a_name(prompt: str, tmp_path: Path) -> None:
    run("--seed=1", "--", prompt)
    [path] = tmp_path.iterdir()
    assert set(path.name) <= set("video-0123456789-seed.mp4")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--frames", "0"], "frames must be a whole number from 1 to 32, not 0"),
        (["--frames", "many"], "frames must be a whole number from 1 to 32, not many"),
        (["--steps", "101"], "steps must be a whole number from 1 to 100, not 101"),
        (["--size", "65x64"], "width must be a multiple of 8 from 64 to 576, not 65"),
        (["--size", "64x9000"], "height must be a multiple of 8 from 64 to 576, not 9000"),
        (["--size", "64"], "--size must look like 64x64, not '64'"),
        (["--size", "axb"], "width must be a multiple of 8"),
        (["--guidance", "nan"], "guidance_scale must be a number from 1 to 30, not nan"),
        (["--guidance", "warm"], "guidance_scale must be a number from 1 to 30, not warm"),
        (["--seed", "-1"], "seed must be a whole number from 0 to 2147483647, not -1"),
        (["--seed", "2147483648"], "seed must be a whole number from 0 to 2147483647"),
        (["--preset", "quick"], "preset must be exact, balanced, fast or draft, not quick."),
        (["--preset", ""], "preset must be exact, balanced, fast or draft, not ."),
        (["--out", "nowhere/a.mp4"], "the folder nowhere does not exist"),
        (["--out", "."], "is a folder"),
    ],
)
def test_a_wrong_value_is_refused_with_the_legal_range(
    arguments: list[str], complaint: str, stand_in: StandInEngine, tmp_path: Path
) -> None:
    with pytest.raises(CommandError) as refusal:
        run("a red circle", *arguments)
    assert complaint in str(refusal.value)
    assert stand_in.rendered == [], "found out before rendering"
    assert list(tmp_path.iterdir()) == []


def test_an_empty_prompt_is_refused() -> None:
    with pytest.raises(CommandError, match="no text"):
        run(" \u200b ")


@pytest.mark.parametrize(
    ("error", "complaint"),
    [
        (CheckpointError(["a.pth: truncated", "b.bin: missing"]), "a.pth: truncated\nb.bin: missing"),
        (EngineError("There is no device cuda:3.", public_reason=""), "There is no device cuda:3."),
    ],
)
def test_a_model_that_cannot_be_loaded_is_explained(
    error: Exception, complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: str) -> None:
        raise error

    monkeypatch.setattr(generate, "load_engine", broken)
    with pytest.raises(CommandError) as refusal:
        run("a red circle")
    assert complaint in str(refusal.value)


def test_ctrl_c_ends_it_in_one_line(stand_in: StandInEngine, tmp_path: Path) -> None:
    def press(done: int) -> None:
        raise KeyboardInterrupt

    stand_in.before_step = press
    with pytest.raises(CommandError, match="Stopped") as stop:
        run("a red circle")
    assert stop.value.returncode == 130
    assert list(tmp_path.iterdir()) == []


def test_what_the_model_cannot_read_is_said() -> None:
    _, err = run(" ".join(["word"] * 77 + ["lost"]))
    assert "it did not see: lost" in err
