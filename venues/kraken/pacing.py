"""When to connect again: quickly after a healthy life, ever slower against a venue that drops us, never above its limit.

Kraken bans an address for ten minutes above about 150 attempts in ten (guide spot-ws-intro). A client that resets its
backoff at each accepted handshake makes 1,200 connections a second against a venue that accepts and drops (measured), so
only a life of `HEALTHY_S` resets ours, and all links of a process share one budget. Pure: time comes in, in seconds.
"""

from collections import deque

LIMIT_WINDOW_S = 600.0
# Of 150: the rest is for other programs behind the same address.
ATTEMPTS_PER_WINDOW = 120
HEALTHY_S = 10.0
DELAYS_S = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0)
# "wait at least 5 s between tries" during maintenance (docs), and where the venue says that it is too much (429, 503)
PATIENT_S = 5.0


class AttemptBudget:
    """Connection attempts of one process to one venue, counted over a sliding window."""

    def __init__(self, attempts: int = ATTEMPTS_PER_WINDOW, window_s: float = LIMIT_WINDOW_S) -> None:
        self._attempts, self._window_s = attempts, window_s
        self._made: deque[float] = deque()

    def wait_s(self, now_s: float) -> float:
        """Return how long to wait until the next attempt is within the limit."""
        while self._made and self._made[0] <= now_s - self._window_s:
            self._made.popleft()
        if len(self._made) < self._attempts:
            return 0.0
        return self._made[0] + self._window_s - now_s

    def note(self, now_s: float) -> None:
        """Count an attempt."""
        self._made.append(now_s)


class Pacer:
    """Decides the pause before each attempt of one link."""

    def __init__(self, budget: AttemptBudget, healthy_s: float = HEALTHY_S) -> None:
        self._budget, self._healthy_s = budget, healthy_s
        self._failures = 0

    def delay_s(self, now_s: float, is_patient: bool = False) -> float:
        """Return the pause before the next attempt; `is_patient` in maintenance or after a refusal for load."""
        delay_s = DELAYS_S[min(self._failures, len(DELAYS_S) - 1)]
        return max(delay_s, PATIENT_S if is_patient else 0.0, self._budget.wait_s(now_s))

    def attempt(self, now_s: float) -> None:
        """Note that an attempt starts."""
        self._budget.note(now_s)

    def ended(self, life_s: float) -> None:
        """Note that a connection ended after `life_s` of openness (0 if it never opened)."""
        self._failures = 0 if life_s >= self._healthy_s else self._failures + 1
