"""early - an origin that deals with a request as soon as its head is there, before a body comes."""
from origin import Connection
from wire import Reader


class behind_head:
    """While it is open, requests that begin with ${start} are dealt with as soon as their head is there."""

    def __init__(self, house, start, deal):
        self.origin, self.start, self.deal = house.origin, start, deal

    def __enter__(self):
        talk = self.origin.talk

        def early(connection):
            reader = Reader(connection.pull)
            head = reader.until(b"\r\n\r\n")
            if head and head.startswith(self.start):
                self.deal(connection, head)
                return
            first = [(head + b"\r\n\r\n" if head else b"") + reader.held]
            connection.pull = lambda: first.pop() if first and first[0] else Connection.pull(connection)
            talk(connection)

        self.origin.drop_all()
        self.origin.talk = early

    def __exit__(self, *_):
        del self.origin.talk
        self.origin.drop_all()
