"""Points with their reasons: what a definition gives to people for who they are and what they did."""

from connector.core.scoring.engine import score_people
from connector.core.scoring.ledger import taken_part_once, told_once
from connector.core.scoring.passing_time import look_again_at

__all__ = ["look_again_at", "score_people", "taken_part_once", "told_once"]
