"""the first tables"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "administration",
        sa.Column("administration", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("mac", sa.LargeBinary(), autoincrement=False, nullable=False),
        sa.Column("organisation", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("administration"),
    )
    op.create_table(
        "administration_key",
        sa.Column("administration", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("label", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), autoincrement=False, nullable=False),
        sa.Column("created_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("administration", "label", "epoch"),
    )
    op.create_table(
        "attachment",
        sa.Column("id", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("administration", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("draft", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("inbox", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("state", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("blob", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("sha256", sa.LargeBinary(), autoincrement=False, nullable=False),
        sa.Column("created_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("sealed", sa.LargeBinary(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("attachment", schema=None) as batch_op:
        batch_op.create_index("ix_attachment_blob", ["blob"], unique=False)
        batch_op.create_index("ix_attachment_draft_created_at", ["draft", "created_at"], unique=False)

    op.create_table(
        "attempt_counter",
        sa.Column("subject", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("method", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("administration", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("failures", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("next_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("subject", "method"),
    )
    op.create_table(
        "audit_leaf",
        sa.Column("log", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("administration", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("leaf", sa.LargeBinary(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.LargeBinary(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("log", "number"),
    )
    op.create_table(
        "audit_side",
        sa.Column("log", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("administration", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("action", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("actor", sa.LargeBinary(), autoincrement=False, nullable=False),
        sa.Column("object", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("scope", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("shred_key", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("sealed", sa.LargeBinary(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("log", "number"),
    )
    with op.batch_alter_table("audit_side", schema=None) as batch_op:
        batch_op.create_index("ix_audit_side_actor_at", ["actor", "at"], unique=False)
        batch_op.create_index("ix_audit_side_object", ["object"], unique=False)

    op.create_table(
        "board",
        sa.Column("id", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("administration", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("mac", sa.LargeBinary(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("seats", sa.Text(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "case_file",
        sa.Column("id", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("administration", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("mac", sa.LargeBinary(), autoincrement=False, nullable=False),
        sa.Column("reference", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("owner", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("state", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("matched_units", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("opened_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("changed_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("case_file", schema=None) as batch_op:
        batch_op.create_index("ux_case_file_reference", ["reference"], unique=True)

    op.create_table(
        "case_party",
        sa.Column("case", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("inbox", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("administration", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("since", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("opened_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("case", "inbox"),
    )
    with op.batch_alter_table("case_party", schema=None) as batch_op:
        batch_op.create_index(
            "ix_case_party_inbox_opened_at_case", ["inbox", sa.literal_column("opened_at DESC"), "case"], unique=False
        )

    op.create_table(
        "checkpoint",
        sa.Column("log", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("administration", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("root", sa.LargeBinary(), autoincrement=False, nullable=False),
        sa.Column("note", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("log", "size"),
    )
    op.create_table(
        "consent",
        sa.Column("id", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("administration", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("mac", sa.LargeBinary(), autoincrement=False, nullable=False),
        sa.Column("case", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("state", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("valid_from", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("valid_to", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("recorded_by", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("withdrawn_at", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.Column("sealed", sa.LargeBinary(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("consent", schema=None) as batch_op:
        batch_op.create_index(
            "ix_consent_case_recorded_at", ["case", sa.literal_column("recorded_at DESC")], unique=False
        )

    op.create_table(
        "decision",
        sa.Column("id", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("administration", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("case", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("outcome", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("policies", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("sealed", sa.LargeBinary(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "delivery",
        sa.Column("id", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("administration", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("envelope", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("message", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("inbox", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("channel", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("state", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("attempts", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("due_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("lease_until", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.Column("lease_owner", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("expires_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("delivered_at", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.Column("changed_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("delivery", schema=None) as batch_op:
        batch_op.create_index("ix_delivery_channel_state_due_at_id", ["channel", "state", "due_at", "id"], unique=False)
        batch_op.create_index("ix_delivery_envelope", ["envelope"], unique=False)
        batch_op.create_index(
            "ix_delivery_inbox_delivered_at_id", ["inbox", sa.literal_column("delivered_at DESC"), "id"], unique=False
        )
        batch_op.create_index("ix_delivery_message", ["message"], unique=False)
        batch_op.create_index("ix_delivery_state_changed_at", ["state", "changed_at"], unique=False)
        batch_op.create_index("ix_delivery_state_lease_until", ["state", "lease_until"], unique=False)

    op.create_table(
        "delivery_consent",
        sa.Column("delivery", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("consent", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("administration", sa.Text(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("delivery", "consent"),
    )
    with op.batch_alter_table("delivery_consent", schema=None) as batch_op:
        batch_op.create_index("ix_delivery_consent_consent", ["consent"], unique=False)

    op.create_table(
        "draft",
        sa.Column("id", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("administration", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("inbox", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("user", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("case", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("form_type", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("form_version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("created_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("changed_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("sealed", sa.LargeBinary(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("draft", schema=None) as batch_op:
        batch_op.create_index(
            "ix_draft_inbox_created_at_id", ["inbox", sa.literal_column("created_at DESC"), "id"], unique=False
        )

    op.create_table(
        "envelope",
        sa.Column("id", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("administration", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("message", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("case", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("inbox", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("sender_copy", sa.Boolean(), autoincrement=False, nullable=False),
        sa.Column("transcript", sa.LargeBinary(), autoincrement=False, nullable=False),
        sa.Column("created_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("octets", sa.LargeBinary(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("envelope", schema=None) as batch_op:
        batch_op.create_index("ix_envelope_message", ["message"], unique=False)

    op.create_table(
        "envelope_attachment",
        sa.Column("envelope", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("attachment", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("administration", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("blob", sa.Text(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("envelope", "attachment"),
    )
    with op.batch_alter_table("envelope_attachment", schema=None) as batch_op:
        batch_op.create_index("ix_envelope_attachment_blob", ["blob"], unique=False)

    op.create_table(
        "envelope_wrap",
        sa.Column("envelope", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("administration", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("inbox", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("record", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("shred_key", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("batch", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("locked", sa.LargeBinary(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("envelope"),
    )
    with op.batch_alter_table("envelope_wrap", schema=None) as batch_op:
        batch_op.create_index("ix_envelope_wrap_batch", ["batch"], unique=False)

    op.create_table(
        "factor",
        sa.Column("user", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("administration", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("mac", sa.LargeBinary(), autoincrement=False, nullable=False),
        sa.Column("secret", sa.LargeBinary(), autoincrement=False, nullable=False),
        sa.Column("last_step", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("created_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("usable_from", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("user", "kind"),
    )
    op.create_table(
        "generation",
        sa.Column("name", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("administration", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("mac", sa.LargeBinary(), autoincrement=False, nullable=False),
        sa.Column("digest", sa.Text(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "idempotency",
        sa.Column("inbox", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("idempotency_key", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("administration", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), autoincrement=False, nullable=False),
        sa.Column("answer", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("created_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("inbox", "idempotency_key"),
    )
    op.create_table(
        "inbox",
        sa.Column("id", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("administration", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("mac", sa.LargeBinary(), autoincrement=False, nullable=False),
        sa.Column("unit", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("accepts", sa.Text(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "inbox_wrap",
        sa.Column("inbox", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("user", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("administration", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("member_record", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("inbox", "epoch", "user"),
    )
    op.create_table(
        "key_head",
        sa.Column("kind", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("owner", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("administration", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("record", sa.Text(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("kind", "owner"),
    )
    op.create_table(
        "key_record",
        sa.Column("id", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("administration", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("owner", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("revision", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("suite", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("public_key", sa.LargeBinary(), autoincrement=False, nullable=False),
        sa.Column("wraps", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("added_by", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("approval", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("previous", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("created_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("signer", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("signature", sa.LargeBinary(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("key_record", schema=None) as batch_op:
        batch_op.create_index(
            "ux_key_record_kind_owner_epoch_revision", ["kind", "owner", "epoch", "revision"], unique=True
        )

    op.create_table(
        "member_key",
        sa.Column("user", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("administration", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("record", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), autoincrement=False, nullable=False),
        sa.Column("created_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("user", "epoch"),
    )
    op.create_table(
        "membership",
        sa.Column("inbox", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("user", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("administration", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("mac", sa.LargeBinary(), autoincrement=False, nullable=False),
        sa.Column("role", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("state", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("bootstrap", sa.Boolean(), autoincrement=False, nullable=False),
        sa.Column("admitted_by", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("proposed_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("decided_at", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.PrimaryKeyConstraint("inbox", "user"),
    )
    with op.batch_alter_table("membership", schema=None) as batch_op:
        batch_op.create_index("ix_membership_user", ["user"], unique=False)

    op.create_table(
        "message",
        sa.Column("id", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("administration", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("case", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("form_type", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("form_version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("sender", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("origin", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("decision", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("in_reply_to", sa.Text(), autoincrement=False, nullable=True),
        sa.Column("document", sa.LargeBinary(), autoincrement=False, nullable=False),
        sa.Column("created_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("message", schema=None) as batch_op:
        batch_op.create_index(
            "ix_message_case_created_at_id", ["case", sa.literal_column("created_at DESC"), "id"], unique=False
        )

    op.create_table(
        "notice",
        sa.Column("id", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("administration", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("inbox", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("case", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("state", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("created_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "organisation",
        sa.Column("id", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("administration", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("mac", sa.LargeBinary(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Text(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "reading",
        sa.Column("envelope", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("user", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("administration", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("first_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("last_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("envelope", "user"),
    )
    op.create_table(
        "receipt",
        sa.Column("envelope", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("administration", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("id", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("message", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("inbox", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("transcript", sa.LargeBinary(), autoincrement=False, nullable=False),
        sa.Column("signer", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("octets", sa.LargeBinary(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("envelope", "kind"),
    )
    with op.batch_alter_table("receipt", schema=None) as batch_op:
        batch_op.create_index("ix_receipt_message", ["message"], unique=False)

    op.create_table(
        "seat_answer",
        sa.Column("proposal", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("administration", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("case", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("request", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("proposer", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("confirmer", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("state", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("document", sa.LargeBinary(), autoincrement=False, nullable=False),
        sa.Column("endorsement", sa.LargeBinary(), autoincrement=False, nullable=False),
        sa.Column("answer", sa.Text(), autoincrement=False, nullable=True),
        sa.Column("proposed_by", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("decided_by", sa.Text(), autoincrement=False, nullable=True),
        sa.Column("changed_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("proposal"),
    )
    with op.batch_alter_table("seat_answer", schema=None) as batch_op:
        batch_op.create_index(
            "ix_seat_answer_case_changed_at", ["case", sa.literal_column("changed_at DESC")], unique=False
        )

    op.create_table(
        "session",
        sa.Column("id", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("administration", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("mac", sa.LargeBinary(), autoincrement=False, nullable=False),
        sa.Column("user", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("state", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("method", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("started_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("seen_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("ends_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("session", schema=None) as batch_op:
        batch_op.create_index(
            "ix_session_user_started_at", ["user", sa.literal_column("started_at DESC")], unique=False
        )

    op.create_table(
        "shred_batch",
        sa.Column("id", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("administration", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("state", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("created_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("shred_batch", schema=None) as batch_op:
        batch_op.create_index("ix_shred_batch_state", ["state"], unique=False)

    op.create_table(
        "side_key",
        sa.Column("scope", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("year", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("administration", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("shred_key", sa.Text(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("scope", "year"),
    )
    with op.batch_alter_table("side_key", schema=None) as batch_op:
        batch_op.create_index("ix_side_key_shred_key", ["shred_key"], unique=False)

    op.create_table(
        "step_up_window",
        sa.Column("session", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("inbox", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("administration", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("mac", sa.LargeBinary(), autoincrement=False, nullable=False),
        sa.Column("user", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("opened_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("ends_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("openings", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("session", "inbox"),
    )
    op.create_table(
        "unit",
        sa.Column("id", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("administration", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("mac", sa.LargeBinary(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("secrecy_regime", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("legal_form", sa.Text(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "user",
        sa.Column("id", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("administration", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("mac", sa.LargeBinary(), autoincrement=False, nullable=False),
        sa.Column("login", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("title", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("roles", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("state", sa.Text(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("user", schema=None) as batch_op:
        batch_op.create_index("ux_user_login", ["login"], unique=True)


def downgrade() -> None:
    raise NotImplementedError("the first tables are never taken away")
