"""what waits for a registrator to say where to"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), autoincrement=False, nullable=nullable)


def _number(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=nullable)


def upgrade() -> None:
    op.add_column("route", sa.Column("serves", sa.Text(), nullable=False, server_default="[]"))
    op.create_table(
        "held",
        _text("envelope"),
        _text("administration"),
        _number("version"),
        sa.Column("mac", sa.LargeBinary(), nullable=False),
        _text("inbox"),
        _text("addressed"),
        _text("channel"),
        _text("arrival"),
        _text("sender"),
        _text("conversation"),
        sa.Column("known", sa.Boolean(), nullable=False),
        _number("size"),
        _number("files"),
        _text("state"),
        _number("since"),
        _number("changed_at"),
        _text("to", nullable=True),
        _text("ordered_by", nullable=True),
        _text("ordered_as"),
        _number("ordered_at", nullable=True),
        _text("signer", nullable=True),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        _text("reason"),
        sa.PrimaryKeyConstraint("envelope"),
    )
    op.create_index("ix_held_inbox_state_since_envelope", "held", ["inbox", "state", "since", "envelope"])
    op.create_index("ix_held_state_since_envelope", "held", ["state", "since", "envelope"])
    op.create_index("ix_held_channel_conversation_sender", "held", ["channel", "conversation", "sender"])


def downgrade() -> None:
    op.drop_index("ix_held_channel_conversation_sender", "held")
    op.drop_index("ix_held_state_since_envelope", "held")
    op.drop_index("ix_held_inbox_state_since_envelope", "held")
    op.drop_table("held")
    op.drop_column("route", "serves")
