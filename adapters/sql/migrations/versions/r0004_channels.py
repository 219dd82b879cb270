"""administrations outside, routes, channel keys, conversations and arrivals"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), autoincrement=False, nullable=False)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=False)


def _octets(name: str) -> sa.Column[bytes]:
    return sa.Column(name, sa.LargeBinary(), nullable=False)


def upgrade() -> None:
    with op.batch_alter_table("administration") as table:
        table.add_column(sa.Column("outside", sa.Boolean(), nullable=False, server_default=sa.false()))
        table.add_column(sa.Column("signing_key", sa.Text(), nullable=False, server_default=""))
    with op.batch_alter_table("delivery") as table:
        table.add_column(sa.Column("reference", sa.Text(), nullable=False, server_default=""))
        table.add_column(sa.Column("reason", sa.Text(), nullable=False, server_default=""))
    with op.batch_alter_table("notice") as table:
        table.add_column(sa.Column("about", sa.Text(), nullable=False, server_default=""))
    op.create_index("ix_notice_inbox_state_created_at", "notice", ["inbox", "state", "created_at"])
    op.create_table(
        "route",
        _text("inbox"),
        _text("channel"),
        _text("administration"),
        _number("version"),
        _octets("mac"),
        _text("address"),
        _number("rank"),
        _text("pin"),
        sa.PrimaryKeyConstraint("inbox", "channel"),
    )
    op.create_index("ux_route_channel_address", "route", ["channel", "address"], unique=True)
    op.create_table(
        "channel_key",
        _text("owner"),
        _number("epoch"),
        _text("administration"),
        _text("record"),
        _octets("wrapped"),
        _number("created_at"),
        sa.PrimaryKeyConstraint("owner", "epoch"),
    )
    op.create_table(
        "conversation",
        _text("channel"),
        _text("id"),
        _text("party"),
        _text("administration"),
        _text("case"),
        sa.PrimaryKeyConstraint("channel", "id", "party"),
    )
    op.create_index("ix_conversation_case", "conversation", ["case"])
    op.create_table(
        "arrival",
        _text("channel"),
        _text("id"),
        _text("administration"),
        _text("inbox"),
        _text("message"),
        _octets("fingerprint"),
        _text("answer"),
        _number("at"),
        sa.PrimaryKeyConstraint("channel", "id"),
    )
    op.create_index("ix_arrival_message", "arrival", ["message"])


def downgrade() -> None:
    for name in ("arrival", "conversation", "channel_key", "route"):
        op.drop_table(name)
    op.drop_index("ix_notice_inbox_state_created_at", "notice")
    with op.batch_alter_table("notice") as table:
        table.drop_column("about")
    with op.batch_alter_table("delivery") as table:
        table.drop_column("reason")
        table.drop_column("reference")
    with op.batch_alter_table("administration") as table:
        table.drop_column("signing_key")
        table.drop_column("outside")
