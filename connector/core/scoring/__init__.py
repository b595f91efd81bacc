"""Points with their reasons: what a definition gives to people for who they are and what they did."""

from connector.core.scoring.engine import score_people

__all__ = ["score_people"]
