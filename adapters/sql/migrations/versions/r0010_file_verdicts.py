"""what lets a file through

Nothing is written for files from before: each is looked at when somebody next wants it (docs/channels.md §10). A row
that a migration wrote would let through what nobody looked at, and would have to be believed without a MAC.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), autoincrement=False, nullable=False)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=False)


def _octets(name: str) -> sa.Column[bytes]:
    return sa.Column(name, sa.LargeBinary(), nullable=False)


def upgrade() -> None:
    op.create_table(
        "file_verdict",
        _text("attachment"),
        _text("administration"),
        _number("version"),
        _octets("mac"),
        _octets("sha256"),
        _text("structure"),
        _text("malware"),
        _number("at"),
        sa.PrimaryKeyConstraint("attachment"),
    )


def downgrade() -> None:
    op.drop_table("file_verdict")
