"""Misbehaviour on demand: what the next calls get instead of a plain answer."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from .errors import ApiError, Json

DESCRIPTIONS = {
    400: "Bad Request: simulated refusal",
    401: "Unauthorized",
    403: "Forbidden: bot was blocked by the user",
    404: "Not Found",
    409: "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running",
    413: "Request Entity Too Large",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
}
ACTIONS = {"answer", "hang", "drop", "cut"}


@dataclass
class Fault:
    """What happens to the next `times` calls of `method` (of one chat, if named).

    answer  refuse with `status`; the call is not carried out
    hang    carry out, wait `seconds`, then answer; with processed=False wait, then close without carrying out
    drop    carry out, then close the connection without an answer; processed=False closes without carrying out
    cut     carry out, then close in the middle of the answer
    """

    action: str = "answer"
    method: str = "*"
    chat_id: int | None = None
    times: int = 1
    status: int = 500
    description: str = ""
    retry_after: int | None = None
    seconds: float = 0.0
    processed: bool = True

    def __post_init__(self) -> None:
        if self.action not in ACTIONS:
            raise ValueError(f"action must be one of {sorted(ACTIONS)}, not {self.action!r}")

    def matches(self, method: str, chat_id: int | str | None) -> bool:
        """Whether a call is meant."""
        # "*" spares getUpdates: polls would use the fault up before the call it is meant for.
        named = method.lower() != "getupdates" if self.method == "*" else self.method.lower() == method.lower()
        return named and self.times != 0 and (self.chat_id is None or str(self.chat_id) == str(chat_id))

    def error(self) -> ApiError:
        """The refusal to answer with."""
        description = self.description or DESCRIPTIONS.get(self.status, "Error")
        if self.retry_after is None:
            return ApiError(self.status, description)
        if not self.description:
            description = f"Too Many Requests: retry after {self.retry_after}"
        return ApiError(self.status, description, {"retry_after": self.retry_after})

    def as_json(self) -> Json:
        """For the control interface."""
        return asdict(self)


class FaultBook:
    """Faults in the order they were programmed; the first that matches is used up first."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> Fault:
        """Program one."""
        self._faults.append(fault)
        return fault

    def take(self, method: str, chat_id: int | str | None) -> Fault | None:
        """The fault for a call, counted down. `times` below zero never ends."""
        for fault in self._faults:
            if fault.matches(method, chat_id):
                fault.times -= 1
                self._faults = [kept for kept in self._faults if kept.times != 0]
                return fault
        return None

    def pending(self) -> list[Fault]:
        """What is still to come."""
        return list(self._faults)

    def clear(self) -> None:
        """Behave again."""
        self._faults.clear()
