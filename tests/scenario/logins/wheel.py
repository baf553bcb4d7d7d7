"""wheel.py FOLDER: an index of one project below FOLDER/simple, and its wheel, as PEP 427 and PEP 503 ask."""
import base64
import hashlib
import os
import sys
import zipfile

NAME = "osb_mine-1.0-py3-none-any.whl"
folder = os.path.join(sys.argv[1], "simple", "osb-mine")
os.makedirs(folder)
files = {
    "osb_mine.py": "SAYS = 'welcome'\n",
    "osb_mine-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: osb-mine\nVersion: 1.0\n",
    "osb_mine-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: osb\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
}
record = ""
for name, text in files.items():
    digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
    record += f"{name},sha256={digest},{len(text)}\n"
files["osb_mine-1.0.dist-info/RECORD"] = record + "osb_mine-1.0.dist-info/RECORD,,\n"
with zipfile.ZipFile(os.path.join(folder, NAME), "w") as wheel:
    for name, text in files.items():
        wheel.writestr(name, text)
with open(os.path.join(folder, "index.html"), "w", encoding="utf-8") as index:
    index.write(f'<!DOCTYPE html>\n<a href="{NAME}">{NAME}</a>\n')
