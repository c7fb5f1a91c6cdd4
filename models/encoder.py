"""Encoders and the vectors they gave; two vectors compare only inside one encoder."""

from uuid import UUID

from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import CheckConstraint, ForeignKey, Index, SmallInteger, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from core.values import EncoderSpec
from models.base import Base, Created


class Encoder(Base):
    """One embedding space: name, revision, dimension and preprocessing."""

    __tablename__ = "encoder"

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=True)

    name: Mapped[str]
    revision: Mapped[str]
    dim: Mapped[int]
    preprocess: Mapped[str]
    #: What to load it by, as `DAILIES_ENCODER__NAME` said; None in rows that are older than this column.
    source: Mapped[str | None]
    is_active: Mapped[bool] = mapped_column(server_default=text("false"), default=False)
    created_at: Mapped[Created]

    __table_args__ = (
        UniqueConstraint("name", "revision", "dim", "preprocess"),
        CheckConstraint("dim BETWEEN 1 AND 4000", name="indexable_dim"),  # halfvec HNSW takes up to 4,000
        # At most one encoder answers searches.
        Index("uq_encoder_active", "is_active", unique=True, postgresql_where=text("is_active")),
    )

    @property
    def spec(self) -> EncoderSpec:
        """Identity of the space."""
        return EncoderSpec(name=self.name, revision=self.revision, dim=self.dim, preprocess=self.preprocess)


class SceneEmbedding(Base):
    """The vector one encoder gave one scene; unit length."""

    __tablename__ = "scene_embedding"

    scene_id: Mapped[UUID] = mapped_column(ForeignKey("scene.id", ondelete="CASCADE"), primary_key=True)
    encoder_id: Mapped[int] = mapped_column(SmallInteger, ForeignKey("encoder.id"), primary_key=True)
    owner_id: Mapped[str]
    #: Without a fixed dimension: each encoder has its own, held by its partial index's cast.
    vector: Mapped[list[float]] = mapped_column(HALFVEC())

    __table_args__ = (Index("ix_scene_embedding_owner", "encoder_id", "owner_id"),)
