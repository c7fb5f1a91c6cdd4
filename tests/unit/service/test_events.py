"""Six dialects of "an object was created", from samples of each sender."""

import base64
import json

import pytest

from service.errors import MalformedEvent
from service.events import Hint, hints_in, payload_of
from storage.keys import MAX_KEY_BYTES, names_an_upload


def minio(key: str, name: str = "s3:ObjectCreated:Put", bucket: str = "uploads", **extra: object) -> dict:
    record = {
        "eventVersion": "2.0",
        "eventSource": "minio:s3",
        "awsRegion": "",
        "eventTime": "2026-11-20T09:12:31.402Z",
        "eventName": name,
        "userIdentity": {"principalId": "uploader"},
        "requestParameters": {"principalId": "uploader", "region": "", "sourceIPAddress": "127.0.0.1"},
        "responseElements": {"x-amz-request-id": "17B3F0B7C2A9D6E1", "x-minio-origin-endpoint": "http://minio:9000"},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "Config",
            "bucket": {"name": bucket, "ownerIdentity": {"principalId": "uploader"}, "arn": f"arn:aws:s3:::{bucket}"},
            "object": {
                "key": key,
                "size": 1000,
                "eTag": "398533d4811e9f664b1f64cb10c4b63",
                "contentType": "video/mp4",
                "sequencer": "17B3F0B7C34DA9F5",
            },
        },
        "source": {"host": "127.0.0.1", "port": "", "userAgent": "MinIO (linux; amd64) minio-py/7.2.20"},
    }
    record.update(extra)
    return {"EventName": name, "Key": f"{bucket}/decoded", "Records": [record]}


def aws(*keys: str, name: str = "ObjectCreated:CompleteMultipartUpload", version: str = "2.1") -> dict:
    return {
        "Records": [
            {
                "eventVersion": version,
                "eventSource": "aws:s3",
                "awsRegion": "eu-central-1",
                "eventTime": "2026-11-20T09:12:31.402Z",
                "eventName": name,
                "s3": {
                    "s3SchemaVersion": "1.0",
                    "configurationId": "dailies",
                    "bucket": {"name": "uploads", "arn": "arn:aws:s3:::uploads"},
                    "object": {"key": key, "size": 1000, "eTag": "0cc175b9", "sequencer": "0055AED6DCD90281E5"},
                },
            }
            for key in keys
        ]
    }


def eventbridge(key: str, kind: str = "Object Created") -> dict:
    return {
        "version": "0",
        "id": "17793124-05d4-b198-2fde-7ededc63b103",
        "detail-type": kind,
        "source": "aws.s3",
        "account": "111122223333",
        "time": "2026-11-20T09:12:31Z",
        "region": "eu-central-1",
        "resources": ["arn:aws:s3:::uploads"],
        "detail": {
            "version": "0",
            "bucket": {"name": "uploads"},
            "object": {"key": key, "size": 5, "etag": "b1946ac9", "version-id": "IYV3p45B", "sequencer": "00617F"},
            "request-id": "N4N7GDK58NMKJ12R",
            "requester": "123456789012",
            "source-ip-address": "1.2.3.4",
            "reason": "PutObject",
        },
    }


def sns(message: object, kind: str = "Notification") -> dict:
    return {
        "Type": kind,
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": "arn:aws:sns:eu-central-1:111122223333:uploads",
        "Subject": "Amazon S3 Notification",
        "Message": message if isinstance(message, str) else json.dumps(message),
        "SubscribeURL": "https://sns.eu-central-1.amazonaws.com/?Action=ConfirmSubscription",
    }


def seaweedfs(path: str, kind: str = "create", **message: object) -> dict:
    """What `weed mini` really sends, shortened."""
    parent, _, name = path.rpartition("/")
    entry = {
        "name": name,
        "chunks": [{"size": 1000, "modified_ts_ns": 1795458391009842376, "e_tag": "OYUz1IER6fZksfZMsQxLYw=="}],
        "attributes": {"file_size": 1000, "mtime": 1795458391, "file_mode": 432, "mime": "video/mp4"},
        "extended": {"Seaweed-X-Amz-ETag": base64.b64encode(b"398533d4811e9f664b1f64cb10c4b63c").decode()},
    }
    whole: dict[str, object] = {"new_entry": entry, "new_parent_path": parent, "signatures": [-341393180]}
    whole.update(message)
    return {"event_type": kind, "key": path, "message": {k: v for k, v in whole.items() if v is not None}}


DIRECTORY = {"name": "videos", "is_directory": True, "attributes": {"file_mode": 2147484153}}
EMPTY = {"name": "a.mp4", "attributes": {"mtime": 1795458394, "file_mode": 432}}

A = (Hint("uploads", "videos/a.mp4"),)

GIVES = {
    "MinIO, key form-encoded": (minio("my+folder%2F%C3%BC+%2B+1.mp4"), (Hint("uploads", "my folder/ü + 1.mp4"),)),
    "MinIO, post policy": (minio("videos%2Fa.mp4", "s3:ObjectCreated:Post"), A),
    "MinIO, multipart": (minio("videos%2Fa.mp4", "s3:ObjectCreated:CompleteMultipartUpload"), A),
    "MinIO, zero bytes, no size": (
        minio("a.mp4", s3={"bucket": {"name": "uploads"}, "object": {"key": "a.mp4", "eTag": "d41d8"}}),
        (Hint("uploads", "a.mp4"),),
    ),
    "RustFS": (minio("videos%2Fa.mp4", eventSource="rustfs:s3", eventVersion="2.1"), A),
    "RustFS without a version": (minio("videos%2Fa.mp4", eventVersion="2.3", eventSource="rustfs:s3"), A),
    "AWS, names without prefix": (aws("videos/a.mp4"), A),
    "AWS, several records, one twice": (
        aws("b.mp4", "videos/a.mp4", "b.mp4"),
        (Hint("uploads", "b.mp4"), Hint("uploads", "videos/a.mp4")),
    ),
    "EventBridge, key as it is": (eventbridge("videos/a+b%20c.mp4"), (Hint("uploads", "videos/a+b%20c.mp4"),)),
    "SNS around AWS": (sns(aws("videos/a.mp4")), A),
    "SNS around EventBridge": (sns(eventbridge("videos/a.mp4")), A),
    "SeaweedFS create": (seaweedfs("/buckets/uploads/videos/a.mp4"), A),
    "SeaweedFS overwrite": (seaweedfs("/buckets/uploads/videos/a.mp4", "update", old_entry=EMPTY), A),
    "SeaweedFS, key as it is": (seaweedfs("/buckets/uploads/a b+ü%20.mp4"), (Hint("uploads", "a b+ü%20.mp4"),)),
    "SeaweedFS, zero bytes": (
        seaweedfs("/buckets/uploads/a.mp4", new_entry=EMPTY),
        (Hint("uploads", "a.mp4"),),
    ),
    "SeaweedFS rename, old path in its key": (
        {**seaweedfs("/buckets/uploads/videos/a.mp4", "rename"), "key": "/buckets/uploads/old.mp4"},
        A,
    ),
}

GIVES_NOTHING = {
    "probe": {},
    "AWS test message": {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "uploads", "RequestId": "5582"},
    "SNS around the test message": sns({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "uploads"}),
    "SNS subscription": sns("You have chosen to subscribe", "SubscriptionConfirmation"),
    "SNS without a message": {"Type": "Notification"},
    "MinIO delete": minio("a.mp4", "s3:ObjectRemoved:Delete"),
    "MinIO access": minio("a.mp4", "s3:ObjectAccessed:Get"),
    "MinIO other bucket": minio("a.mp4", bucket="derived"),
    "MinIO folder": minio("folder%2F"),
    "AWS of another major version": aws("a.mp4", version="3.0"),
    "no records": {"Records": []},
    "records that are none": {"Records": [None, 7, "x", {}, {"eventName": "s3:ObjectCreated:Put", "s3": None}]},
    "EventBridge delete": eventbridge("a.mp4", "Object Deleted"),
    "EventBridge without object": {"detail-type": "Object Created", "detail": {"bucket": {"name": "uploads"}}},
    "SeaweedFS delete": seaweedfs("/buckets/uploads/a.mp4", "delete", new_entry=None, old_entry=EMPTY),
    "SeaweedFS directory": seaweedfs("/buckets/uploads/videos", new_entry=DIRECTORY),
    "SeaweedFS bucket": seaweedfs("/buckets/uploads", new_entry={**DIRECTORY, "name": "uploads"}),
    "SeaweedFS part": seaweedfs("/buckets/uploads/.uploads/3244826a_7d69/0003_0834.part"),
    "SeaweedFS other bucket": seaweedfs("/buckets/derived/a.mp4"),
    "SeaweedFS outside the buckets": seaweedfs("/etc/iam/identity.json"),
    "SeaweedFS without message": {"event_type": "create", "key": "/buckets/uploads/a.mp4"},
    "SeaweedFS with an odd entry": seaweedfs("/buckets/uploads/a.mp4", new_entry="a.mp4"),
}


@pytest.mark.parametrize("name", GIVES)
def test_every_dialect_names_the_objects_it_announces(name: str) -> None:
    payload, hints = GIVES[name]
    assert hints_in(payload_of(json.dumps(payload).encode()), "uploads") == hints


@pytest.mark.parametrize("name", GIVES_NOTHING)
def test_what_is_no_upload_gives_nothing(name: str) -> None:
    assert hints_in(GIVES_NOTHING[name], "uploads") == ()


@pytest.mark.parametrize(
    "payload",
    [None, [], 7, "x", {"hello": "world"}, {"Records": "x"}, {"Type": "Order"}, sns("no json"), sns(sns(aws("a.mp4")))],
)
def test_an_unknown_dialect_is_said_to_be_unknown(payload: object) -> None:
    with pytest.raises(MalformedEvent):
        hints_in(payload, "uploads")


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe", b"{'a': 1}", b"[" * 100_000])
def test_what_is_no_json_is_said_to_be_none(body: bytes) -> None:
    with pytest.raises(MalformedEvent):
        payload_of(body)


@pytest.mark.parametrize("body", [b"", b" \n", b"{}"])
def test_an_empty_probe_is_no_error(body: bytes) -> None:
    assert hints_in(payload_of(body), "uploads") == ()


@pytest.mark.parametrize(
    "key",
    ["", "a/", "/", "a/../b", "./a", ".uploads/x/0001.part", "a/.uploads/b", "a\x00", "\ud800.mp4", "x" * 1025],
)
def test_keys_no_client_could_have_written_are_no_uploads(key: str) -> None:
    assert not names_an_upload(key)


@pytest.mark.parametrize("key", ["a", "a//b", "a b", "ü.mp4", ".hidden", "x.uploads/a", "x" * MAX_KEY_BYTES])
def test_odd_but_possible_keys_are_uploads(key: str) -> None:
    assert names_an_upload(key)
