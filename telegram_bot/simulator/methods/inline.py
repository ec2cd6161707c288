"""What a bot offers in a chat where somebody typed its name: by files that it has sent before."""

from __future__ import annotations

from typing import Literal

from ..errors import ApiError, Json, bad_request
from ..limits import MAX_CAPTION
from ..params import Params
from ..world import World

MOST_RESULTS = 50
MAX_OFFSET_BYTES = 64
# The kinds of cached results, with the field that names their file, and the kind that the file must be of.
CACHED = {
    "video": ("video_file_id", "video"),
    "mpeg4_gif": ("mpeg4_file_id", "animation"),
    "document": ("document_file_id", "document"),
}


def answer_inline_query(world: World, params: Params) -> Literal[True]:
    """answerInlineQuery"""
    query_id = params.text("inline_query_id")
    if query_id not in world.inline_queries or world.inline_queries[query_id] is not None:
        raise ApiError(400, "Bad Request: query is too old and response timeout expired or query ID is invalid")
    results = params.objects("results")
    if len(results) > MOST_RESULTS:
        raise bad_request("RESULTS_TOO_MUCH")
    if len(params.text("next_offset").encode()) > MAX_OFFSET_BYTES:
        raise bad_request("NEXT_OFFSET_INVALID")
    numbers = [str(result.get("id")) for result in results]
    if len(set(numbers)) < len(numbers) or any(not 0 < len(number.encode()) <= 64 for number in numbers):
        raise bad_request("RESULT_ID_INVALID")
    for result in results:
        _check(world, result)
    button = params.object("button")
    world.inline_queries[query_id] = {
        "results": results,
        "next_offset": params.text("next_offset"),
        "cache_time": params.integer("cache_time"),
        "is_personal": params.flag("is_personal"),
        "button": button or None,
    }
    return True


def _check(world: World, result: Json) -> None:
    kind = str(result.get("type"))
    if kind not in CACHED:
        raise bad_request("can't parse inline query result: only cached files are known here")
    field, wanted = CACHED[kind]
    stored = world.files.by_id(str(result.get(field)))
    if stored is None or stored.kind != wanted:
        raise bad_request("wrong file identifier/HTTP URL specified")
    if kind != "mpeg4_gif" and not result.get("title"):
        raise bad_request("can't parse inline query result: title is empty")
    if len(str(result.get("caption", ""))) > MAX_CAPTION:
        raise bad_request("message caption is too long")


METHODS = {"answerInlineQuery": answer_inline_query}
