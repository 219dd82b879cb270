"""work in shared inboxes: tasks, claims, worksheets, recalls; drafts that can return; filters of the log"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "claim",
        sa.Column("scope", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("message", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("administration", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("inbox", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("user", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("since", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("scope", "message"),
    )
    op.create_table(
        "recall",
        sa.Column("envelope", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("administration", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("message", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("case", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("inbox", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("sender", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("state", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("requested_by", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("requested_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("decided_by", sa.Text(), autoincrement=False, nullable=True),
        sa.Column("decided_at", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.PrimaryKeyConstraint("envelope"),
    )
    with op.batch_alter_table("recall", schema=None) as batch_op:
        batch_op.create_index(
            "ix_recall_administration_requested_at_envelope",
            ["administration", sa.literal_column("requested_at DESC"), "envelope"],
            unique=False,
        )

    op.create_table(
        "task",
        sa.Column("envelope", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("administration", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("inbox", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("message", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("case", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("form_type", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("state", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("received_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("due_at", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.Column("changed_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("changed_by", sa.Text(), autoincrement=False, nullable=True),
        sa.PrimaryKeyConstraint("envelope"),
    )
    with op.batch_alter_table("task", schema=None) as batch_op:
        batch_op.create_index(
            "ix_task_inbox_state_changed_at_envelope",
            ["inbox", "state", sa.literal_column("changed_at DESC"), "envelope"],
            unique=False,
        )
        batch_op.create_index(
            "ix_task_inbox_state_received_at_envelope", ["inbox", "state", "received_at", "envelope"], unique=False
        )

    op.create_table(
        "worksheet",
        sa.Column("inbox", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("item", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("sheet", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("administration", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("user", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("created_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("sealed", sa.LargeBinary(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("inbox", "item", "sheet", "number"),
    )
    with op.batch_alter_table("audit_side", schema=None) as batch_op:
        batch_op.drop_index("ix_audit_side_object")
        batch_op.create_index(
            "ix_audit_side_log_action_number", ["log", "action", sa.literal_column("number DESC")], unique=False
        )
        batch_op.create_index(
            "ix_audit_side_log_administration_number",
            ["log", "administration", sa.literal_column("number DESC")],
            unique=False,
        )
        batch_op.create_index("ix_audit_side_object_number", ["object", sa.literal_column("number DESC")], unique=False)

    with op.batch_alter_table("case_file", schema=None) as batch_op:
        batch_op.add_column(sa.Column("before", sa.Text(), autoincrement=False, nullable=False, server_default=""))
        batch_op.add_column(sa.Column("stage_2_at", sa.BigInteger(), autoincrement=False, nullable=True))

    with op.batch_alter_table("delivery", schema=None) as batch_op:
        batch_op.create_index(
            "ix_delivery_administration_delivered_at_id",
            ["administration", sa.literal_column("delivered_at DESC"), "id"],
            unique=False,
        )
        batch_op.create_index(
            "ix_delivery_administration_state_changed_at", ["administration", "state", "changed_at"], unique=False
        )
        batch_op.create_index("ix_delivery_changed_at_id", [sa.literal_column("changed_at DESC"), "id"], unique=False)

    with op.batch_alter_table("draft", schema=None) as batch_op:
        batch_op.add_column(sa.Column("sent_as", sa.Text(), autoincrement=False, nullable=True))
        batch_op.create_index("ix_draft_sent_as_changed_at", ["sent_as", "changed_at"], unique=False)


def downgrade() -> None:
    raise NotImplementedError("what members wrote is never taken away by a migration")
