"""Telling people outside the CRMs: chat, e-mail and the like, by the services that apprise knows."""

from connector.notices.notifier import Notifier, Room

__all__ = ["Notifier", "Room"]
