"""One video without queue or chat: what the worker does, on the command line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error as DatabaseError
from django.utils import timezone

from generations import flags, prompts, styles
from generations.engine import load_engine
from generations.engine.base import EXACT, CheckpointError, EngineError, VideoSpec, render_one
from generations.engine.card import InvalidSpec, ModelCard, read_card
from generations.engine.presets import PRESETS
from generations.engine.video import write_video
from generations.models import Generation
from generations.served import served_model
from generations.services import random_seed


class Command(BaseCommand):
    help = "Make one video from a prompt and print its path. Progress goes to standard error."

    def add_arguments(self, parser: CommandParser) -> None:
        # Ranges are checked against the model's own card below, so that the error can name them.
        parser.add_argument("prompt", help="may hold flags as in the chat, which win over these options")
        parser.add_argument("--negative", default="", metavar="TEXT", help="what not to show")
        parser.add_argument("--seed", metavar="N", help="default: random; it is shown")
        parser.add_argument("--frames", metavar="N")
        parser.add_argument("--size", metavar="WxH", help="pixels, as rendered")
        parser.add_argument("--steps", metavar="N")
        parser.add_argument("--guidance", metavar="X")
        parser.add_argument(
            "--preset", metavar="NAME", help=f"{', '.join(PRESETS)} (with TURBO_LORA only); default: exact"
        )
        parser.add_argument("--style", metavar="NAME", help="one of the operators' styles, also one not on offer")
        parser.add_argument("--out", type=Path, metavar="FILE", help="default: a new name in this folder")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            card = read_card(served_model(), turbo=bool(settings.TURBO_LORA))
            spec = spec_from(options, card)
            target = target_from(options["out"], spec)
            engine = load_engine(served_model(), settings.DEVICE, settings.TURBO_LORA, settings.ENGINE_ACCELERATION)
            frames = render_one(engine, spec, self.show_progress)
            facts = {**asdict(spec), "model": card.name, "licence": card.licence}
            video = write_video(frames, target, spec.fps, upscale=card.upscale, metadata=facts)
            ignored = engine.ignored_text(spec.prompt)
        except (prompts.PromptRefused, InvalidSpec) as error:
            raise CommandError(str(error)) from error
        except CheckpointError as error:
            raise CommandError("\n".join(["The model folder cannot be used:", *error.problems])) from error
        except EngineError as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            raise CommandError("Stopped; no video was written.", returncode=130) from None
        if ignored:
            self.tell(f"The model reads only the beginning; it did not see: {ignored}")
        made = f"seed {spec.seed}, preset {spec.preset}, {spec.steps} steps"
        self.tell(f"{made}, {video.frames} frames, {video.width}x{video.height}, {video.duration:g} s")
        self.stdout.write(str(video.path))

    def show_progress(self, done: int, total: int) -> None:
        # One line that moves on a terminal, ten lines in a log.
        if self.stderr.isatty():
            self.tell(f"\rstep {done} of {total}", ending="" if done < total else "\n")
        elif done * 10 // total > (done - 1) * 10 // total:
            self.tell(f"step {done} of {total}")

    def tell(self, text: str, ending: str = "\n") -> None:
        # Django's own style for this stream is the red of errors.
        self.stderr.write(text, str, ending)
        self.stderr.flush()


def spec_from(options: dict[str, Any], card: ModelCard) -> VideoSpec:
    prompt, typed = flags.parse(prompts.clean(options["prompt"]))
    preset = EXACT if options["preset"] is None else options["preset"]
    changes: dict[str, Any] = {"negative_prompt": options["negative"], "preset": preset}
    for option, setting, kind in (
        ("frames", "frames", int),
        ("steps", "steps", int),
        ("guidance", "guidance_scale", float),
    ):
        if options[option] is not None:
            changes[setting] = number(options[option], kind)
    if options["size"] is not None:
        width, separator, height = options["size"].lower().partition("x")
        if not separator:
            raise CommandError(f"--size must look like {card.width}x{card.height}, not {options['size']!r}.")
        changes |= {"width": number(width, int), "height": number(height, int)}
    seed = random_seed() if options["seed"] is None else number(options["seed"], int)
    try:
        # What is no number stays text, and the card refuses it with the legal range.
        spec = card.spec(prompt, **{"seed": seed, **changes, **flags.values(flags.single(typed), card)})
    except InvalidSpec as error:
        raise flags.as_typed(error, typed) from error
    name = typed.get("style", options["style"])
    return spec if name is None else styled(spec, name)


def styled(spec: VideoSpec, name: str) -> VideoSpec:
    try:
        styling = styles.styling(name, styles.existing())
    except DatabaseError as error:
        raise CommandError(f"Styles are kept in the database, which cannot be read: {error}") from error
    return Generation(**vars(spec), **vars(styling)).spec()


def number(text: object, kind: Callable[[Any], float]) -> object:
    try:
        return kind(text)
    except ValueError:
        return text


def target_from(out: Path | None, spec: VideoSpec) -> Path:
    """The file to write. Nothing of the prompt becomes part of a name."""
    if out is None:
        return Path.cwd() / f"video-{timezone.localtime():%Y%m%d-%H%M%S}-seed{spec.seed}.mp4"
    # Found out now, not after minutes of rendering.
    if out.is_dir():
        raise CommandError(f"--out must name a file; {out} is a folder.")
    if not out.parent.is_dir():
        raise CommandError(f"--out: the folder {out.parent} does not exist.")
    return out.resolve()
