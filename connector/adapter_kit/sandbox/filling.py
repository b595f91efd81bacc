"""Load a seed part by part while requests are answered: who waits for it, and who need not."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

from werkzeug.exceptions import ServiceUnavailable
from werkzeug.wrappers import Request

TURN_SECONDS = 0.001
"""How long whoever loads a seed leaves the lock to others after each part."""


class FilledInParts:
    """The side of a sandbox that is filled. Requests for an account wait for its seed, those for others for a part.

    Attributes:
        lock: Held while one request is carried out, so that a request is atomic as it is at the vendor, and while one
            part of a seed is loaded.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._moved_on = threading.Condition(self.lock)
        self._filling: dict[str, int] = {}     # accounts whose seed is being loaded, and the thread that does it
        self._is_stopping = False

    # What the vendor may give ---------------------------------------------------------------------------

    def load_part(self, account: str) -> bool:
        """Load the next part of what `load_world` left for later; return whether more is left. Called under `lock`.

        What was loaded survives the process, and so does the knowledge of what is left.
        """
        return False

    def answers_early(self, account: str, request: Request) -> bool:
        """Tell whether the answer is the same now as it will be when the account's seed is loaded. Under `lock`."""
        return False

    # What every sandbox has -----------------------------------------------------------------------------

    @contextlib.contextmanager
    def filling(self, account: str) -> Iterator[None]:
        """Keep others' requests for the account waiting inside the block, but for those that `answers_early`.

        The same thread may enter it again; another one waits until the account is free.

        Raises:
            ServiceUnavailable: The sandbox is being stopped.
        """
        with self.lock:
            self._wait_while_filled_by_another(account)
            is_outermost = account not in self._filling
            self._filling[account] = threading.get_ident()
        try:
            yield
        finally:
            with self.lock:
                if is_outermost:
                    del self._filling[account]
                self._moved_on.notify_all()

    def load_rest(self, account: str) -> None:
        """Load what is left of a seed, others getting their turn after every part.

        Raises:
            ServiceUnavailable: The sandbox is being stopped; what is left stays for the next start.
        """
        with self.filling(account):
            more = True
            while more:
                with self.lock:
                    self.refuse_when_stopping()
                    more = self.load_part(account)
                    self._moved_on.notify_all()
                # A lock is not fair: let go and taken at once, it would never come to those who wait for it.
                time.sleep(TURN_SECONDS)

    def stop_filling(self) -> None:
        """End every loading after its current part, and send away who waits for one."""
        with self.lock:
            self._is_stopping = True
            self._moved_on.notify_all()

    def refuse_when_stopping(self) -> None:
        """Raise ServiceUnavailable when `stop_filling` was called."""
        if self._is_stopping:
            raise ServiceUnavailable

    def await_turn(self, account: str | None, request: Request) -> None:
        """Return when the request can be answered as if the account's seed were whole. Called under `lock`.

        Raises:
            ServiceUnavailable: The sandbox was stopped meanwhile.
        """
        if account is None:
            return
        while self._is_filled_by_another(account):
            if self.answers_early(account, request):
                return
            self._wait()
        self._complete(account)

    def await_whole(self, account: str | None) -> None:
        """Return when the account, or each one, holds its whole seed. Called under `lock`.

        Raises:
            ServiceUnavailable: The sandbox was stopped meanwhile.
        """
        self._wait_while_filled_by_another(account)
        if account is not None:
            self._complete(account)

    def _wait_while_filled_by_another(self, account: str | None) -> None:
        while self._is_filled_by_another(account):
            self._wait()

    def _wait(self) -> None:
        self._moved_on.wait()
        self.refuse_when_stopping()

    def _is_filled_by_another(self, account: str | None) -> bool:
        others = {name for name, thread in self._filling.items() if thread != threading.get_ident()}
        return bool(others) if account is None else account in others

    def _complete(self, account: str) -> None:
        # A process that was killed may have left half a seed, and nobody has begun to go on with it.
        while self.load_part(account):
            self.refuse_when_stopping()
