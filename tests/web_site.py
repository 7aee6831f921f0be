"""A web site of raw answers on this machine, for what reads the web."""

import socket
import threading

HTML = b"content-type: text/html\r\n"


class Site:
    """A server of raw answers: `answers[path]` is sent as it is; `asked` keeps the requests."""

    def __init__(self):
        self.answers, self.asked, self.done = {}, [], threading.Event()
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.at = f"127.0.0.1:{self.port}"
        self.threads = [threading.Thread(target=self.serve)]
        self.threads[0].start()

    def serve(self):
        while not self.done.is_set():
            client = self.socket.accept()[0]
            self.threads.append(threading.Thread(target=self.answer, args=[client]))
            self.threads[-1].start()

    def answer(self, client):
        with client:
            client.settimeout(5)
            said = client.recv(65536)
            self.asked.append(said)
            path = said.split(b" ")[1].decode() if b" HTTP/" in said else ""
            for part in self.answers.get(path, []):
                try:
                    client.sendall(part)
                except OSError:
                    return
                if part == b"":
                    self.done.wait(5)

    def page(self, path, body=b"", head=HTML, status=b"200 OK"):
        length = b"connection: close\r\ncontent-length: %d\r\n" % len(body)
        self.answers[path] = [b"HTTP/1.1 " + status + b"\r\n" + head + length + b"\r\n" + body]

    def leads(self, path, to):
        self.page(path, status=b"302 Found", head=b"location: " + to.encode() + b"\r\n")

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.done.set()
        socket.create_connection(("127.0.0.1", self.port)).close()
        for thread in self.threads:
            thread.join()
        self.socket.close()
