"""People, jobs and their history. The database is the truth."""

from generations.models.generation import (
    BATCH_KEY,
    DELIVERY_LEASE,
    LEASE,
    MAX_ATTEMPTS,
    MAX_WORKER_DEATHS,
    NO_FILE,
    REPORT,
    AskedPrompt,
    Generation,
    GenerationEvent,
    GenerationQuerySet,
    host_of,
    media_token,
)
from generations.models.people import Group, Requester
from generations.models.policy import DEFAULT_GREETING, Policy, PolicyVersion, Style
from generations.models.records import AuditEntry, Erasure
from generations.models.rules import Rule
from generations.models.states import (
    COUNTED,
    DELIVERY_TRANSITIONS,
    FINISHED,
    TRANSITIONS,
    UNFINISHED,
    Delivery,
    Status,
)
from generations.models.tiers import HIGHEST_LANE, OWN_LIMITS, Entitlement, Tier, entitlement

__all__ = [
    "BATCH_KEY",
    "COUNTED",
    "DEFAULT_GREETING",
    "DELIVERY_LEASE",
    "DELIVERY_TRANSITIONS",
    "FINISHED",
    "HIGHEST_LANE",
    "LEASE",
    "MAX_ATTEMPTS",
    "MAX_WORKER_DEATHS",
    "NO_FILE",
    "OWN_LIMITS",
    "REPORT",
    "TRANSITIONS",
    "UNFINISHED",
    "AskedPrompt",
    "AuditEntry",
    "Delivery",
    "Entitlement",
    "Erasure",
    "Generation",
    "GenerationEvent",
    "GenerationQuerySet",
    "Group",
    "Policy",
    "PolicyVersion",
    "Requester",
    "Rule",
    "Status",
    "Style",
    "Tier",
    "entitlement",
    "host_of",
    "media_token",
]
