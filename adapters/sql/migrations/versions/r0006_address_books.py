"""copies of networks' address books"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), autoincrement=False, nullable=False)


def _number(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "listing",
        _text("channel"),
        _text("address"),
        _text("administration"),
        _number("version"),
        _text("organisation"),
        _text("number"),
        _text("name"),
        _number("gone_at", nullable=True),
        sa.PrimaryKeyConstraint("channel", "address"),
    )
    op.create_table(
        "book_reading",
        _text("channel"),
        _text("administration"),
        _number("version"),
        _text("digest"),
        _number("at"),
        sa.PrimaryKeyConstraint("channel"),
    )


def downgrade() -> None:
    op.drop_table("book_reading")
    op.drop_table("listing")
