"""What can go wrong between us and the network, one table a file."""

from __future__ import annotations

from tests.mutants.mutant import Faults, Mutant, mutants_of

CONNECTION: Faults = (
    (
        "bytes that nobody asked for are let lie",
        "            self.abort()  # bytes that nobody asked for: the two ends disagree on where an answer ends\n",
        "",
    ),
    (
        "a second answer in one packet is overlooked",
        "if self._answer is None:  # a second answer",
        "if self._status < 0:  # a second answer",
    ),
    (
        "trailers are headers, and those of an answer to nothing",
        "        if self._in_body:  # a trailer",
        "        if self._size < 0:  # a trailer",
    ),
    (
        "each piece may be as long as the whole",
        "        if self._size > self._max_response:",
        "        if len(body) > self._max_response:",
    ),
    (
        "a length that is too much is waited for",
        "self._length is not None and self._length > self._max_response",
        "self._length is None",
    ),
    ("a bomb is told as cut off", "    if len(plain) > longest:\n        raise ExchangeBroken(Broken.OVERSIZE)\n", ""),
    (
        "half of a compressed body is a body",
        "    if not inflater.eof:\n        raise ExchangeBroken(Broken.CUT_OFF)\n",
        "",
    ),
    ("of several members only the first is read", "        plain += more\n", ""),
    (
        "a service that closes is asked again",
        "        if not self._parser.should_keep_alive():\n            self._is_spent = True\n",
        "",
    ),
    (
        "a connection with half a request on it is used again",
        "            self._is_spent = True  # it answered before",
        "            pass  # it answered before",
    ),
    (
        "a connection is used again after a HEAD",
        "            self._is_spent = True  # llhttp would wait",
        "            pass  # llhttp would wait",
    ),
    ("a reset ends a body well", "if exc is None and self._in_body and", "if self._in_body and"),
    ("an end in the headers ends a body well", "if exc is None and self._in_body and", "if exc is None and"),
    ("a body with a length may be shorter", "self._in_body and self._ends_with_connection:", "self._in_body:"),
    (
        "a connection that is being closed is used",
        "        # loop says so by `connection_lost`, but a turn later.\n        self._is_spent = True\n",
        "        self._is_open = True\n",
    ),
    ("early hints are the answer", "        if self._status < 200:  #", "        if self._status == 100:  #"),
    ("headers are without end", "if self._besides > MAX_HEAD:", "if self._besides < 0:"),
    (
        "whoever waits on a closed connection is not told",
        "        if answer is not None and not answer.done():\n            answer.set_exception",
        "        if answer is not None and answer.done():\n            answer.set_exception",
    ),
)

WIRE: Faults = (
    (
        "a write goes out on a connection that may be closing",
        "SHORT_IDLE if is_write else LONGEST_IDLE",
        "LONGEST_IDLE",
    ),
    ("a write is taken for a read", "is_write=not request.is_safe", "is_write=False"),
    ("a connection is used until the very end of its keeping", "connection.keep_alive - 1.0", "connection.keep_alive"),
    (
        "the deadline is not passed on",
        'if request.deadline.at != float("inf"):',
        'if request.deadline.at == float("inf"):',
    ),
    ("the service is given as long as we have", " - _ALLOWANCE_MS", ""),
    (
        "the key is not sent",
        "if request.idempotency_key is not None:",
        "if request.idempotency_key is not None and has_type:",
    ),
    (
        "a deadline that was forwarded goes out as well",
        "if lower in NEVER_GIVEN or lower in self._constant:",
        "if lower in self._constant:",
    ),
    (
        "*/* stands beside what an author accepts",
        '        if not (has_accept or "accept" in self._constant):\n',
        "        if lines:\n",
    ),
    (
        "a cancelled exchange leaves its connection to the next",
        "except BaseException:  # nobody waits",
        "except Exception:  # nobody waits",
    ),
    ("a header breaks the line", "if not is_sendable(name, value):", "if not is_token(name):"),
    ("a method breaks the line", "        if not is_token(request.method):\n", "        if not request.method:\n"),
    (
        "a slash in a value is one in the query",
        '(quote(name, safe=""), quote(value, safe=""))',
        '(quote(name, safe=""), quote(value))',
    ),
    (
        "a path climbs",
        'return None if not path.startswith("/") or climbs(path) else',
        'return None if not path.startswith("/") else',
    ),
    ("encoded dots climb", '_ENCODED_DOT(".", segment)', "segment"),
    (
        "what was never sent may have happened",
        "service=self._service, applied=False)",
        "service=self._service, applied=None)",
    ),
    (
        "what may have happened was never sent",
        "service=self._service, applied=None)",
        "service=self._service, applied=False)",
    ),
    ("an answer that is too long was not given", "applied = True if 200 <= status < 300 else None", "applied = None"),
    (
        "a connection to an address that is gone is kept",
        "is_current = self._origins.get(origin.address) is origin",
        "is_current = True",
    ),
    (
        "any certificate will do",
        "ssl.create_default_context(cafile=self._config.ca_file)",
        "ssl._create_unverified_context()",
    ),
    ("certificates are read in the connection's time", "ssl=tls\n", "ssl=self._context() if origin.is_tls else None\n"),
)

TRANSPORT: Faults = (
    ("one caller's cookie is everybody's", "        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),\n", ""),
    ("a path is a label", 'else f"{request.method} *"', 'else f"{request.method} {request.url.path}"'),
    (
        "without a timeout there is no deadline",
        "return DEFAULT_TIMEOUT if read is None else Seconds(read)",
        'return Seconds(float("inf")) if read is None else Seconds(read)',
    ),
    ("a key is not the call's", '            idempotency_key=request.headers.get("idempotency-key"),\n', ""),
)

THE_WIRE: list[Mutant] = [
    *mutants_of("services/http1_connection.py", ("tests/unit/services/test_http1_connection.py",), CONNECTION),
    *mutants_of("services/http1_wire.py", ("tests/integration/test_wire.py",), WIRE),
    *mutants_of("services/httpx_transport.py", ("tests/unit/services/test_httpx_transport.py",), TRANSPORT),
]
