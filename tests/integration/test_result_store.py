"""A result is there only while the files it names are there."""

import pytest
from prefect.results import ResultRecord, ResultRecordMetadata
from prefect.serializers import JSONSerializer

from core.errors import ObjectMissing
from core.settings import Settings
from core.values import Embedded, EncoderSpec, StoredFile
from storage.client import ObjectStore
from tasks.result_store import DailiesManifests, named_files, stored_result

KEY = "video/embed/fp/result.json"


def record(file: StoredFile) -> bytes:
    """A result record as Prefect writes it."""
    spec = EncoderSpec(name="axes", revision="1", dim=3, preprocess="none")
    result = Embedded(fingerprint="fp", encoder=spec, vectors=file)
    metadata = ResultRecordMetadata(serializer=JSONSerializer(), storage_key=KEY)
    return ResultRecord(result=result, metadata=metadata).serialize()


@pytest.fixture
def file(settings: Settings, store: ObjectStore) -> StoredFile:
    return store.put_bytes(b"vectors", "video/embed/fp/1/vectors.npy", "application/octet-stream")


@pytest.fixture
def block(settings: Settings, file: StoredFile) -> DailiesManifests:
    made = DailiesManifests()
    made.write_path(KEY, record(file))
    return made


def test_a_record_names_its_files_wherever_they_stand(file: StoredFile):
    assert named_files(record(file)) == [file]


def test_a_record_whose_files_are_there_is_read(block: DailiesManifests, file: StoredFile):
    assert block.read_path(KEY) == record(file)


def test_a_deleted_file_makes_the_record_absent(block: DailiesManifests, store: ObjectStore, file: StoredFile):
    store.delete("derived", file.key)
    with pytest.raises(ObjectMissing, match=r"vectors\.npy"):
        block.read_path(KEY)
    assert stored_result(store, KEY) is None


def test_a_changed_file_makes_the_record_absent(block: DailiesManifests, store: ObjectStore, file: StoredFile):
    store.put_bytes(b"others!", file.key, "application/octet-stream")
    with pytest.raises(ObjectMissing):
        block.read_path(KEY)


def test_a_record_that_was_never_written_is_absent(settings: Settings, store: ObjectStore):
    with pytest.raises(ObjectMissing):
        DailiesManifests().read_path("nowhere/result.json")


def test_the_block_keeps_no_address_and_no_secret():
    assert DailiesManifests.model_fields.keys() - DailiesManifests.__base__.model_fields.keys() == set()
