"""Times on every page with seconds and their zone: an operator compares them with logs of other machines."""

DATETIME_FORMAT = "Y-m-d H:i:s T"
