"""codes that are good for one act"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), autoincrement=False, nullable=False)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=False)


def upgrade() -> None:
    op.create_table(
        "act_grant",
        _text("session"),
        _text("act"),
        _text("object"),
        _text("administration"),
        _number("version"),
        sa.Column("mac", sa.LargeBinary(), nullable=False),
        _text("user"),
        _number("given_at"),
        _number("ends_at"),
        sa.Column("spent", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("session", "act", "object"),
    )


def downgrade() -> None:
    op.drop_table("act_grant")
