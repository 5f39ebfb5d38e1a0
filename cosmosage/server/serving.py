"""Where the server listens, to whom, and how it begins and ends."""

import argparse
import asyncio
import functools
import ipaddress
import logging
import os
import re
import socket
import ssl
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from cosmosage.accounts import Accounts, Conversations, Gate, User
from cosmosage.assistant import Assistant
from cosmosage.engines import open_engine
from cosmosage.reranking import Reranked, Reranker
from cosmosage.retrieval import Index
from cosmosage.server.app import application
from cosmosage.server.door import HEAD_BYTES, Refusal
from cosmosage.server.service import Service
from cosmosage.verbatim import Verbatim

HOST = "127.0.0.1"
WAITING = 32
"""Questions in the line; the next one is told that the server is busy. At eight answers at once,
of some ten seconds each, the last of them waits for less than a minute."""
HEAD_S = 10.0
"""Seconds for a request's line and headers to arrive, and between two of them."""
SEND_S = 60.0
"""Seconds for a reader to take what was sent, some 64 KB."""
CONNECTIONS = 600
"""At once; a process may often open 1,024 files, and has some of its own. One address has half of
them, or it could keep all others out."""


@dataclass(frozen=True)
class Listening:
    """Where the server listens."""

    host: str = HOST
    port: int = 7860
    names: tuple[str, ...] = ()
    """Under which browsers reach it, beside its address."""
    certificate: Path | None = None
    certificate_key: Path | None = None
    behind_proxy: bool = False
    """A proxy on this machine does TLS."""

    @property
    def loopback(self) -> bool:
        """Whether nobody but this machine reaches it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def beyond(self) -> bool:
        """Whether others than who is on this machine reach it."""
        return not self.loopback or self.behind_proxy

    @property
    def everywhere(self) -> bool:
        """Whether it is every address of this machine, in any of the ways to write that."""
        try:
            return ipaddress.ip_address(self.host).is_unspecified
        except ValueError:
            return self.host in ("", "0")

    @property
    def secure(self) -> bool:
        """Whether browsers reach it by TLS."""
        return self.certificate is not None or self.behind_proxy

    def check(self, accounts: Path) -> None:
        """See that nobody is let in who should not be.

        Raises:
            ValueError: it is to be reached from elsewhere, without accounts or without TLS; or a
                certificate is not one.
        """
        if (self.certificate is None) != (self.certificate_key is None):
            raise ValueError(
                "--certificate and --certificate-key go together; give both"
            )
        if self.certificate is not None and self.certificate_key is not None:
            for path in (self.certificate, self.certificate_key):
                if not path.is_file():
                    raise ValueError(
                        f"{path} is no file; a certificate of PEM is wanted"
                    )
            try:
                ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
                    self.certificate,
                    self.certificate_key,
                    "",  # without one it would ask on the terminal, and wait
                )
            except ssl.SSLError as error:
                raise ValueError(
                    f"{self.certificate} and its key are no certificate of PEM ({error})"
                ) from error
        for name in self.names:
            if not re.fullmatch(r"[\w.-]+|[0-9a-fA-F:]+::?[0-9a-fA-F.]*", name):
                raise ValueError(
                    f"--name {name} would never be met; say what stands between https:// and the "
                    "next : or /, such as lab.example.org"
                )
        if self.beyond and not _has_users(accounts):
            raise ValueError(
                f"{self.host} would be reached by others, and {accounts} holds no accounts; make "
                "one first: python -m cosmosage.server users add NAME --role admin"
            )
        if not self.loopback and not self.secure:
            raise ValueError(
                f"{self.host} would be reached from other machines, and passwords would go over "
                "the wire in the clear; give --certificate and --certificate-key, or say "
                "--behind-proxy if a proxy on this machine does TLS"
            )
        if self.everywhere and not self.names:
            raise ValueError(
                f"{self.host} is every address of this machine, and no browser calls it that; say "
                "with --name what stands in theirs, such as lab.example.org"
            )

    @property
    def address(self) -> str:
        """For a browser's address bar."""
        host = self.names[0] if self.everywhere else self.host
        scheme = "https" if self.certificate else "http"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.port}"

    def reached_as(self) -> set[str]:
        """Names that a browser may call it by."""
        own = {"localhost", "127.0.0.1", "::1"} if self.loopback else {self.host}
        return {name.lower() for name in own | set(self.names)}


def _has_users(path: Path) -> bool:
    if not path.is_file():
        return False
    accounts = Accounts(path)
    try:
        return bool(accounts.users())
    finally:
        accounts.close()


def opened(options: argparse.Namespace) -> Service:
    """The parts of the server, by the command's options; what is quick to fail comes first.

    Raises:
        FileNotFoundError, ValueError: a model, an index or the accounts are missing or damaged, or
            do not fit into the memory.
    """
    index: Index | Reranked | None = None
    if options.index:
        index = Index.load(options.index)
        if options.embeddings:
            index = Reranked(index, Reranker.load(options.embeddings))
    verbatim = Verbatim.load(options.verbatim) if options.verbatim else None
    locked = _has_users(options.accounts)
    own = options.accounts.with_name("alone.sqlite")
    accounts = Accounts(options.accounts if locked else own)
    alone = User(0, "nobody", "reader") if locked else _alone(accounts)
    engine = open_engine(
        options.engine,
        options.model,
        options.users,
        key=os.environ.get("COSMOSAGE_REMOTE_KEY"),
        planned=functools.partial(print, file=sys.stderr),
    )
    return Service(
        Assistant(engine, index, verbatim=verbatim),
        Conversations(accounts.database),
        Gate(accounts, engine.at_once, WAITING),
        accounts if locked else None,
        functools.partial(_unlocked, options.accounts, alone),
    )


def _unlocked(accounts: Path, alone: User) -> User:
    """The user of a server without accounts, until there are any.

    Raises:
        Refusal: there are.
    """
    if _has_users(accounts):
        raise Refusal(
            503,
            "there are accounts now, and this server was started before; start it again",
        )
    return alone


def _alone(accounts: Accounts) -> User:
    """The one user of a server without accounts, whom nothing limits but the line."""
    if not accounts.users():
        accounts.invite("alone", "admin")
        accounts.set_limits("alone", 10**6, 10**12, 10**6)
    row = accounts.users()[0]
    return User(row["id"], row["name"], row["role"])


class Impatient(H11Protocol):
    """HTTP that ends connections on which nothing moves, for slow ones would add up.

    A request's head has ``HEAD_S`` to arrive, and so long a connection may lie idle between two of
    them; a reader has ``SEND_S`` to take what was sent. For a body, the door sets the time.
    """

    _timer: asyncio.TimerHandle | None = None
    _reads_slowly = False

    def connection_made(self, transport: asyncio.Transport) -> None:
        """A client came; one too many, or the half of all from one address, is turned away."""
        super().connection_made(transport)
        peer = transport.get_extra_info("peername") or ("",)
        same = sum(
            (each.transport.get_extra_info("peername") or ("",))[0] == peer[0]
            for each in self.connections
            if isinstance(each, Impatient)
        )
        loopback = peer[0] in ("", "127.0.0.1", "::1")  # a proxy speaks for many
        if len(self.connections) > CONNECTIONS or (
            same > CONNECTIONS // 2 and not loopback
        ):
            transport.abort()
            return
        self._within(HEAD_S, self._end)

    def data_received(self, data: bytes) -> None:
        """Something of a request came."""
        super().data_received(data)
        if self._answering() and not self._reads_slowly:
            self._stop()
        elif self._timer is None:
            self._within(HEAD_S, self._end)

    def on_response_complete(self) -> None:
        """An answer was handed on; its reader may not have taken it yet."""
        super().on_response_complete()
        if self._answering():
            return  # the next request had come already
        if self._reads_slowly or self.transport.is_closing():
            self._within(SEND_S, self.transport.abort)
        else:
            self._within(HEAD_S, self._end)

    def send_400_response(self, msg: str) -> None:
        """What came is no HTTP."""
        super().send_400_response(msg)
        self._within(SEND_S, self.transport.abort)

    def pause_writing(self) -> None:
        """More was written than the reader took."""
        super().pause_writing()
        self._reads_slowly = True
        self._within(SEND_S, self.transport.abort)

    def resume_writing(self) -> None:
        """The reader has caught up."""
        super().resume_writing()
        self._reads_slowly = False
        if self._answering():
            self._stop()
        else:
            self._within(HEAD_S, self._end)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client left."""
        self._stop()
        super().connection_lost(exc)

    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _end(self) -> None:
        """End an idle connection; what its reader has not taken by then is lost."""
        self.transport.close()
        self._within(SEND_S, self.transport.abort)

    def _within(self, seconds: float, act: Callable[[], None]) -> None:
        """Do something after a time, unless something else happens before."""
        self._stop()
        self._timer = self.loop.call_later(seconds, act)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def serve(service: Service, listening: Listening) -> None:
    """Serve until SIGINT or SIGTERM; the address is printed when it answers.

    Raises:
        KeyboardInterrupt: it was stopped.
        ValueError: as ``prepared``.
    """
    prepared(service, listening).run()


def prepared(service: Service, listening: Listening) -> uvicorn.Server:
    """A server that was not started yet.

    Raises:
        ValueError: others would reach it, and it asks nobody who they are.
    """
    # an index takes minutes to load, and the last account may be removed meanwhile
    if listening.beyond and service.accounts is None:
        raise ValueError(
            "the last account was removed while this was started; make one, and start it again"
        )
    config = uvicorn.Config(
        application(service, listening.reached_as(), listening.secure),
        host=listening.host,
        port=listening.port,
        http=Impatient,
        ws="none",
        h11_max_incomplete_event_size=HEAD_BYTES,
        timeout_keep_alive=10**6,  # ``Impatient`` does that
        timeout_graceful_shutdown=2,  # nobody's answer is waited for
        ssl_certfile=listening.certificate,
        ssl_keyfile=listening.certificate_key,
        proxy_headers=listening.behind_proxy,
        forwarded_allow_ips=[HOST, "::1"],
        server_header=False,
        access_log=False,
        log_level="error",  # who sends what is no HTTP is not to fill the disk
    )
    return _Announced(config, listening.address)


class _Announced(uvicorn.Server):
    """A server that says where it is when it answers, and ends without a word."""

    def __init__(self, config: uvicorn.Config, address: str):
        super().__init__(config)
        self._address = address

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets)
        if self.started:
            print(self._address, flush=True)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End; what is cut off by it is reported by nobody."""
        logging.getLogger("uvicorn.error").disabled = True
        await super().shutdown(sockets)


def check_port(host: str, port: int) -> None:
    """See that nobody listens on a port yet, before a model is loaded for it.

    Raises:
        ValueError: it is no port, or in use.
    """
    if not 0 < port < 65536:
        raise ValueError(f"{port} is no port; take one from 1024 to 65535")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ValueError(
                f"port {port} of {host} cannot be had ({error.strerror}); choose another with "
                "--port"
            ) from error
