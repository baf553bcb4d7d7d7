"""httpx_client.py bearer|basic URL: one request of the library as it comes, over HTTP/1.1; it reads SSL_CERT_FILE."""
import os
import sys

import httpx

way, url = sys.argv[1:]
token = os.environ["API_TOKEN"]
headers, auth = ({"authorization": f"Bearer {token}"}, None) if way == "bearer" else ({}, ("octo", token))
try:
    answer = httpx.get(url, headers=headers, auth=auth, timeout=30)
    answer.raise_for_status()
    print(answer.status_code, answer.text.strip())
except httpx.HTTPError as why:
    sys.exit(str(why))
