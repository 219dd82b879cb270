"""case systems: keys that end, sessions with a scope, memberships with a ceiling, messages under a client's ids"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_ADDED = {
    "factor": (("ends_at", sa.BigInteger(), "0"), ("used", sa.Text(), "'[]'")),
    "session": (("scope", sa.Text(), "'[]'"),),
    "membership": (("ceiling", sa.Text(), "''"),),
}


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), autoincrement=False, nullable=False)


def upgrade() -> None:
    for table, columns in _ADDED.items():
        with op.batch_alter_table(table) as changed:
            for name, kind, default in columns:
                changed.add_column(sa.Column(name, kind, nullable=False, server_default=sa.text(default)))
    op.create_table(
        "system_message",
        _text("user"),
        _text("id"),
        _text("administration"),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        _text("inbox"),
        _text("message"),
        _text("envelope"),
        sa.Column("sent", sa.Boolean(), nullable=False),
        sa.Column("gone", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("user", "id"),
    )
    op.create_index(
        "ix_system_message_user_sent_gone_created_at_id",
        "system_message",
        ["user", "sent", "gone", sa.literal_column("created_at DESC"), "id"],
    )
    op.create_table(
        "system_thread",
        _text("user"),
        _text("name"),
        _text("administration"),
        _text("value"),
        sa.PrimaryKeyConstraint("user", "name"),
    )


def downgrade() -> None:
    op.drop_table("system_thread")
    op.drop_index("ix_system_message_user_sent_gone_created_at_id", "system_message")
    op.drop_table("system_message")
    for table, columns in _ADDED.items():
        with op.batch_alter_table(table) as changed:
            for name, _, _ in columns:
                changed.drop_column(name)
