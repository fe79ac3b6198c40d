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

BEAT = 15.0  # seconds between a worker's signs of life
LIFE = timedelta(seconds=60)  # without one, by the bucket's clock, a worker counts as dead
LOOK = (0.5, 5.0)  # seconds between two looks at a claim that is waited for, first and at most
FAREWELL = 2.0  # seconds that a process waits at its end
_living: "list[Claims]" = []


class Claims:
    """This worker's claims in a bucket.

    `claims/NAME` holds its worker's name and is made only where there is none. Each worker that holds one writes
    `workers/WORKER` anew every few seconds, for all its claims together. A worker that was wrongly taken for dead
    (it slept, or its connection did) breaks nothing: what it makes is complete, and the first complete one stays.
    """

    def __init__(self, bucket: Bucket, say: Callable[[str], None]) -> None:
        self.bucket, self.say = bucket, say
        self.worker = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._beating: threading.Thread | None = None
        self._clock = (datetime.min, 0.0)  # the bucket's, at a moment of this process's own
        self._over = threading.Event()
        self._left: set[str] = set()  # claims that couldn't be given back

    @contextmanager
    def held(self, name: str) -> Iterator[None]:
        """Hold a claim; wait while a living worker has it.

        Raises:
            SrkdError: the bucket can't be reached.
        """
        self._begin()
        pause, told = LOOK[0], False
        while not self._taken(name):
            if not told:
                self.say(f"waiting for another machine that makes the same ({name})")
                told = True
            time.sleep(pause)
            pause = min(1.5 * pause, LOOK[1])
        try:
            yield
        finally:
            self._give_back(name)

    def _begin(self) -> None:
        """Give the first sign of life, and from now on one every few seconds.

        Raises:
            SrkdError: the bucket can't be reached, or doesn't keep what claims rest on.
        """
        if self._beating is not None:
            return
        self.bucket.put(self._sign(self.worker), b"")
        if self.bucket.create(self._sign(self.worker), b"again"):
            raise SrkdError(
                f"the server of {self.bucket.address} writes also where it is to write only if nothing is there",
                "take one that heeds If-None-Match, as Amazon's does",
            )
        self._set_clock()
        self._beating = threading.Thread(target=self._beat, daemon=True)
        self._beating.start()
        _living.append(self)

    def _set_clock(self) -> None:
        """Note the bucket's time of a sign of life that has just been written."""
        now = time.monotonic()
        if (written := self.bucket.modified(self._sign(self.worker))) is not None:
            self._clock = (written, now)

    def _now(self) -> datetime:
        """Return the bucket's time, asked anew after a while: a suspended machine's own clock stands still."""
        if time.monotonic() - self._clock[1] >= BEAT:
            self.bucket.put(self._sign(self.worker), b"")
            self._set_clock()
        written, then = self._clock
        return written + timedelta(seconds=time.monotonic() - then)

    def _beat(self) -> None:
        while not self._over.wait(BEAT):
            with suppress(SrkdError):  # the next one may get through
                self.bucket.put(self._sign(self.worker), b"")
                for name in list(self._left):
                    self._give_back(name)
        with suppress(SrkdError):  # this worker is no more: whatever it still holds is free
            self.bucket.delete(self._sign(self.worker))

    def end(self, seconds: float) -> None:
        """Give no more signs of life, and wait so long for the bucket to know."""
        self._over.set()
        if self._beating is not None:
            self._beating.join(max(0.0, seconds))

    def _taken(self, name: str) -> bool:
        """Take a claim that is free, or whose worker is dead; say whether it is ours."""
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
        """Give a claim back unless another has it by now; where that fails, the next sign of life tries again."""
        self._left.add(name)
        with suppress(SrkdError):
            found = self.bucket.read(f"claims/{name}")
            # Between these two lines it can be taken over only if this worker's signs of life didn't get through
            # for a minute; a third worker might then make the same, too.
            if found is not None and found.content == self.worker.encode():
                self.bucket.delete(f"claims/{name}")
            self._left.discard(name)

    @staticmethod
    def _sign(worker: str) -> str:
        return f"workers/{worker}"


@atexit.register
def end_all() -> None:
    """Give no more signs of life for any worker of this process."""
    for one in _living:
        one.end(0)
    until = time.monotonic() + FAREWELL
    while _living:
        _living.pop().end(until - time.monotonic())
