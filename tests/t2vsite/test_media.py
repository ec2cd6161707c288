"""Signed media links: who gets what, and which bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from unittest import mock

import pytest
from django.conf import LazySettings
from django.core import signing
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.http import StreamingHttpResponse
from django.test import Client

from t2vsite.media import CHUNK, SALT, Slice, media_link

CONTENT = bytes(range(100))


@pytest.fixture(autouse=True)
def _clip() -> None:
    default_storage.save("clip.mp4", ContentFile(CONTENT))


@dataclass
class Answer:
    status: int
    body: bytes
    headers: Mapping[str, str]


def get(link: str, **headers: str) -> Answer:
    """A stranger's request, without a session, read to its end."""
    answer = Client().get(link, headers={name.replace("_", "-"): value for name, value in headers.items()})
    return Answer(answer.status_code, answer.getvalue(), answer.headers)


def later(**time: float) -> Any:
    moment = (datetime.now(UTC) + timedelta(**time)).timestamp()
    return mock.patch("django.core.signing.time.time", return_value=moment)


def test_a_signed_link_gives_the_whole_file() -> None:
    answer = get(media_link("clip.mp4"))
    assert (answer.status, answer.body) == (200, CONTENT)
    headers = answer.headers
    assert (headers["Content-Type"], headers["Content-Length"]) == ("video/mp4", "100")
    assert headers["Accept-Ranges"] == "bytes"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"].startswith("private,")


def test_posters_are_images() -> None:
    default_storage.save("clip.jpg", ContentFile(b"jpeg"))
    assert get(media_link("clip.jpg")).headers["Content-Type"] == "image/jpeg"


def test_a_row_without_a_file_has_no_link() -> None:
    assert media_link("") == ""


def test_a_link_ends_when_it_says(settings: LazySettings) -> None:
    link = media_link("clip.mp4")
    with later(seconds=settings.MEDIA_LINK_SECONDS - 5):
        assert get(link).status == 200
    with later(seconds=settings.MEDIA_LINK_SECONDS + 5):
        assert get(link).status == 403


def tampered() -> Iterator[str]:
    link = media_link("clip.mp4")
    yield link[:-1] + ("A" if link[-1] != "A" else "B")
    yield link[:-5]
    yield link.rpartition(":")[0]
    yield f"{media_link('other.mp4').partition(':')[0]}:{link.partition(':')[2]}"
    # Signed for another purpose with the same key.
    yield f"/media/{signing.dumps('clip.mp4')}"
    yield f"/media/{signing.dumps('clip.mp4', salt=SALT, key='guessed')}"
    yield "/media/clip.mp4"
    yield "/media/ü:ü:ü"
    yield "/media/" + "x" * 5000


def test_a_link_that_we_did_not_sign_gives_nothing() -> None:
    answers = [get(link) for link in tampered()]
    assert [answer.status for answer in answers] == [403] * 9
    assert {answer.body for answer in answers} == {b"This link is not valid, or no longer."}


@pytest.mark.parametrize(
    "address",
    [
        "/media/",
        "/media",
        "/media/../db.sqlite3",
        "/media/..%2f..%2fetc/passwd",
        "/media/%2e%2e/db.sqlite3",
        "/media/%2e%2e%2fdb.sqlite3",
        "/media/%00",
        "/media//etc/passwd",
        "/media/folder/clip.mp4",
    ],
)
def test_no_path_leads_out_or_to_a_listing(address: str) -> None:
    assert get(address).status in (403, 404)


@pytest.mark.parametrize(
    "name", ["../secret.mp4", "/etc/passwd.mp4", "clip.html", "clip", "missing.mp4", "x" * 300 + ".mp4"]
)
def test_even_a_signed_name_reaches_only_videos_and_posters_in_the_storage(name: str, settings: LazySettings) -> None:
    outside = Path(settings.MEDIA_ROOT).parent / "secret.mp4"
    outside.write_bytes(b"secret")
    default_storage.save("clip.html", ContentFile(b"<script>"))
    assert get(media_link(name)).status == 404


@pytest.mark.parametrize(
    ("wanted", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=0-9", 0, 9),
        ("bytes=99-", 99, 99),
        ("bytes=50-1000", 50, 99),
        ("bytes=-10", 90, 99),
        ("bytes=-1000", 0, 99),
        ("bytes=0-", 0, 99),
    ],
)
def test_a_range_gives_exactly_these_bytes(wanted: str, first: int, last: int) -> None:
    answer = get(media_link("clip.mp4"), Range=wanted)
    assert (answer.status, answer.body) == (206, CONTENT[first : last + 1])
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/100"
    assert answer.headers["Content-Length"] == str(last - first + 1)


@pytest.mark.parametrize("wanted", ["bytes=100-", "bytes=100-200", "bytes=-0", f"bytes={10**17}-"])
def test_a_range_beyond_the_end_is_refused_with_the_size(wanted: str) -> None:
    answer = get(media_link("clip.mp4"), Range=wanted)
    assert (answer.status, answer.body) == (416, b"")
    assert answer.headers["Content-Range"] == "bytes */100"


@pytest.mark.parametrize(
    "wanted",
    [
        "bytes=0-1,5-9",
        "bytes=9-5",
        "bytes=-",
        "bytes=a-b",
        "bytes=٣-٤",
        "lines=0-1",
        "bytes 0-1",
        "bytes=" + "9" * 5000 + "-",
        "",
    ],
)
def test_a_range_that_we_do_not_understand_gives_the_whole_file(wanted: str) -> None:
    answer = get(media_link("clip.mp4"), Range=wanted)
    assert (answer.status, answer.body) == (200, CONTENT)


def test_a_part_is_sent_only_of_the_file_that_the_browser_holds() -> None:
    link = media_link("clip.mp4")
    etag = get(link).headers["ETag"]
    assert get(link, Range="bytes=0-1", If_Range=etag).status == 206
    assert get(link, Range="bytes=0-1", If_Range='"another"').status == 200


def test_head_says_the_same_without_the_bytes() -> None:
    link = media_link("clip.mp4")
    whole = Client().head(link)
    part = Client().head(link, headers={"Range": "bytes=0-9"})
    beyond = Client().head(link, headers={"Range": "bytes=100-"})
    assert [(answer.status_code, answer.getvalue()) for answer in (whole, part, beyond)] == [
        (200, b""),
        (206, b""),
        (416, b""),
    ]
    assert (whole.headers["Content-Length"], part.headers["Content-Length"]) == ("100", "10")


def test_files_are_read_only() -> None:
    for method in ("post", "put", "delete"):
        assert getattr(Client(), method)(media_link("clip.mp4")).status_code == 405


def test_a_large_file_comes_in_chunks_and_complete() -> None:
    content = b"x" * (2 * CHUNK + 10)
    default_storage.save("large.mp4", ContentFile(content))
    answer = Client().get(media_link("large.mp4"), headers={"Range": "bytes=5-"})
    chunks = list(cast(StreamingHttpResponse, answer))
    assert [len(chunk) for chunk in chunks] == [CHUNK, CHUNK, 5]
    assert b"".join(chunks) == content[5:]


def test_an_empty_file_is_served_as_such() -> None:
    default_storage.save("empty.mp4", ContentFile(b""))
    assert get(media_link("empty.mp4")).body == b""
    assert get(media_link("empty.mp4"), Range="bytes=0-").status == 416


def test_a_reader_who_leaves_early_leaves_no_file_open() -> None:
    file = default_storage.open("clip.mp4")
    part = Slice(file, 0, 99)
    # As a web server does it. HttpResponse.close() would also say that the request is over, to the database as well.
    part.close()
    assert file.closed
