"""Names of the forms that the program itself knows: the rest of a form is data."""

from __future__ import annotations

from typing import Final

REFERRAL: Final = "placement_referral"
ANSWER: Final = "board_response"
MESSAGE: Final = "case_message"
NOTICE: Final = "case_notice"
OUTSIDE_MESSAGE: Final = "outside_message"
