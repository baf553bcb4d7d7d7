"""models.py PORT KEYS GOT SEEN: a small origin on loopback that speaks as OpenAI, Anthropic and Stripe do, in clear.

KEYS is a JSON file: the one key of each. Of a streamed answer it holds each piece back until the client has said, by an
octet in the pipe GOT, that it has the one before; when none comes within 10 s, the next piece is 'late'. What prompts quoted
is written to SEEN.
"""
import base64
import json
import os
import select
import sys
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT, KEYS, GOT, SEEN = sys.argv[1:]
with open(KEYS, encoding="utf-8") as file:
    keys = json.load(file)
got = os.open(GOT, os.O_RDWR | os.O_NONBLOCK)  # both ways, so that it never ends
customers = {}


class Origin(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, what):
        octets = json.dumps(what).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(octets)))
        self.end_headers()
        self.wfile.write(octets)

    def event(self, what, name=None):
        text = (f"event: {name}\n" if name else "") + f"data: {what if isinstance(what, str) else json.dumps(what)}\n\n"
        self.wfile.write(text.encode())
        self.wfile.flush()

    def pieces(self):
        yield "one"
        for piece in ("two", "three"):
            heard = select.select([got], [], [], 10)[0]
            if heard:
                os.read(got, 1)
            yield piece if heard else "late"
        if select.select([got], [], [], 10)[0]:
            os.read(got, 1)

    def stream(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True

    def completion(self, asked):
        reply = {"id": "c", "object": "chat.completion", "created": 1, "model": "gpt"}
        if not asked.get("stream"):
            message = {"role": "assistant", "content": "whole"}
            return self.answer(200, reply | {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})
        self.stream()
        for piece in self.pieces():
            self.event(reply | {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": piece}}]})
        self.event("[DONE]")

    def message(self, asked):
        reply = {"id": "m", "type": "message", "role": "assistant", "model": "claude", "content": [], "stop_reason": None,
                 "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1}}
        if not asked.get("stream"):
            return self.answer(200, reply | {"content": [{"type": "text", "text": "whole"}], "stop_reason": "end_turn"})
        self.stream()
        events = [{"type": "message_start", "message": reply},
                  {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}]
        for event in events:
            self.event(event, event["type"])
        for piece in self.pieces():
            event = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}
            self.event(event, event["type"])
        events = [{"type": "content_block_stop", "index": 0},
                  {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None},
                   "usage": {"output_tokens": 3}},
                  {"type": "message_stop"}]
        for event in events:
            self.event(event, event["type"])

    def customer(self, form):
        fields = dict(urllib.parse.parse_qsl(form, strict_parsing=True))
        made = {"id": f"cus_{len(customers)}", "object": "customer", "name": fields["name"]}
        made["metadata"] = {"from": fields["metadata[from]"]}
        customers[made["id"]] = made
        self.answer(200, made)

    def knows_stripe(self):  # whose key is a bearer token or, alone, a user
        user = base64.b64encode(f"{keys['stripe']}:".encode()).decode()
        return self.headers["Authorization"] in (f"Bearer {keys['stripe']}", f"Basic {user}")

    def do_GET(self):
        if not self.knows_stripe():
            return self.answer(401, {"error": {"message": "Invalid API Key provided"}})
        name = self.path.rsplit("/", 1)[1]
        if name not in customers:
            return self.answer(404, {"error": {"message": f"No such customer: {name}"}})
        self.answer(200, customers[name])

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if self.path == "/v1/customers" and self.knows_stripe():
            return self.customer(body)
        if self.path == "/v1/chat/completions" and self.headers["Authorization"] == f"Bearer {keys['openai']}":
            speak = self.completion
        elif self.path == "/v1/messages" and self.headers["x-api-key"] == keys["anthropic"]:
            speak = self.message
        else:
            return self.answer(401, {"error": {"type": "authentication_error", "message": "invalid key"}})
        asked = json.loads(body)
        with open(SEEN, "a", encoding="utf-8") as seen:
            print(asked["messages"][0]["content"], file=seen)
        speak(asked)


ThreadingHTTPServer(("127.0.0.1", int(PORT)), Origin).serve_forever()
