"""The one definition of every table, for every process."""

from models.base import Base
from models.counter import Counter
from models.derived_file import DerivedFile
from models.encoder import Encoder, SceneEmbedding
from models.installation import Installation
from models.rendition import Rendition
from models.scene import Scene, Shot
from models.source_object import SourceObject
from models.stage_run import StageGeneration, StageRun
from models.stage_statistic import StageStatistic
from models.states import LIVE_STATUSES, Queue, StageState, VideoStatus
from models.video import Video
from models.video_stage import CoverageCount, Recipe, VideoStage

__all__ = [
    "LIVE_STATUSES",
    "Base",
    "Counter",
    "CoverageCount",
    "DerivedFile",
    "Encoder",
    "Installation",
    "Queue",
    "Recipe",
    "Rendition",
    "Scene",
    "SceneEmbedding",
    "Shot",
    "SourceObject",
    "StageGeneration",
    "StageRun",
    "StageState",
    "StageStatistic",
    "Video",
    "VideoStage",
    "VideoStatus",
]
