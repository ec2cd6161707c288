"""What people may write for a scene: many phrasings, so that the text tower does not learn one sentence by heart."""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch

from training.world import BACKGROUNDS, COLOURS, MOTIONS, SHAPES, SIZES, Scene

# Each reads after "a red circle". HELD_OUT phrasings are never trained on; they test whether other wordings work.
MOTION_PHRASES: dict[str, tuple[str, ...]] = {
    "left": (
        "moving left",
        "moving to the left",
        "going left",
        "sliding to the left",
        "that moves left",
        "drifting left",
        "moves to the left",
        "flying left",
        "travelling from right to left",
        "rolling left",
        "slides left",
        "moving from right to left",
        "heading left",
        "goes to the left side",
        "traveling left",
        "moving leftwards",
    ),
    "right": (
        "moving right",
        "moving to the right",
        "going right",
        "sliding to the right",
        "that moves right",
        "drifting right",
        "moves to the right",
        "flying right",
        "travelling from left to right",
        "rolling right",
        "slides right",
        "moving from left to right",
        "heading right",
        "goes to the right side",
        "traveling right",
        "moving rightwards",
    ),
    "up": (
        "moving up",
        "going up",
        "rising",
        "moving upwards",
        "that moves up",
        "flying up",
        "floating up",
        "goes up",
        "rising to the top",
        "climbing",
        "moves up",
        "sliding up",
        "moving from bottom to top",
        "ascending",
        "floating upwards",
        "lifting off",
    ),
    "down": (
        "moving down",
        "going down",
        "falling",
        "moving downwards",
        "that moves down",
        "dropping",
        "sinking",
        "goes down",
        "falling to the bottom",
        "descending",
        "moves down",
        "sliding down",
        "moving from top to bottom",
        "falling down",
        "that falls",
        "floating down",
    ),
    "grow": (
        "growing",
        "getting bigger",
        "that grows",
        "growing bigger",
        "becoming larger",
        "expanding",
        "getting larger",
        "inflating",
        "coming closer",
        "that gets bigger",
        "becoming bigger",
        "growing larger",
        "swelling",
        "zooming in",
    ),
    "shrink": (
        "shrinking",
        "getting smaller",
        "that shrinks",
        "shrinking away",
        "becoming smaller",
        "contracting",
        "deflating",
        "going away",
        "that gets smaller",
        "becoming tiny",
        "growing smaller",
        "fading into the distance",
        "zooming out",
        "shrinks",
    ),
    "spin": (
        "spinning",
        "rotating",
        "turning",
        "spinning around",
        "that spins",
        "turning around",
        "whirling",
        "twirling",
        "spinning in place",
        "that rotates",
        "revolving",
        "that is turning",
        "rotating clockwise",
        "turning in place",
        "spins",
    ),
    "bounce": (
        "bouncing",
        "bouncing up and down",
        "that bounces",
        "jumping",
        "jumping up and down",
        "hopping",
        "bounces",
        "bouncing on the ground",
        "that jumps",
        "bouncing like a ball",
        "moving up and down",
        "hopping up and down",
        "jumps",
    ),
    "still": (
        "",
        "standing still",
        "that stays still",
        "not moving",
        "staying in place",
        "resting",
        "that does not move",
        "standing in the middle",
        "motionless",
        "in the centre",
        "in the center",
        "sitting still",
        "stationary",
        "that stands still",
        "",
        "",
    ),
}
HELD_OUT_PHRASES: dict[str, tuple[str, ...]] = {
    "left": ("sliding left", "floating to the left"),
    "right": ("sliding right", "floating to the right"),
    "up": ("rising up", "travelling up"),
    "down": ("travelling down", "sinking to the bottom"),
    "grow": ("growing in size", "that is getting bigger"),
    "shrink": ("shrinking in size", "that is getting smaller"),
    "spin": ("that is spinning", "rotating in place"),
    "bounce": ("that is bouncing", "hopping on the ground"),
    "still": ("staying still", "that is standing still"),
}
COLOUR_WORDS: dict[str, tuple[str, ...]] = {
    "red": ("red",) * 4 + ("bright red",),
    "orange": ("orange",) * 4 + ("bright orange",),
    "yellow": ("yellow",) * 4 + ("bright yellow",),
    "green": ("green",) * 4 + ("bright green",),
    "blue": ("blue",) * 4 + ("bright blue",),
    "purple": ("purple",) * 3 + ("violet", "bright purple"),
    "pink": ("pink",) * 4 + ("bright pink",),
    "white": ("white",) * 5,
}
SHAPE_WORDS: dict[str, tuple[str, ...]] = {
    "circle": ("circle", "circle", "circle", "ball", "ball", "disc", "dot"),
    "square": ("square", "square", "square", "square", "box", "block"),
    "triangle": ("triangle",),
    "star": ("star",),
}
# Nothing said means black; every other background is always said.
BACKGROUND_WORDS: dict[str, tuple[str, ...]] = {
    "black": ("black",),
    "white": ("white",),
    "gray": ("gray", "grey"),
    "navy": ("navy", "navy", "navy blue", "dark blue"),
}
BACKGROUND_PHRASES = (
    "on a {} background", "on a {} background", "on a {} background", "on {}", "against a {} background", "over {}",
    "in front of a {} background", "with a {} background", "against {}", "on a {} backdrop", "on the {} background",
)  # fmt: skip
BLACK_PHRASES = ("in the dark", "in space", "at night")
# Nothing said means medium.
SIZE_WORDS: dict[str, tuple[str, ...]] = {
    "small": ("small", "small", "little", "tiny"),
    "medium": ("medium", "medium-sized"),
    "large": ("big", "big", "large", "huge", "giant"),
}
OPENINGS = (
    "", "", "", "", "", "", "a video of", "show me", "please show me", "could you show me", "can you make", "make",
    "draw", "i want to see", "an animation of", "a clip of", "generate", "create a video of", "please draw", "animate",
    "give me", "hello, please make", "make a video of", "hey, show", "i would like", "an image of", "a short film of",
)  # fmt: skip
ENDINGS = (
    "", "", "", "", "", "", "", "", ".", "!", " please", ", please", " slowly", " quickly", " across the screen",
    ", thanks", "?", " now", " for me", " smoothly", " forever", ", thank you", " today",
)  # fmt: skip
# {background} is empty where nothing is said.
FRAMES = (
    "{a} {size} {colour} {shape} {motion} {background}",
    "{a} {size} {colour} {shape} {motion} {background}",
    "{a} {size} {colour} {shape} {motion} {background}",
    "{a} {size} {colour} {shape} {background} {motion}",
    "{a} {size} {colour} {shape} is {motion} {background}",
    "{size} {colour} {shape} {motion} {background}",
    "{a} {size} {shape} {motion} {background}, {colour}",
    "{a} {size} {shape} that is {colour}, {motion} {background}",
    "{motion}: {a} {size} {colour} {shape} {background}",
    "{background} {a} {size} {colour} {shape} {motion}",
)
FILLERS = ("nice", "cute", "flat", "simple", "solid", "shiny", "lovely", "single")
VOID = "?"


ASPECTS = ("colour", "shape", "motion", "background", "size")
CLASSES: dict[str, tuple[str, ...]] = {
    "colour": tuple(COLOURS),
    "shape": SHAPES,
    "motion": MOTIONS,
    "background": tuple(BACKGROUNDS),
    "size": tuple(SIZES),
}


@dataclass(frozen=True)
class Caption:
    """A prompt and what it says; VOID where it says nothing about the colour or the shape."""

    text: str
    colour: str
    shape: str
    motion: str
    background: str = "black"
    size: str = "medium"

    @property
    def labels(self) -> tuple[int, ...]:
        """Index into each of CLASSES, in the order of ASPECTS; -1 where the prompt says nothing."""
        said = [(CLASSES[aspect], getattr(self, aspect)) for aspect in ASPECTS]
        return tuple(names.index(word) if word in names else -1 for names, word in said)


def caption(
    scene: Scene, random: torch.Generator, *, omit: float = 0.0, plain: bool = False, held_out: bool = False
) -> Caption:
    """Describe a scene. omit: chance, per word, to leave out the colour or the shape. plain: no filler around it."""

    def pick(choices: tuple[str, ...]) -> str:
        return choices[int(torch.randint(len(choices), (), generator=random))]

    def chance(share: float) -> bool:
        return bool(torch.rand((), generator=random) < share)

    colour, shape = pick(COLOUR_WORDS[scene.colour]), pick(SHAPE_WORDS[scene.shape])
    said_colour, said_shape = scene.colour, scene.shape
    if chance(omit):
        colour, said_colour = "", VOID
    elif chance(omit):
        shape, said_shape = pick(("shape", "thing", "object")), VOID
    motion = pick((HELD_OUT_PHRASES if held_out else MOTION_PHRASES)[scene.motion])
    size = pick(SIZE_WORDS[scene.size]) if scene.size != "medium" or chance(0.08) else ""
    if not plain and chance(0.12):
        size = f"{size} {pick(FILLERS)}".strip()
    background = ""
    if scene.background != "black" or chance(0.3):
        background = pick(BACKGROUND_PHRASES).format(pick(BACKGROUND_WORDS[scene.background]))
        if scene.background == "black" and chance(0.3):
            background = pick(BLACK_PHRASES)
    template = FRAMES[0] if plain else pick(FRAMES)
    if motion.split(" ")[0] in _NO_PARTICIPLE:
        template = template.replace(" is {motion}", " {motion}").replace("{motion}: ", "")
        if "{motion}" not in template:
            template += " {motion}"
    if background and template.startswith("{background}"):
        background += ","
    article = pick(("a", "a", "a", "the", "one"))
    text = template.format(a=article, size=size, colour=colour, shape=shape, motion=motion, background=background)
    if not plain:
        text = f"{pick(OPENINGS)} {text}{pick(ENDINGS)}"
    text = re.sub(r"\ba (?=[aeiou])", "an ", " ".join(text.split()))
    text = text.replace(" ,", ",").replace(" .", ".").replace(" !", "!").strip(" ,")
    if not plain and chance(0.3):
        text = text[0].upper() + text[1:]
    elif not plain and chance(0.08):
        text = text.upper()
    return Caption(text, said_colour, said_shape, scene.motion, scene.background, scene.size)


# Phrases that cannot follow "is", or stand before a colon.
_NO_PARTICIPLE = ("", "that", "moves", "slides", "goes", "jumps", "bounces", "shrinks", "spins")
