"""What an alarm says, in the languages of the product."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class AlarmWords:
    """The texts of alarms in one language; names in braces are filled in."""

    title: str
    stalled_count: str
    recovered_count: str
    between: str
    stalled: str
    never: str
    why: str
    no_turn: str
    recovered: str
    more: str
    what_to_do: str
    repeat: str


_JA = AlarmWords(
    title="MQL連携: {what}",
    stalled_count="{count}社が停止中",
    recovered_count="{count}社が復旧",
    between="、",
    stalled="{company}: {since} から同期が進んでいません。{why}",
    never="{company}: 一度も同期が完了していません（{since} から監視）。{why}",
    why="原因: {trouble}",
    no_turn="原因: 順番が回ってきていないか、実行が終わっていません",
    recovered="{company}: 復旧しました（{since} から停止していました）",
    more="ほか{count}社（`mql status` で一覧）",
    what_to_do="対応: `mql status` で状況を確認し、原因を直したあと `mql sync 会社名` ですぐに再試行できます。",
    repeat="（再送の可能性があります）",
)

_EN = AlarmWords(
    title="MQL connector: {what}",
    stalled_count="{count} stalled",
    recovered_count="{count} recovered",
    between=", ",
    stalled="{company}: nothing has got through since {since}. {why}",
    never="{company}: nothing has got through yet; watched since {since}. {why}",
    why="Why: {trouble}",
    no_turn="Why: it has not had its turn, or the turn does not end",
    recovered="{company}: works again; it had stalled since {since}",
    more="... and {count} more: `mql status` lists them",
    what_to_do=(
        "What to do: `mql status` shows how they stand. Put right what is named; `mql sync COMPANY` tries at once."
    ),
    repeat="(this may be a repeat)",
)

WORDS: Final = {"ja": _JA, "en": _EN}
