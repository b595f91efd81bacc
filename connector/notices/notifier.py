"""One small door to apprise: a company's own addresses, what they take, and one message to one of them.

apprise says yes, no, or that it stopped waiting. No and the latter do not mean that nothing arrived: a connection may
die after the message got through, so who tells again must say so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from connector.core.notices import CHANNEL, OWNER, TITLE_LENGTH
from connector.records import Recipient
from connector.settings import NoticeSettings

if TYPE_CHECKING:
    from apprise import AppriseAsset, NotifyBase

LONGEST_SECONDS = 20.0
"""How long one message may take; the sockets' own limits are shorter (apprise: 4 s to connect and to read, 15 s to
connect to a mail server)."""

OWNER_ADDRESS = "{email}"
"""Stands in the owners' address for the one owner's e-mail address."""

_BETWEEN = 10
"""Characters that may stand between title and body: apprise's own line breaks."""

_MADE_UP_OWNER = "owner@example.com"
# One plain address and nothing else: apprise takes our quoting away, splits what looks like several addresses, and may
# put one into a path.
_PLAIN_ADDRESS = re.compile(r"[A-Za-z0-9.'_+-]+@[A-Za-z0-9.-]+")
_HTTP_STATUS = re.compile(r"\berror=(\d{3})\b")
_NOT_AN_ADDRESS = (
    "is no address of a service that apprise knows, or lacks a part of it; docs/configuration.md shows some"
)


class Room(NamedTuple):
    """How long a message's parts may be for a service, in characters."""

    title_length: int
    body_length: int


@dataclass(frozen=True)
class Notifier:
    """Who can be told for a company, and how.

    Attributes:
        place: Where the addresses stand, for messages: `companies.mirai.notices`.
        longest_seconds: How long one message may take.
    """

    settings: NoticeSettings
    place: str
    longest_seconds: float = LONGEST_SECONDS

    def recipients_of(self, recipient: Recipient) -> tuple[Recipient, ...]:
        """Return whom a notice really goes to: the channel's addresses one by one, an owner; nobody without address.

        Each address of the channel is told for itself, so that one that fails has nobody else told twice.
        """
        if recipient.kind == CHANNEL:
            return tuple(Recipient(f"{CHANNEL}:{number}") for number in range(1, len(self.settings.channel) + 1))
        return (recipient,) if self.settings.owner is not None and recipient.email else ()

    def place_of(self, recipient: Recipient) -> str:
        """Return the key of a recipient's address in config.toml; names no owner."""
        kind, _, number = recipient.kind.partition(":")
        return f"{self.place}.{kind}[{int(number) - 1}]" if number else f"{self.place}.{kind}"

    def problems(self) -> list[str]:
        """Return one line for each address that apprise cannot use, with its key and without the address."""
        everybody = self.recipients_of(Recipient(CHANNEL)) + self.recipients_of(Recipient(OWNER, _MADE_UP_OWNER))
        return [f"{self.place_of(who)}: {_NOT_AN_ADDRESS}" for who in everybody if self._service(who) is None]

    def room_for(self, recipient: Recipient) -> Room | None:
        """Return how much the recipient's service takes; None when there is no usable address for them."""
        service = self._service(recipient)
        if service is None:
            return None
        # Services count the title with the body, or may; what has no title of its own gets it above the body.
        title_length = min(service.title_maxlen or TITLE_LENGTH, service.body_maxlen // 4)
        return Room(title_length, service.body_maxlen - title_length - _BETWEEN)

    def tell(self, recipient: Recipient, title: str, body: str, keys: Sequence[str] = ()) -> str:
        """Send one message of plain text; return why it was not taken, or empty. Takes `longest_seconds` at most.

        Args:
            keys: What is told: handed on where the service has a place for it (`json://` and its like: the field
                `mql_keys`, separated by spaces), so that a receiver can tell a repeat from news.
        """
        from apprise import Apprise, AppriseResultStatus, NotifyFormat

        service = self._service(recipient, keys)
        if service is None:
            return _NOT_AN_ADDRESS
        sender = Apprise(asset=self._asset())
        sender.add(service)
        result = sender.notify(body=body, title=title, body_format=NotifyFormat.TEXT)
        if result.status == AppriseResultStatus.SUCCESS:
            return ""
        if result.status == AppriseResultStatus.TIMEOUT:
            return "the service did not answer in time"
        # Of apprise's own lines nothing but the number may be told: they name hosts and users.
        codes = [found[1] for entry in result.logs() if (found := _HTTP_STATUS.search(entry.message))]
        return f"the service did not take it (HTTP {codes[-1]})" if codes else "the service could not be reached"

    def _service(self, recipient: Recipient, keys: Sequence[str] = ()) -> NotifyBase | None:
        """Return apprise's own object for a recipient's address; None when there is none."""
        from apprise import Apprise
        from apprise.plugins import url_to_dict

        url = self._address_of(recipient)
        parts: dict[str, Any] | None = url_to_dict(url) if url else None  # type: ignore[no-untyped-call]
        if parts is None:
            return None
        if keys and isinstance(parts.get("payload"), dict):
            parts["payload"]["mql_keys"] = " ".join(keys)
        return Apprise.instantiate(parts, asset=self._asset())

    def _address_of(self, recipient: Recipient) -> str:
        """Return the whole address, secrets included; empty when there is none (any more)."""
        kind, _, number = recipient.kind.partition(":")
        if kind == CHANNEL and number and int(number) <= len(self.settings.channel):
            return self.settings.channel[int(number) - 1].get_secret_value()
        if kind == OWNER and self.settings.owner is not None and _PLAIN_ADDRESS.fullmatch(recipient.email):
            return self.settings.owner.get_secret_value().replace(OWNER_ADDRESS, quote(recipient.email, safe=""))
        return ""

    def _asset(self) -> AppriseAsset:
        """Return how apprise is to behave: nothing on disk, no pictures from elsewhere, no token sent on elsewhere."""
        from apprise import AppriseAsset

        return AppriseAsset(
            app_id="MQL", app_desc="MQL", app_url="", image_url_mask="", image_url_logo="", storage_mode="memory",
            async_mode=False, http_redirects=False, service_timeout=self.longest_seconds, allow_templates=False,
        )
