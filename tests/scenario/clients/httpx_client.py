"""httpx_client.py URL: three requests of a client that is asked for HTTP/2; it reads SSL_CERT_FILE and HTTPS_PROXY."""
import os
import sys

import httpx

with httpx.Client(http2=True, headers={"x-api-key": os.environ["API_KEY"]}, timeout=30) as client:
    for name in ("get", "post", "down"):
        body = b"x" * 299957 + os.environ["API_KEY"].encode() if name == "post" else None
        answer = client.request("POST" if body else "GET", f"{sys.argv[1]}/{name}", content=body)
        proto = {"HTTP/2": "h2", "HTTP/1.1": "h1"}[answer.http_version]
        got = answer.text.strip() if len(answer.content) < 100 else len(answer.content)
        print(name, answer.status_code, proto, got)
