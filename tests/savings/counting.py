"""A provider that counts what it sold, the generator that asks it, and a tally of what it cost."""

import json
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple, Self

GUARD_S = 30.0
MODEL = "lesson-model"
_A_PRIME = 7919
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Tokens(NamedTuple):
    """Tokens that went in, those of them from the provider's cache, and what came out."""

    input: int = 0
    cached: int = 0
    output: int = 0

    def plus(self, other: "Tokens") -> "Tokens":
        """The sums."""
        return Tokens(*(a + b for a, b in zip(self, other, strict=True)))


def tokens_of_answer(number: int) -> Tokens:
    """What the answer of this number took; no two sums of a few are alike."""
    spread = number * _A_PRIME % 10_007
    return Tokens(1000 + spread, spread % 100, 1 + spread**2 % 5_003)


class CountingServer:
    """Answers chat completions on a port of its own, numbered from 1, and counts their tokens."""

    def __init__(self) -> None:
        self.requests = 0
        self.sold: dict[int, Tokens] = {}
        """What each answer took, by its number."""
        self.fails = False
        self.finish = "stop"
        self.may_answer = threading.Event()
        """Unset it, and requests are held until it is set."""
        self.may_answer.set()
        self.lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        """Where to post to."""
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1/chat/completions"

    @property
    def spent(self) -> Tokens:
        """Everything it sold."""
        return summed(self.sold.values())

    def __enter__(self) -> Self:
        """Listens."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Answers what is held, and listens no more."""
        self.may_answer.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(GUARD_S)

    def answer(self) -> tuple[int, dict[str, Any]]:
        """The status and the document of one request."""
        with self.lock:
            self.requests += 1
        self.may_answer.wait(GUARD_S)
        with self.lock:
            if self.fails:
                return 500, {"error": {"message": "overloaded"}}
            number = len(self.sold) + 1
            tokens = self.sold[number] = tokens_of_answer(number)
        return 200, {
            "id": f"chatcmpl-{number}",
            "object": "chat.completion",
            "model": MODEL,
            "choices": [
                {
                    "index": 0,
                    "finish_reason": self.finish,
                    "message": {"role": "assistant", "content": f"answer {number}"},
                }
            ],
            "usage": {
                "prompt_tokens": tokens.input,
                "completion_tokens": tokens.output,
                "total_tokens": tokens.input + tokens.output,
                "prompt_tokens_details": {"cached_tokens": tokens.cached},
            },
        }


def _handler(server: CountingServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            status, document = server.answer()
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Says nothing on stderr."""

    return Handler


def ask(url: str) -> dict[str, Any]:
    """What a client of the provider does: one request, its answer as a dict, or HTTPError."""
    body = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": "Go on."}]})
    request = urllib.request.Request(  # noqa: S310 - a server of our own
        url, data=body.encode(), headers={"Content-Type": "application/json"}
    )
    try:
        with _direct.open(request, timeout=GUARD_S) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        error.close()
        raise


@dataclass
class Tally:
    """What callers got, judged by nothing but the answers in their hands and the server's book."""

    server: CountingServer
    got: list[int] = field(default_factory=list)
    saved: Tokens = field(default_factory=Tokens)
    """Of what was there before its caller asked, or was bought for another caller."""
    replayed: int = 0
    _delivered: set[int] = field(default_factory=set)

    def begin(self) -> frozenset[int]:
        """What was sold before a caller asks."""
        with self.server.lock:
            return frozenset(self.server.sold)

    def note(self, answer: dict[str, Any], before: frozenset[int]) -> None:
        """An answer that a caller got."""
        number = number_of(answer)
        self.got.append(number)
        if number in before or number in self._delivered:
            self.replayed += 1
            self.saved = self.saved.plus(tokens_of_answer(number))
        self._delivered.add(number)


def number_of(answer: dict[str, Any]) -> int:
    """The number of an answer."""
    return int(answer["choices"][0]["message"]["content"].removeprefix("answer "))


def summed(several: Any) -> Tokens:
    """The sum of tokens."""
    total = Tokens()
    for tokens in several:
        total = total.plus(tokens)
    return total
