"""Clients of the service, in a process of their own: `service_load.py JOB`, the job as JSON, the answer on one line.

A job names an address, the files to send, further headers, how many clients send them, for how many seconds or
requests, and the pace: 0 for the next as soon as an answer is there, or requests a second of all clients together, each
at its own even pace. The time of a paced request counts from when it was due, so that waiting for a late answer before
it is not left out.
"""

from __future__ import annotations

import http.client
import json
import random
import sys
import threading
import time
from pathlib import Path
from typing import Any

BOUNDARY = "----insula-bench"


def body(data: bytes) -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.dcm"\r\n'
    return head.encode() + b"Content-Type: application/dicom\r\n\r\n" + data + f"\r\n--{BOUNDARY}--\r\n".encode()


class Clients:
    def __init__(self, job: dict[str, Any]) -> None:
        self.job = job
        self.bodies = [body(Path(name).read_bytes()) for name in job["files"]]
        self.lock = threading.Lock()
        self.left = int(job.get("requests") or 1 << 60)
        self.seconds: list[float] = []
        self.statuses: dict[str, int] = {}
        self.begin = time.perf_counter() + 0.2  # all threads are there by then
        self.end = self.begin + float(job.get("seconds") or 1e9)

    def client(self, number: int) -> None:
        line = http.client.HTTPConnection("127.0.0.1", self.job["port"], timeout=120)
        headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}", **self.job.get("headers", {})}
        gap = self.job["clients"] / self.job["pace"] if self.job["pace"] else 0.0
        due = self.begin + random.Random(number).random() * gap
        count = number
        while due < self.end:
            with self.lock:
                if not self.left:
                    break
                self.left -= 1
            if (early := due - time.perf_counter()) > 0:
                time.sleep(early)
            line.request("POST", self.job["path"], self.bodies[count % len(self.bodies)], headers)
            answer = line.getresponse()
            answer.read()
            now = time.perf_counter()
            with self.lock:
                self.statuses[str(answer.status)] = self.statuses.get(str(answer.status), 0) + 1
                if now <= self.end:
                    self.seconds.append(now - due)
            count += self.job["clients"]
            due = due + gap if gap else now
        line.close()

    def run(self) -> dict[str, Any]:
        threads = [threading.Thread(target=self.client, args=(i,)) for i in range(self.job["clients"])]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took = min(time.perf_counter(), self.end) - self.begin
        return {"seconds": self.seconds, "statuses": self.statuses, "took": took}


if __name__ == "__main__":
    print(json.dumps(Clients(json.loads(sys.argv[1])).run()))
