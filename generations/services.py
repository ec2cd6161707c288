"""The only doors that create or stop work. Each validates, runs one transaction, and rings RQ after the commit."""

from __future__ import annotations

import functools
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

import redis
from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from generations import (
    attendance,
    audit_log,
    flags,
    groups,
    language,
    limits,
    preferences,
    prompts,
    reviewing,
    rules,
    styles,
    tasks,
)
from generations.engine.base import MAX_SEED, EngineError, VideoSpec
from generations.engine.card import InvalidSpec, ModelCard, read_card
from generations.models import (
    UNFINISHED,
    AskedPrompt,
    Delivery,
    Entitlement,
    Generation,
    GenerationEvent,
    Group,
    Policy,
    Requester,
    Rule,
    Status,
    Style,
    entitlement,
)
from generations.served import served_model

Operator = AbstractBaseUser


class Asked(Exception):
    """Not queued: the prompt waits for its person's word, under this number. See asked.py."""

    def __init__(self, pk: int) -> None:
        super().__init__(f"asked {pk}")
        self.pk = pk


# Everything by which submit() says no to a person. EngineError: the model folder cannot be read.
Refusal = prompts.PromptRefused | limits.LimitReached | InvalidSpec | EngineError
REFUSALS = (prompts.PromptRefused, limits.LimitReached, InvalidSpec, EngineError)


# Chosen in a menu or typed behind --style.
NO_STYLE = styles.NONE


class Gone(Exception):
    """There is no such generation, or no longer."""


class NotYours(Exception):
    """Somebody else asked for it."""


@dataclass(frozen=True)
class Person:
    """Who asks, as the chat network tells it."""

    user_id: int
    display_name: str = ""
    username: str = ""
    language_code: str = ""


@dataclass(frozen=True)
class Place:
    """Where the answer goes."""

    chat_id: int
    thread_id: int | None = None
    prompt_message_id: int | None = None
    # Whoever asked announces the job itself first; a result that is faster waits for that, until then at most.
    deliver_after: datetime | None = None


@dataclass(frozen=True)
class Request:
    """One prompt as it came. The same request_key is the same request."""

    person: Person
    prompt: str
    request_key: str
    place: Place | None = None
    seed: int | None = None
    # None: the policy's default.
    preset: str | None = None
    # Other parameters of engine.base.VideoSpec.
    changes: Mapping[str, Any] = field(default_factory=dict)
    # None: the person's own.
    styling: styles.Styling | None = None
    # Flags in the prompt are read, and the person's settings count. False: prompt and changes say everything.
    as_typed: bool = True
    # The row that it repeats or varies.
    parent_id: int | None = None
    # What the model is to read in place of the prompt.
    translation: str = ""
    # The title of the group that it comes from, where that is known.
    group: str = ""
    # Somebody is there to be asked before a prompt is queued that the model will hardly understand.
    may_ask: bool = False


@dataclass(frozen=True)
class Order:
    """What one request comes to: as many clips as it wants, in one style."""

    specs: list[VideoSpec]
    styling: styles.Styling


@dataclass(frozen=True)
class Shortfall:
    """More results were asked for than fitted in. The refusal is without a time: by then it would be another one."""

    asked: int
    accepted: int
    refusal: limits.LimitReached


def greeting() -> str:
    """The operator's answer to a person who says hello."""
    return Policy.current().greeting


def operators_chat() -> int | None:
    """Where operators are told things together; None: each in private."""
    return Policy.current().operators_chat_id


def model_card() -> ModelCard:
    """The card of the model that this installation serves. Reads one small file, never weights."""
    return read_card(served_model(), turbo=bool(settings.TURBO_LORA))


def reactions_wanted() -> bool:
    """Is an accepted prompt to get a reaction besides its answer?"""
    return Policy.current().reactions


def nobody_renders() -> bool:
    """Do prompts wait with no worker to take them? No, while that is not known."""
    try:
        return attendance.is_missing()
    except redis.RedisError:
        return False


def submit(
    person: Person,
    prompt: str,
    *,
    request_key: str,
    place: Place | None = None,
    seed: int | None = None,
    preset: str | None = None,
    **changes: Any,
) -> Generation:
    """Accept a prompt: one committed row, queued or held for review. The same request_key returns the same row.

    Flags in the prompt win over the arguments, and these over the person's settings. With x2 to x4 there are as many
    rows, with seeds that follow each other, and the first is returned; see shortfall().
    Raises PromptRefused, InvalidSpec or LimitReached, and then nothing is stored.
    """
    [outcome] = submit_all([Request(person, prompt, request_key, place, seed, preset, changes)])
    if isinstance(outcome, Generation):
        return outcome
    raise outcome


def submit_all(requests: Sequence[Request]) -> list[Generation | Refusal | Asked]:
    """Accept or refuse prompts one after the other, in one transaction. What submit() would return or raise for each.

    A flood costs little that way: the questions that every prompt asks the database are asked once for all of them.
    """
    policy = Policy.current()
    asked = _orders(requests, policy)
    sound = [request for request, order in zip(requests, asked, strict=True) if isinstance(order, Order)]
    block_list = rules.enabled()
    outcomes: list[Generation | Refusal | Asked] = []
    created: list[Generation] = []
    with transaction.atomic():
        # The locks make limits count one message after the other (SQLite: the transaction itself is the only writer).
        requesters = remember_all([request.person for request in sound], policy)
        keys = [request.request_key for request in sound]
        known = {row.request_key: row for row in Generation.objects.filter(request_key__in=keys)}
        places = ((request.place, request.group) for request in sound)
        # A negative number is a group's.
        found = groups.locked({place.chat_id: title for place, title in places if place and place.chat_id < 0})
        counts = limits.Counts(requesters.values(), policy, found)
        for request, order in zip(requests, asked, strict=True):
            if not isinstance(order, Order):
                outcomes.append(order)
                continue
            if request.request_key not in known:
                requester, parent = requesters[request.person.user_id], request.parent_id
                met = _rules_met(block_list, request, order)
                if (blocking := _blocking(met)) is not None:
                    outcomes.append(blocking)
                    continue
                if _must_ask(request, order.specs[0].prompt, policy):
                    outcomes.append(_ask(request, requester, counts))
                    continue
                group = found.get(request.place.chat_id) if request.place else None
                held = any(rule.action == Rule.Action.HOLD for rule in met)
                mode = reviewing.mode_for(requester, group, policy)
                lane = requester.entitlement(policy).priority
                own = {"parent_id": parent, "translated_prompt": request.translation, **_flags(met), "priority": lane}
                rows = [
                    _new(requester, key, mode=mode, held=held, place=place, **own, **vars(spec), **vars(order.styling))
                    for spec, key, place in _each(request, order.specs)
                ]
                accepted, refusal = _fitting(rows, counts)
                rows[0].results = len(accepted) or 1
                created += accepted
                if not accepted and refusal is not None:
                    outcomes.append(refusal)
                    continue
                known[request.request_key] = accepted[0]
            outcomes.append(known[request.request_key])
        _create(created, actor="requester")
    return outcomes


def _rules_met(block_list: Sequence[Rule], request: Request, order: Order) -> list[Rule]:
    spec = order.specs[0]
    return rules.matching(block_list, (request.prompt, spec.prompt, request.translation, spec.negative_prompt))


def _blocking(met: Sequence[Rule]) -> limits.LimitReached | None:
    for rule in met:
        if rule.action == Rule.Action.BLOCK:
            return limits.LimitReached("blocked", reason=rule.reason)
    return None


def _flags(met: Sequence[Rule]) -> dict[str, Any]:
    return {"flagged": bool(met), "rules": [rule.name for rule in met]}


def _each(request: Request, specs: Sequence[VideoSpec]) -> Iterator[tuple[VideoSpec, str, Place | None]]:
    """The rows of one request: only the first is announced, so only its result has something to wait for."""
    place, key = request.place, request.request_key
    for number, spec in enumerate(specs, 1):
        yield spec, key, place
        place = replace(place, deliver_after=None) if place else None
        key = f"{request.request_key}/{number + 1}"


def _fitting(rows: Sequence[Generation], counts: limits.Counts) -> tuple[list[Generation], limits.LimitReached | None]:
    """As many of them as the limits allow, the first of which remembers how many do not, and why."""
    for number, row in enumerate(rows):
        try:
            counts.check(row.requester, row.chat_id)
        except limits.LimitReached as refusal:
            if number:
                why = {"rule": refusal.rule, "limit": refusal.limit, "reason": refusal.reason}
                rows[0].shortfall = {"asked": len(rows), "accepted": number, "why": why}
            return list(rows[:number]), refusal
        counts.add(row)
    return list(rows), None


def _must_ask(request: Request, prompt: str, policy: Policy) -> bool:
    """prompt: without its flags."""
    wanted = request.may_ask and policy.language_note and not request.translation
    return wanted and language.is_foreign(prompt) and model_card().english_only


def _ask(request: Request, requester: Requester, counts: limits.Counts) -> Asked | limits.LimitReached:
    """Keep it until its person decides. Not when it would be refused then."""
    assert request.place is not None, "nobody could be asked"
    known = AskedPrompt.objects.filter(request_key=request.request_key).first()
    if known is not None:
        return Asked(known.pk)
    try:
        counts.check(requester, request.place.chat_id)
        limits.asked_at_once(requester)
    except limits.LimitReached as refusal:
        return refusal
    row = AskedPrompt.objects.create(
        request_key=request.request_key,
        requester=requester,
        prompt=prompts.clean(request.prompt),
        wish={
            "seed": request.seed,
            "preset": request.preset,
            "changes": dict(request.changes),
            "parent_id": request.parent_id,
            "styling": None if request.styling is None else vars(request.styling),
        },
        chat_id=request.place.chat_id,
        thread_id=request.place.thread_id,
        prompt_message_id=request.place.prompt_message_id,
    )
    return Asked(row.pk)


def shortfall(generation: Generation) -> Shortfall | None:
    """What is missing of the results that were asked for together with this one, and why. None: nothing."""
    kept = generation.shortfall
    if not kept:
        return None
    return Shortfall(kept["asked"], kept["accepted"], limits.LimitReached(**kept["why"]))


def _orders(requests: Sequence[Request], policy: Policy) -> list[Order | Refusal]:
    """What each request comes to, or what is wrong with it."""
    try:
        card: ModelCard | EngineError = model_card()
    except EngineError as error:
        card = error
    people = {request.person.user_id for request in requests}
    special = {requester.user_id: requester for requester in preferences.with_their_own().filter(user_id__in=people)}
    # Most prompts name none, and a flood must not ask for each.
    offered = functools.cache(styles.offered)
    orders: list[Order | Refusal] = []
    for request in requests:
        try:
            orders.append(_order(request, policy, card, special.get(request.person.user_id), offered))
        except REFUSALS as refusal:
            orders.append(refusal)
    return orders


def _order(
    request: Request,
    policy: Policy,
    card: ModelCard | EngineError,
    requester: Requester | None,
    offered: Callable[[], Mapping[str, Style]],
) -> Order:
    """The prompt's own flags win over what comes with it, and that over the person's settings."""
    prompt, typed = prompts.clean(request.prompt), dict[str, str]()
    if request.as_typed:
        prompt, typed = flags.parse(prompt)
    if isinstance(card, EngineError):
        raise card
    entitled = entitlement_of(requester, policy)
    card, chosen = preferences.offered_card(card, entitled), preferences.Choices()
    if requester is not None and request.as_typed:
        chosen = preferences.choices_of(requester, preferences.offer(card, entitled, offered()))
    given = {**request.changes, **flags.values(typed, card)}
    for name in ("seed", "preset"):
        if getattr(request, name) is not None:
            given.setdefault(name, getattr(request, name))
    if request.as_typed:
        given = {**preferences.changes(chosen, given, card), **given}
        if policy.negative_prompt:
            given.setdefault("negative_prompt", policy.negative_prompt)
    try:
        given["preset"] = chosen_preset(given.get("preset"), entitled, card)
        first = card.spec(prompt, **{"seed": random_seed(), **given})
    except InvalidSpec as error:
        raise flags.as_typed(error, typed) from error
    styling = styles.Styling() if request.styling is None else request.styling
    if "style" in typed:
        styling = styles.styling(typed["style"], offered())
    elif request.as_typed and request.styling is None and chosen.style:
        styling = styles.styling(chosen.style, offered())
    number = int(typed.get(flags.RESULTS, 1))
    return Order([replace(first, seed=(first.seed + further) % (MAX_SEED + 1)) for further in range(number)], styling)


def rerun(
    generation: Generation,
    *,
    by: Operator,
    seed: int | Literal["same", "new"] = "new",
    prompt: str | None = None,
    **changes: Any,
) -> Generation:
    """Make a new row from an old one, with its parent; the answer goes to the same chat. History stays as it is.

    Flags in another prompt win over the other changes. Its style stays, in the words of that day, unless a flag names
    another.
    The preset stays unless it is among the changes; then the new one says how many steps, unless they are as well.
    Raises PromptRefused or InvalidSpec.
    """
    card, typed, styling = model_card(), dict[str, str](), styles.Styling.of(generation)
    chosen: Any = generation.seed if seed == "same" else random_seed() if seed == "new" else seed
    translation = generation.translated_prompt
    # What the row says was read before.
    if prompt is not None and prompt != generation.prompt:
        translation = ""
        prompt, typed = flags.parse(prompts.clean(prompt))
        said = flags.values(flags.single(typed), card)
        if "preset" in said:
            changes.pop("steps", None)
        changes, chosen = {**changes, **said, "prompt": prompt}, said.get("seed", chosen)
        if "style" in typed:
            styling = styles.styling(typed["style"], styles.existing())
    values = {**vars(generation.asked()), "prompt": generation.prompt, **changes, "seed": chosen}
    if values["preset"] != generation.preset and "steps" not in changes:
        del values["steps"]
    try:
        spec = card.spec(**values)
    except InvalidSpec as error:
        raise flags.as_typed(error, typed) from error
    place = None
    if generation.chat_id is not None:
        place = Place(generation.chat_id, generation.thread_id, generation.prompt_message_id)
    with transaction.atomic():
        key = f"rerun:{secrets.token_urlsafe(16)}"
        texts = (generation.prompt, spec.prompt, translation, spec.negative_prompt)
        met = rules.matching(rules.enabled(), texts)
        own = {"translated_prompt": translation, "parent": generation, "created_by": by, **_flags(met)}
        facts = {**vars(spec), **vars(styling), **own}
        # An operator wants it made, but nobody has seen it.
        group = None if place is None else Group.objects.filter(chat_id=place.chat_id).first()
        policy = Policy.current()
        mode = reviewing.mode_for(generation.requester, group, policy)
        if mode == reviewing.Review.BEFORE_GENERATION:
            mode = reviewing.Review.AUTO
        facts["priority"] = generation.requester.entitlement(policy).priority
        row = _new(generation.requester, key, mode=mode, place=place, **facts)
        _create([row], actor=str(by))
        old = {**vars(generation.asked()), "prompt": generation.prompt}
        after = {**vars(spec), "made": f"#{row.pk}"}
        audit_log.write("re-run", generation, by=by, before=old, after=after)
        return row


def own_generation(person: Person, pk: int | None) -> Generation:
    """What this person asked for. Raises Gone or NotYours."""
    row = None if pk is None else Generation.objects.select_related("requester").filter(pk=pk).first()
    if row is None:
        raise Gone
    if row.requester.user_id != person.user_id:
        raise NotYours
    return row


def requester_of(pk: int) -> int | None:
    """Who asked for it."""
    return Generation.objects.filter(pk=pk).values_list("requester__user_id", flat=True).first()


def known_person(user_id: int) -> Person | None:
    """As they were when they were seen last."""
    row = Requester.objects.filter(user_id=user_id).first()
    return None if row is None else Person(user_id, row.display_name, row.username, row.language_code)


def remember(person: Person) -> Requester:
    """The person's row, with the name as it is today, locked until the end of the transaction around this call."""
    with transaction.atomic():
        return remember_all([person], Policy.current())[person.user_id]


def remember_all(people: Iterable[Person], policy: Policy) -> dict[int, Requester]:
    """Their rows by user id, made where they are new, locked in one order for all processes.

    Whoever comes while everybody is let in keeps access when that changes.
    """
    admitted_at = timezone.now() if policy.access == Policy.Access.OPEN else None
    details = {person.user_id: _details(person) for person in people}
    # Only people: the tiers are joined from outside, and PostgreSQL cannot lock what may not be there.
    people_only = Requester.objects.select_related("tier").select_for_update(of=("self",))
    locked = people_only.filter(user_id__in=details).order_by("user_id")
    found = {requester.user_id: requester for requester in locked}
    if len(found) < len(details):
        unknown = sorted(set(details) - set(found))
        new = [Requester(user_id=user_id, admitted_at=admitted_at, **details[user_id]) for user_id in unknown]
        Requester.objects.bulk_create(new, ignore_conflicts=True)
        found = {requester.user_id: requester for requester in locked.all()}
    for user_id, requester in found.items():
        # Names hardly ever change, and a write costs more than a look.
        changed = [name for name, value in details[user_id].items() if getattr(requester, name) != value]
        for name in changed:
            setattr(requester, name, details[user_id][name])
        if admitted_at is not None and requester.admitted_at is None:
            requester.admitted_at = admitted_at
            changed.append("admitted_at")
        if changed:
            requester.save(update_fields=changed)
    return found


def _details(person: Person) -> dict[str, str]:
    return {
        "display_name": prompts.storable(person.display_name, 256),
        "username": prompts.storable(person.username, 64),
        "language_code": prompts.storable(person.language_code, 16),
    }


def settings_of(user_id: int) -> tuple[preferences.Offer, preferences.Choices]:
    """What a person may choose for all prompts, and what is chosen and still possible."""
    requester = Requester.objects.select_related("tier").filter(user_id=user_id).first()
    entitled = entitlement_of(requester, Policy.current())
    offered = preferences.offer(preferences.offered_card(model_card(), entitled), entitled, styles.offered())
    return offered, preferences.choices_of(requester, offered)


def entitlement_of(requester: Requester | None, policy: Policy) -> Entitlement:
    """None: somebody who is not known yet."""
    return entitlement(policy) if requester is None else requester.entitlement(policy)


def lengths(user_id: int) -> tuple[float, ...]:
    """Seconds of a clip that this person may choose, the shortest first. Raises EngineError."""
    requester = Requester.objects.select_related("tier").filter(user_id=user_id).first()
    return preferences.lengths(preferences.offered_card(model_card(), entitlement_of(requester, Policy.current())))


def choose(person: Person, setting: str, value: str) -> bool:
    """Set one of the person's preferences.Choices. False when that is not on offer."""
    chosen = preferences.chosen(setting, value, settings_of(person.user_id)[0])
    return chosen is not None and _set(person, {setting: chosen})


def reset_settings(person: Person) -> bool:
    """Everything as the policy has it."""
    return _set(person, {"preset": "", "aspect": "", "seconds": None, "style": "", "silent": False, "no_news": False})


def choose_language(person: Person, language: str) -> None:
    """In which this person wants to be answered; "" is as their Telegram is."""
    _set(person, {"language": language})


def languages_of(user_ids: Collection[int]) -> dict[int, tuple[str, str]]:
    """What they chose ("": nothing) and what their Telegram said last, of those of them who are known."""
    known = Requester.objects.filter(user_id__in=user_ids).values_list("user_id", "language", "language_code")
    return {user_id: (chosen, telegrams) for user_id, chosen, telegrams in known}


def _set(person: Person, values: Mapping[str, Any]) -> bool:
    with transaction.atomic():
        requester = remember(person)
        return Requester.objects.filter(pk=requester.pk).update(**values) == 1


def licence_to_tell(generation: Generation) -> str:
    """The licence of the model that made it, when the person has not been told that; else ""."""
    if not generation.model_name or not generation.model_licence:
        return ""
    return "" if generation.requester.licence_told == _licence_of(generation) else generation.model_licence


def licence_told(generation: Generation) -> bool:
    """Its caption arrived, so later ones only name the model, until it is another one. False when that was known."""
    if not generation.model_name:
        return False
    licence = _licence_of(generation)
    untold = Requester.objects.filter(pk=generation.requester_id).exclude(licence_told=licence)
    return untold.update(licence_told=licence) == 1


def _licence_of(generation: Generation) -> str:
    return f"{generation.model_name}: {generation.model_licence}"


def chat_moved(old_id: int, new_id: int) -> int:
    """The chat goes on under another id, where its old message numbers mean nothing. Returns how many rows moved."""
    # One by one: a group's row that is held while jobs are waited for would hold up whoever submits there, and with a
    # worker between them all three would wait for ever.
    Policy.objects.filter(operators_chat_id=old_id).update(operators_chat_id=new_id)
    groups.moved(old_id, new_id)
    AskedPrompt.objects.filter(chat_id=old_id).update(chat_id=new_id, thread_id=None, prompt_message_id=None)
    return Generation.objects.filter(chat_id=old_id).update(
        chat_id=new_id, thread_id=None, prompt_message_id=None, status_message_id=None
    )


def group_joined(chat_id: int, title: str) -> None:
    """The bot is a member of this group."""
    groups.seen(chat_id, title).come_back()


def group_left(chat_id: int, title: str) -> int:
    """The bot was removed from this group. Returns how many prompts and results that concerned."""
    groups.seen(chat_id, title).leave()
    return chat_unreachable(chat_id, by="bot", reason="the bot was removed from the group", since=timezone.now())


def make_smaller(generation: Generation, owner: str, *, reason: str) -> bool:
    """Have a worker encode the video again, because it is too large to be sent. False when that was done before."""
    with transaction.atomic():
        wanted = generation.too_large(owner, reason=reason)
        if wanted:
            tasks.ring(generation, "smaller")
    return wanted


def chat_unreachable(chat_id: int, *, by: str, reason: str, since: datetime) -> int:
    """Nobody in this chat hears the bot: blocked, removed, gone. Nothing more is rendered for it or sent there.

    What was asked for after `since` stays: whoever writes again is back. Returns how many rows this concerned.
    """
    with transaction.atomic():
        rows = Generation.objects.filter(chat_id=chat_id, created_at__lt=since).filter(
            Q(status__in=UNFINISHED) | Q(delivery__in=[Delivery.HELD, Delivery.WAITING, Delivery.TOO_LARGE])
        )
        return sum(row.abandon(actor=by, reason=reason) for row in rows)


def chosen_preset(wanted: str | None, entitled: Entitlement, card: ModelCard) -> str:
    """The preset of a new prompt: the one asked for, if its person may choose it, or the default.

    Raises InvalidSpec naming those that may be chosen.
    """
    if wanted is None:
        return preferences.default_preset(card, entitled)
    card.check_preset(wanted, preferences.offered_presets(card, entitled))
    return wanted


def random_seed() -> int:
    return secrets.randbelow(MAX_SEED + 1)


def _new(
    requester: Requester,
    request_key: str,
    *,
    mode: reviewing.Review,
    held: bool = False,
    place: Place | None,
    **values: Any,
) -> Generation:
    """A row that is not stored yet. held: a rule has the prompt looked at, whatever the mode says of it."""
    held = held or mode == reviewing.Review.BEFORE_GENERATION
    return Generation(
        requester=requester,
        request_key=request_key,
        status=Status.PENDING_REVIEW if held else Status.QUEUED,
        queued_at=None if held else timezone.now(),
        # Without a chat there is nobody to keep it from.
        hold_delivery=mode == reviewing.Review.BEFORE_DELIVERY and place is not None,
        **(vars(place) if place else {}),
        **values,
    )


def _create(rows: Sequence[Generation], *, actor: str) -> None:
    """Store them, each with its first event, and ring for those that are queued."""
    Generation.objects.bulk_create(rows)
    events = {Status.PENDING_REVIEW: "held for review", Status.QUEUED: "queued"}
    GenerationEvent.objects.bulk_create(
        GenerationEvent(
            generation=row,
            kind=events[Status(row.status)],
            actor=actor[:100],
            detail=f"rules: {', '.join(row.rules)}" if row.rules else "",
        )
        for row in rows
    )
    for row in rows:
        if row.status == Status.QUEUED:
            tasks.ring(row)
