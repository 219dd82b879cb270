"""what each user has chosen of notices by e-mail, and which mail is due to whom"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), autoincrement=False, nullable=False)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=False)


def upgrade() -> None:
    op.create_table(
        "notice_choice",
        _text("user"),
        _text("administration"),
        _number("version"),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        _number("changed_at"),
        sa.PrimaryKeyConstraint("user"),
    )
    op.create_table(
        "notice_mail",
        _text("inbox"),
        _text("user"),
        _text("administration"),
        _number("version"),
        _text("kind"),
        _text("state"),
        _number("due_at"),
        _number("sent_at"),
        _number("attempts"),
        sa.PrimaryKeyConstraint("inbox", "user"),
    )
    op.create_index("ix_notice_mail_state_due_at_inbox_user", "notice_mail", ["state", "due_at", "inbox", "user"])


def downgrade() -> None:
    op.drop_index("ix_notice_mail_state_due_at_inbox_user", "notice_mail")
    op.drop_table("notice_mail")
    op.drop_table("notice_choice")
