"""The same server and framework with nothing behind them: the form is read, its file is thrown away (see service.py).

What a request costs here is what HTTP, multipart and the clients cost on this machine, whoever serves.
"""

from __future__ import annotations

from fastapi import FastAPI, UploadFile

app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)


@app.post("/predict")
async def predict(file: UploadFile) -> dict[str, int]:
    return {"bytes": len(await file.read())}
