"""files without a verdict"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), autoincrement=False, nullable=False)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=False)


def upgrade() -> None:
    op.create_table(
        "quarantined",
        _text("attachment"),
        _text("administration"),
        _number("version"),
        sa.Column("mac", sa.LargeBinary(), nullable=False),
        _text("inbox"),
        _text("channel"),
        _number("size"),
        _text("state"),
        _number("since"),
        _number("changed_at"),
        sa.PrimaryKeyConstraint("attachment"),
    )
    op.create_index(
        "ix_quarantined_state_since_attachment", "quarantined", ["state", sa.literal_column("since DESC"), "attachment"]
    )


def downgrade() -> None:
    op.drop_index("ix_quarantined_state_since_attachment", "quarantined")
    op.drop_table("quarantined")
