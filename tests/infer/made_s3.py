"""A bucket of moto's server on loopback, with the files of a folder."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

_COUNT = itertools.count()


@contextmanager
def bucket(folder: Path) -> Iterator[str]:
    """Its address; the account and the endpoint stand in the environment, as a site would give them."""
    import boto3
    import fsspec
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    name = f"archive-{next(_COUNT)}"  # servers of one process share what they hold
    endpoint = f"http://{host}:{port}"
    given = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "made",
        "AWS_SECRET_ACCESS_KEY": "made",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    try:
        with mock.patch.dict(os.environ, given):
            client = boto3.client("s3")
            client.create_bucket(Bucket=name)
            for path in sorted(folder.rglob("*")):
                if path.is_file():
                    client.upload_file(str(path), name, f"scans/{path.relative_to(folder).as_posix()}")
            yield f"s3://{name}/scans"
    finally:
        fsspec.filesystem("s3").clear_instance_cache()
        server.stop()
