"""Methods about the bot itself: who it is, its commands, its webhook, its files."""

from __future__ import annotations

import json
from typing import Any, Literal

from ..errors import Json
from ..limits import check_commands
from ..params import Params
from ..world import World


def get_me(world: World, params: Params) -> Json:
    """getMe"""
    return world.bot | {
        "can_join_groups": True,
        "can_read_all_group_messages": True,
        "supports_inline_queries": world.inline_mode,
        "can_connect_to_business": False,
        "has_main_web_app": False,
    }


def get_file(world: World, params: Params) -> Json:
    """getFile"""
    return world.files.describe(params.text("file_id"))


def _scope(params: Params) -> str:
    scope = params.object("scope") or {"type": "default"}
    return json.dumps([scope, params.text("language_code")], sort_keys=True)


def set_my_commands(world: World, params: Params) -> Literal[True]:
    """setMyCommands"""
    world.commands[_scope(params)] = check_commands(params.objects("commands"))
    return True


def get_my_commands(world: World, params: Params) -> list[Json]:
    """getMyCommands"""
    return world.commands.get(_scope(params), [])


def delete_my_commands(world: World, params: Params) -> Literal[True]:
    """deleteMyCommands"""
    world.commands.pop(_scope(params), None)
    return True


def set_webhook(world: World, params: Params) -> Literal[True]:
    """setWebhook"""
    world.updates.set_webhook(
        params.text("url"),
        params.text("secret_token"),
        params.integer("max_connections"),
        params.flag("drop_pending_updates"),
    )
    world.updates.allow(params.array("allowed_updates"))
    return True


def delete_webhook(world: World, params: Params) -> Literal[True]:
    """deleteWebhook"""
    world.updates.set_webhook("", "", 0, params.flag("drop_pending_updates"))
    return True


def get_webhook_info(world: World, params: Params) -> Json:
    """getWebhookInfo"""
    return world.updates.webhook_info()


def accept(world: World, params: Params) -> Literal[True]:
    """logOut, close and the like: nothing to do here"""
    return True


def _setter(*names: str) -> Any:
    """A method that remembers its values for the getter beside it."""

    def remember(world: World, params: Params) -> Literal[True]:
        for name in names:
            world.profile[f"{name} {params.text('language_code')}"] = params.text(name)
        return True

    return remember


def _getter(name: str) -> Any:
    def recall(world: World, params: Params) -> Json:
        return {name: world.profile.get(f"{name} {params.text('language_code')}", "")}

    return recall


METHODS = {
    "getMe": get_me,
    "getFile": get_file,
    "setMyCommands": set_my_commands,
    "getMyCommands": get_my_commands,
    "deleteMyCommands": delete_my_commands,
    "setWebhook": set_webhook,
    "deleteWebhook": delete_webhook,
    "getWebhookInfo": get_webhook_info,
    "logOut": accept,
    "close": accept,
    "setChatMenuButton": accept,
    "setMyName": _setter("name"),
    "getMyName": _getter("name"),
    "setMyDescription": _setter("description"),
    "getMyDescription": _getter("description"),
    "setMyShortDescription": _setter("short_description"),
    "getMyShortDescription": _getter("short_description"),
}
