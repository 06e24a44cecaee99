"""How long a job belongs to the process that claimed it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Lease:
    """Times in seconds.

    After `seconds` without a renewal another process takes the job over. `renew_seconds` is a quarter of that: three
    renewals may fail before. `heartbeat_seconds`: a person who watches, or who has cancelled, does not wait longer
    for the next news; what is done sooner has cost no statement. `stalled_seconds`: a connection that is dead without
    saying so moves no bytes, a slow one moves some. `retry_seconds`: before that, what failed is not tried again.
    """

    seconds: float = 60
    renew_seconds: float = 15
    heartbeat_seconds: float = 1
    stalled_seconds: float = 300
    retry_seconds: float = 30
