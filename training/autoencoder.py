"""Stage 1: ModelScope's AutoencoderKL on single frames, then folded so that ModelScope's own latent factor fits."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from training.progress import Stage, cosine, set_rate
from training.threads import Threads
from training.upstream import LATENT_SCALE, Network, build_autoencoder, device, short_floats
from training.world import FULL, SIDE, World, draw, path, random_scene

# Without noise on the latents, weak latent dimensions carry detail that the UNet could never hit.
LATENT_NOISE = 0.15
# Likewise for a folded model, on the UNet's scale, where every latent is about 1 wide.
FOLDED_NOISE = 0.04
# The object is a tenth of the picture; its pixels and its rim decide what people see.
OBJECT_WEIGHT = 4.0


def random_frames(random: torch.Generator, count: int, crop: int = SIDE, world: World = FULL) -> torch.Tensor:
    """Return single frames (count, 3, crop, crop), cropped near the object when crop < 64."""
    frames = []
    for _ in range(count):
        scene = random_scene(random, world)
        index = int(torch.randint(16, (), generator=random))
        place = path(scene)[index : index + 1]
        frame = draw(place, scene.shape, scene.colour, scene.background)[0]
        if crop < SIDE:
            x, y, _size, _turn = place[0].tolist()
            shift = torch.randint(-12, 13, (2,), generator=random).tolist()
            left = min(max(int(x) - crop // 2 + shift[0], 0), SIDE - crop)
            top = min(max(int(y) - crop // 2 + shift[1], 0), SIDE - crop)
            frame = frame[:, top : top + crop, left : left + crop]
        frames.append(frame)
    return torch.stack(frames)


def pixel_weight(frames: torch.Tensor) -> torch.Tensor:
    """(n, 3, s, s) -> (n, 1, s, s): OBJECT_WEIGHT on the object and two pixels around it, 1 elsewhere, mean 1.

    The object is what differs from the frame's most frequent colour, which is taken as the background.
    """
    background = frames.flatten(2).mode(dim=2).values[:, :, None, None]
    lit = ((frames - background).abs().amax(dim=1, keepdim=True) > 0.05).float()
    weight = 1 + (OBJECT_WEIGHT - 1) * F.max_pool2d(lit, 5, stride=1, padding=2)
    return weight / weight.mean()


def psnr(model: Network, frames: torch.Tensor) -> float:
    """Decibels after a round trip, full range 2."""
    with torch.no_grad():
        back = model.decode(model.encode(frames).mode()).clamp(-1, 1)
    return float(10 * torch.log10(4 / (back - frames).square().mean()))


def fold(model: Network, frames: torch.Tensor) -> torch.Tensor:
    """Rotate, centre and scale the latents inside quant_conv and post_quant_conv; return the latents' deviations.

    Afterwards latents * 0.18215 have a deviation of at most 1 in every dimension, without blowing up weak dimensions
    (which hold noise): ModelScope's schedule then meets the data it expects.
    """
    with torch.no_grad():
        z = torch.cat([model.encode(part).mode() for part in frames.split(64)])
        flat = z.permute(1, 0, 2, 3).reshape(4, -1).double()
        mean = flat.mean(dim=1)
        values, vectors = torch.linalg.eigh(torch.cov(flat))
        scale = (values + 0.25).sqrt() * LATENT_SCALE
        # u = forward @ (z - mean); z = back @ u + mean
        forward = (vectors / scale).T
        back = vectors * scale
        quant, post = model.quant_conv, model.post_quant_conv
        weight, bias = quant.weight.double()[:4, :, 0, 0], quant.bias.double()[:4]
        quant.weight[:4, :, 0, 0] = (forward @ weight).float()
        quant.bias[:4] = (forward @ (bias - mean)).float()
        # The spread of the posterior is never used: a small constant.
        quant.weight[4:] = 0
        quant.bias[4:] = -12
        weight, bias = post.weight.double()[:, :, 0, 0].clone(), post.bias.double().clone()
        post.weight[:, :, 0, 0] = (weight @ back).float()
        post.bias[:] = (weight @ mean + bias).float()
        return (values / (values + 0.25)).sqrt()


def train_autoencoder(
    run: Path,
    seed: int,
    seconds: float,
    start: dict[str, torch.Tensor] | None = None,
    world: World = FULL,
) -> Network:
    """Train or resume; return the folded model in evaluation mode.

    start: the state of a released, folded model, to go on from. It is not folded again: the latents of what it already
    knew stay about where they were, so that a UNet made for them can go on too.
    """
    done = run / "autoencoder_folded.pt"
    model = build_autoencoder().to(device())
    if done.exists():
        model.load_state_dict(torch.load(done, map_location=device(), weights_only=True))
        return model.eval().requires_grad_(False)
    torch.manual_seed(seed)
    model = build_autoencoder().to(device())
    # Ties a cell's latent to its mean colour: without it, flat colours drift (measured: red came out salmon).
    colour_head = nn.Conv2d(4, 3, 1).to(device())
    everything = nn.ModuleList([model, colour_head])
    optimiser = torch.optim.AdamW(everything.parameters(), lr=1e-3, betas=(0.9, 0.98), weight_decay=1e-4, fused=True)
    stage = Stage(run, "autoencoder", seconds)
    if state := stage.load():
        everything.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
    elif start:
        model.load_state_dict(start)
    random = torch.Generator().manual_seed(seed * 1_000_003 + stage.step)
    test = random_frames(torch.Generator().manual_seed(seed + 17), 12, world=world).to(device())
    threads = Threads(torch.get_num_threads())
    while stage.progress < 1:
        threads.adapt()
        progress = stage.progress
        set_rate(optimiser, cosine(progress, 1.0e-3 if start else 1.5e-3))
        frozen = progress > 0.8
        crops, whole = (12, 4) if start else (24, 8)
        frames = random_frames(random, *((crops, 32) if progress < 0.45 else (whole, SIDE)), world)
        frames = frames.to(device())
        with torch.set_grad_enabled(not frozen), short_floats():
            moments = model.quant_conv(model.encoder(frames))
        z = moments[:, :4].float()
        # A folded model's latents are 1 / LATENT_SCALE times as wide as the UNet's; 2 is as far out as it should meet.
        wide = (z * LATENT_SCALE).abs().sub(2).clamp(min=0).square().mean() if start else z.new_zeros(())
        noise = FOLDED_NOISE / LATENT_SCALE if start else LATENT_NOISE
        z = z + noise * torch.randn(z.shape, generator=random).to(z.device)
        with short_floats():
            back = model.decode(z)
        back = back.float()
        error = back - frames
        weight = pixel_weight(frames)
        picture = (weight * (error.abs() + 2 * error.square())).mean()
        colour = (colour_head(z * (LATENT_SCALE if start else 0.25)) - F.avg_pool2d(frames, 8)).square().mean()
        loss = picture + colour + wide
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(everything.parameters(), 1.0)
        optimiser.step()
        stage.step += 1
        if stage.step == 20 or stage.log_every(40):
            stage.log(f"loss {loss.item():.4f} (picture {picture.item():.4f}), {psnr(model, test):.2f} dB")
        if stage.due():
            stage.save(model=everything.state_dict(), optimiser=optimiser.state_dict())
    stage.save(model=everything.state_dict(), optimiser=optimiser.state_dict())
    model.eval().requires_grad_(False)
    before = psnr(model, test)
    if start:
        stage.log(f"done: {before:.2f} dB")
    else:
        spread = fold(model, random_frames(random, 512 if seconds > 60 else 64, world=world).to(device()))
        widths = ", ".join(f"{width:.3f}" for width in spread.tolist())
        stage.log(f"done: {before:.2f} dB, folded {psnr(model, test):.2f} dB, latent deviations {widths}")
    # It ships in half precision: the UNet learns the latents that the shipped weights make.
    model.half().float()
    torch.save(model.state_dict(), done)
    return model
