"""Kraken's REST interface of a simulated world: answered in the process, by the client's own code."""

from http import HTTPStatus
from typing import TYPE_CHECKING

from venues.kraken.rest import RestClient, unreached

from .disk import SimulatedDisk

if TYPE_CHECKING:
    from .world import World


class LocalRest(RestClient):
    """Kraken's REST interface of the venue in this process: the client's own code down to the signed request."""

    def __init__(self, world: "World", disk: SimulatedDisk) -> None:
        super().__init__("key", "c2VjcmV0")
        self._world, self._disk = world, disk

    def _exchange(self, path: str, body: bytes, headers: dict[str, str]) -> str:
        if self._disk.is_dead or self._world.network.is_down:
            raise unreached("the network is down")
        reply = self._world.venue.answer_rest(path, "", headers, body)
        assert reply is not None
        if reply.status != HTTPStatus.OK:
            raise unreached(f"it was answered with HTTP {reply.status.value}")
        return reply.text
