"""keyed marks of identities, for exact search"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "identity_mark",
        sa.Column("administration", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("mark", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("case", sa.Text(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("administration", "mark", "case"),
    )


def downgrade() -> None:
    op.drop_table("identity_mark")
