"""Leases: timed locks in a bucket."""

import atexit
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta

from srkd_bench.core.errors import SrkdError
from srkd_bench.store.remote.bucket import Bucket

BEAT = 15.0  # seconds between a worker's heartbeats
LIFE = timedelta(seconds=60)  # without a heartbeat, by the bucket's clock, before a worker counts as dead
LOOK = (0.5, 5.0)  # seconds between two checks of a lease held by another worker, first and maximum
FAREWELL = 2.0  # seconds that a process waits when it ends
_living: "list[Leases]" = []


class Leases:
    """This worker's leases in a bucket.

    `claims/NAME` holds its worker's name and is created only if it does not exist. Each worker with leases rewrites
    `workers/WORKER` every few seconds, as a heartbeat for all of them. A worker that was wrongly considered dead
    (suspended or disconnected) does no harm: artifacts are complete, and the first complete one is kept.
    """

    def __init__(self, bucket: Bucket, say: Callable[[str], None]) -> None:
        self.bucket, self.say = bucket, say
        self.worker = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._beating: threading.Thread | None = None
        self._clock = (datetime.min, 0.0)  # the bucket's time at a time of this process's clock
        self._over = threading.Event()
        self._left: set[str] = set()  # leases that could not be released

    @contextmanager
    def held(self, name: str) -> Iterator[None]:
        """Hold a lease; wait while a living worker holds it.

        Raises:
            SrkdError: the bucket cannot be reached.
        """
        self._begin()
        pause, told = LOOK[0], False
        while not self._taken(name):
            if not told:
                self.say(f"waiting for another machine that works on the same artifact ({name})")
                told = True
            time.sleep(pause)
            pause = min(1.5 * pause, LOOK[1])
        try:
            yield
        finally:
            self._give_back(name)

    def _begin(self) -> None:
        """Write the first heartbeat, and start writing one every few seconds.

        Raises:
            SrkdError: the bucket cannot be reached, or does not support conditional writes.
        """
        if self._beating is not None:
            return
        self.bucket.put(self._sign(self.worker), b"")
        if self.bucket.create(self._sign(self.worker), b"again"):
            raise SrkdError(
                f"the server of {self.bucket.address} does not support conditional writes",
                "use one that supports If-None-Match, as Amazon's does",
            )
        self._set_clock()
        self._beating = threading.Thread(target=self._beat, daemon=True)
        self._beating.start()
        _living.append(self)

    def _set_clock(self) -> None:
        """Record the bucket's time of a heartbeat that was just written."""
        now = time.monotonic()
        if (written := self.bucket.modified(self._sign(self.worker))) is not None:
            self._clock = (written, now)

    def _now(self) -> datetime:
        """Return the bucket's time, refreshed after a while, since a suspended machine's monotonic clock stops."""
        if time.monotonic() - self._clock[1] >= BEAT:
            self.bucket.put(self._sign(self.worker), b"")
            self._set_clock()
        written, then = self._clock
        return written + timedelta(seconds=time.monotonic() - then)

    def _beat(self) -> None:
        while not self._over.wait(BEAT):
            with suppress(SrkdError):  # the next one may succeed
                self.bucket.put(self._sign(self.worker), b"")
                for name in list(self._left):
                    self._give_back(name)
        with suppress(SrkdError):  # this worker has ended: leases that it still holds are free
            self.bucket.delete(self._sign(self.worker))

    def end(self, seconds: float) -> None:
        """Stop the heartbeat, and wait up to a timeout until the bucket is updated."""
        self._over.set()
        if self._beating is not None:
            self._beating.join(max(0.0, seconds))

    def _taken(self, name: str) -> bool:
        """Acquire a lease that is free, or whose worker is dead; return whether it succeeded."""
        mine = self.worker.encode()
        if self.bucket.create(f"claims/{name}", mine):
            return True
        found = self.bucket.read(f"claims/{name}")
        if found is None or self._lives(found.content.decode(errors="replace")):
            return False
        return self.bucket.exchange(f"claims/{name}", mine, found.tag)

    def _lives(self, worker: str) -> bool:
        beaten = self.bucket.modified(self._sign(worker))
        if beaten is None:
            return False
        if self._now() - beaten < LIFE:
            return True
        self.bucket.delete(self._sign(worker))
        return False

    def _give_back(self, name: str) -> None:
        """Release a lease unless another worker holds it by now; the next heartbeat retries after a failure."""
        self._left.add(name)
        with suppress(SrkdError):
            found = self.bucket.read(f"claims/{name}")
            # Between these two lines it can be taken over only if this worker's heartbeats failed for a minute; a
            # third worker might then also create the same artifact.
            if found is not None and found.content == self.worker.encode():
                self.bucket.delete(f"claims/{name}")
            self._left.discard(name)

    @staticmethod
    def _sign(worker: str) -> str:
        return f"workers/{worker}"


@atexit.register
def end_all() -> None:
    """Stop the heartbeats of all workers of this process."""
    for one in _living:
        one.end(0)
    until = time.monotonic() + FAREWELL
    while _living:
        _living.pop().end(until - time.monotonic())
