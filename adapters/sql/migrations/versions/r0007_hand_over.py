"""what people carry: hand-overs, and what a party is told by voice"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), autoincrement=False, nullable=nullable)


def _number(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "hand_over",
        _text("id"),
        _text("administration"),
        _number("version"),
        sa.Column("mac", sa.LargeBinary(), nullable=False),
        _text("inbox"),
        _text("party"),
        _text("case"),
        _text("message", nullable=True),
        _text("channel"),
        _text("what"),
        _text("state"),
        _number("created_at"),
        _text("taken_by", nullable=True),
        _text("settled_by", nullable=True),
        _number("settled_at", nullable=True),
        _number("handed_at", nullable=True),
        _text("manner"),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "ix_hand_over_inbox_state_created_at_id", "hand_over", ["inbox", "state", sa.text("created_at DESC"), "id"]
    )


def downgrade() -> None:
    op.drop_table("hand_over")
