"""guest codes

Revision: 0006, after 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "guest_codes",
        sa.Column("id", sa.String(length=200), nullable=False),
        sa.Column("digest", sa.String(length=200), nullable=False),
        sa.Column("log", sa.String(length=200), nullable=False),
        sa.Column("label", sa.String(length=200), nullable=False),
        sa.Column("group", sa.String(length=200), nullable=False),
        sa.Column("devices", sa.Integer(), nullable=False),
        sa.Column("starts", sa.DateTime(), nullable=False),
        sa.Column("ends", sa.DateTime(), nullable=False),
        sa.Column("person", sa.String(length=200), nullable=False),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.Column("revoked", sa.DateTime(), nullable=True),
        sa.ForeignKeyConstraint(["log"], ["logs.id"], name=op.f("fk_guest_codes_log")),
        sa.ForeignKeyConstraint(["person"], ["people.id"], name=op.f("fk_guest_codes_person")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_guest_codes")),
        sa.UniqueConstraint("digest", name=op.f("uq_guest_codes_digest")),
    )
    op.create_index(op.f("ix_guest_codes_log"), "guest_codes", ["log"], unique=False)
