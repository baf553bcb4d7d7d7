"""wire - the little of HTTP/1.1 that both ends of the bench read, exact and without repair."""


class Message:
    """start: the first line; fields: [(name, value)] as octets, in order; complete: the framing came to its end."""

    def __init__(self, head):
        lines = head.split(b"\r\n")
        self.head, self.start, self.fields = head, lines[0], []
        for line in lines[1:]:
            name, colon, value = line.partition(b":")
            self.fields.append((name, value.strip(b" \t") if colon else None))
        self.body, self.framing, self.complete, self.trailers = b"", "none", True, []

    def all(self, name):
        return [value for key, value in self.fields if key.lower() == name.lower().encode()]

    def get(self, name):
        values = self.all(name)
        return values[0].decode("latin-1") if values and values[0] is not None else None


class Reader:
    """Takes messages out of pull(), which gives more octets, or b"" at the end."""

    def __init__(self, pull):
        self.pull, self.held = pull, b""

    def until(self, mark, most=8 << 20):
        looked = 0
        while True:
            at = self.held.find(mark, max(0, looked - len(mark)))
            if at >= 0:
                found, self.held = self.held[:at], self.held[at + len(mark) :]
                return found
            looked = len(self.held)
            more = self.pull() if looked <= most else b""
            if not more:
                return None
            self.held += more

    def exactly(self, count):
        parts, have = [self.held], len(self.held)
        while have < count:
            more = self.pull()
            if not more:
                self.held = b""
                return b"".join(parts), False
            parts.append(more)
            have += len(more)
        whole = b"".join(parts)
        self.held = whole[count:]
        return whole[:count], True

    def message(self, bodiless=lambda message: False, until_close=False):
        """The next message; None when the stream ends before a whole head."""
        head = self.until(b"\r\n\r\n")
        if head is None:
            return None
        message = Message(head)
        if bodiless(message):
            return message
        if message.all("transfer-encoding"):
            self.chunked(message)
        elif message.all("content-length"):
            message.framing = "length"
            message.body, message.complete = self.exactly(int(message.all("content-length")[0]))
        elif until_close:
            message.framing = "close"
            while True:
                more = self.pull()
                if not more:
                    break
                self.held += more
            message.body, self.held = self.held, b""
        return message

    def chunked(self, message):
        message.framing, message.complete, parts = "chunked", False, []
        while True:
            line = self.until(b"\r\n")
            if line is None:
                break
            try:
                size = int(line.split(b";")[0], 16)
            except ValueError:
                break
            if size == 0:
                message.complete = self.trailer_section(message)
                break
            part, whole = self.exactly(size + 2)
            parts.append(part[:size])
            if not whole or part[-2:] != b"\r\n":
                break
        message.body = b"".join(parts)

    def trailer_section(self, message):
        while True:
            line = self.until(b"\r\n")
            if line is None:
                return False
            if line == b"":
                return True
            name, _, value = line.partition(b":")
            message.trailers.append((name, value.strip(b" \t")))
