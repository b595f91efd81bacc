"""Points with their reasons: what a definition gives to people for who they are and what they did."""

from connector.core.scoring.engine import score_ledger, score_people
from connector.core.scoring.ledger import Ledger
from connector.core.scoring.passing_time import next_crossings

__all__ = ["Ledger", "next_crossings", "score_ledger", "score_people"]
