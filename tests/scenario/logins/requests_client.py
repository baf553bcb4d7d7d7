"""requests_client.py bearer|basic URL: one request of the library as it comes; it reads REQUESTS_CA_BUNDLE."""
import os
import sys

import requests

way, url = sys.argv[1:]
token = os.environ["API_TOKEN"]
headers, auth = ({"authorization": f"Bearer {token}"}, None) if way == "bearer" else ({}, ("octo", token))
try:
    answer = requests.get(url, headers=headers, auth=auth, timeout=30)
    answer.raise_for_status()
    print(answer.status_code, answer.text.strip())
except requests.RequestException as why:
    sys.exit(str(why))
