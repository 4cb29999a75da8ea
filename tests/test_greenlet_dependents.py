"""Packages from PyPI that are built on greenlet, on pycoro.greenlet; each in its own process."""

from __future__ import annotations

from helpers import needs, output_of

INSTALL = """
        import pycoro.greenlet
        pycoro.greenlet.install()
"""


def run(code: str, **environment: str) -> list[str]:
    return output_of(INSTALL + code, "-W", "ignore", timeout=100, **environment)


TABLES = """
        import asyncio
        from sqlalchemy import ForeignKey, func, select, text
        from sqlalchemy.ext.asyncio import AsyncAttrs, async_sessionmaker, create_async_engine
        from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
        from sqlalchemy.pool import StaticPool
        import greenlet
        assert greenlet is pycoro.greenlet

        class Base(AsyncAttrs, DeclarativeBase):
            pass

        class Author(Base):
            __tablename__ = "author"
            id: Mapped[int] = mapped_column(primary_key=True)
            name: Mapped[str]
            books: Mapped[list["Book"]] = relationship(order_by="Book.id")

        class Book(Base):
            __tablename__ = "book"
            id: Mapped[int] = mapped_column(primary_key=True)
            author_id: Mapped[int] = mapped_column(ForeignKey("author.id"))
            title: Mapped[str]

        engine = create_async_engine("sqlite+aiosqlite://", poolclass=StaticPool)
        Session = async_sessionmaker(engine, expire_on_commit=False)

        async def fill():
            async with engine.begin() as connection:
                await connection.run_sync(Base.metadata.create_all)
            async with Session.begin() as session:
                for number in range(10):
                    books = [Book(title=f"{number}-{i}") for i in range(3)]
                    session.add(Author(name=f"author {number}", books=books))
"""


@needs("sqlalchemy", "aiosqlite")
def test_sqlalchemy_sessions_lazy_loads_and_streams() -> None:
    code = """
        async def main():
            await fill()
            async with Session() as session:
                author = await session.get(Author, 1)
                print(await session.run_sync(lambda _: [book.title for book in author.books]))
                author = await session.get(Author, 2)
                print([book.title for book in await author.awaitable_attrs.books])
                author = await session.get(Author, 3)
                try:
                    author.books
                except Exception as error:
                    print("greenlet_spawn has not been called" in str(error))
                stream = await session.stream_scalars(select(Book.title).order_by(Book.id))
                print(len([title async for title in stream]))
            async with engine.connect() as connection:
                result = await connection.stream(text("select id from book"))
                print(sum([row.id async for row in result]))
            try:
                async with Session.begin() as session:
                    session.add(Author(id=1, name="twice"))
            except Exception as error:
                print(type(error).__name__)
            async with Session() as session:
                print(await session.scalar(select(func.count()).select_from(Author)))
            await engine.dispose()

        asyncio.run(main())
        """
    assert run(TABLES + code) == [
        "['0-0', '0-1', '0-2']",
        "['1-0', '1-1', '1-2']",
        "True",
        "30",
        str(sum(range(1, 31))),
        "IntegrityError",
        "10",
    ]


@needs("sqlalchemy", "aiosqlite")
def test_sqlalchemy_a_thousand_tasks_and_cancellation() -> None:
    code = """
        from sqlalchemy.util import await_only, greenlet_spawn

        async def ask(number):
            async with Session() as session:
                return await session.scalar(select(Author.id).where(Author.id == number % 10 + 1))

        started = []

        def wait_within(event):
            started.append(event)
            try:
                await_only(event.wait())
            except asyncio.CancelledError:
                started.append("cancelled")
                raise
            finally:
                await_only(asyncio.sleep(0))  # clean-up may wait, too
                started.append("cleaned up")

        async def main():
            await fill()
            print(sum(await asyncio.gather(*[ask(number) for number in range(1000)])))
            async with asyncio.timeout(10):
                task = asyncio.create_task(greenlet_spawn(wait_within, asyncio.Event()))
                while not started:
                    await asyncio.sleep(0)
                task.cancel()
                try:
                    await task
                except asyncio.CancelledError:
                    print(started[1:], task.cancelled())
            tasks = [asyncio.create_task(greenlet_spawn(await_only, asyncio.sleep(60)))
                     for _ in range(100)]
            await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            print(all(task.cancelled() for task in tasks))
            await engine.dispose()

        asyncio.run(main())
        """
    assert run(TABLES + code) == ["5500", "['cancelled', 'cleaned up'] True", "True"]


@needs("greenback")
def test_greenback() -> None:
    code = """
        import asyncio, contextvars, greenback
        variable = contextvars.ContextVar("variable", default=0)

        async def inner(number):
            await asyncio.sleep(0)
            variable.set(variable.get() + 1)
            return number * 2

        def plain(count):
            return sum(greenback.await_(inner(number)) for number in range(count))

        async def main():
            await greenback.ensure_portal()
            print(plain(10), variable.get())
            print(await asyncio.gather(
                *[greenback.with_portal_run_sync(plain, number) for number in range(5)]
            ))
            task = asyncio.create_task(
                greenback.with_portal_run_sync(lambda: greenback.await_(asyncio.sleep(60)))
            )
            await asyncio.sleep(0.01)
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                print("cancelled")

            def fail():
                greenback.await_(asyncio.sleep(0))
                raise KeyError("from below")

            try:
                await greenback.with_portal_run_sync(fail)
            except KeyError as error:
                print(repr(error))

        asyncio.run(main())
        """
    assert run(code) == ["90 10", "[0, 0, 2, 6, 12]", "cancelled", "KeyError('from below')"]


GEVENT = """
        import gevent, greenlet
        from gevent import event, pool, queue, socket
        from gevent.server import StreamServer

        assert greenlet is pycoro.greenlet
        assert issubclass(gevent.Greenlet, greenlet.greenlet)
        print(gevent.Greenlet.__module__)

        def echo(connection, address):
            while data := connection.recv(4096):
                connection.sendall(data)

        def talk(number):
            with socket.create_connection(server.address) as connection:
                for i in range(20):
                    message = b"%d %d" % (number, i)
                    connection.sendall(message)
                    assert connection.recv(4096) == message
            return 20

        server = StreamServer(("127.0.0.1", 0), echo)
        server.start()
        clients = [gevent.spawn(talk, number) for number in range(50)]
        gevent.joinall(clients, raise_error=True)
        print(sum(client.value for client in clients))
        server.stop()

        killed = gevent.spawn(gevent.sleep, 60)
        gevent.sleep(0)
        killed.kill()
        print(repr(killed.value), killed.dead)
        try:
            with gevent.Timeout(0.01):
                event.Event().wait()
        except gevent.Timeout:
            print("timeout")
        print(gevent.get_hub().threadpool.apply(lambda: "from a thread"))
        numbers = queue.Queue(maxsize=1)
        gevent.spawn(lambda: [numbers.put(i) for i in range(5)])
        print([numbers.get() for _ in range(5)])
        print(pool.Pool(3).map(lambda number: number * 2, range(5)))
        failed = gevent.Greenlet(lambda: 1 / 0)
        gevent.get_hub().print_exception = lambda *args: None
        failed.start()
        failed.join()
        print(repr(failed.exception))
"""

GEVENT_EXPECTED = [
    "1000",
    "GreenletExit() True",
    "timeout",
    "from a thread",
    "[0, 1, 2, 3, 4]",
    "[0, 2, 4, 6, 8]",
    "ZeroDivisionError('division by zero')",
]


@needs("gevent")
def test_gevent_in_pure_python() -> None:
    assert run(GEVENT, PURE_PYTHON="1") == ["gevent.greenlet", *GEVENT_EXPECTED]


@needs("gevent", "gevent._gevent_cgreenlet")
def test_gevent_compiled() -> None:
    """Its extension modules use the C API, and subclass the class in C."""
    assert run(GEVENT) == ["gevent._gevent_cgreenlet", *GEVENT_EXPECTED]


@needs("gevent")
def test_gevent_patched_threads_and_sockets() -> None:
    code = """
        from gevent import monkey
        monkey.patch_all()
        import socket, threading, urllib.request
        from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"served")

            def log_message(self, *args):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        pages = []

        def get():
            url = "http://127.0.0.1:%d/" % server.server_port
            pages.append(urllib.request.urlopen(url).read())

        threads = [threading.Thread(target=get) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        server.shutdown()
        serving.join()
        server.server_close()
        print(pages.count(b"served"))
        """
    assert run(code) == ["10"]


@needs("eventlet")
def test_eventlet() -> None:
    code = """
        import eventlet, greenlet
        from eventlet import tpool
        from eventlet.green import socket

        assert greenlet is pycoro.greenlet

        def echo(connection):
            while data := connection.recv(4096):
                connection.sendall(data)

        def serve(listener):
            while True:
                connection, _ = listener.accept()
                eventlet.spawn_n(echo, connection)

        def talk(number):
            connection = socket.create_connection(listener.getsockname())
            for i in range(20):
                message = b"%d %d" % (number, i)
                connection.sendall(message)
                assert connection.recv(4096) == message
            connection.close()
            return 20

        listener = eventlet.listen(("127.0.0.1", 0))
        serving = eventlet.spawn(serve, listener)
        print(sum(eventlet.GreenPool(50).imap(talk, range(50))))
        serving.kill()
        print(tpool.execute(lambda: "from a thread"))
        try:
            with eventlet.Timeout(0.01):
                eventlet.sleep(60)
        except eventlet.Timeout:
            print("timeout")
        numbers = eventlet.Queue()
        eventlet.spawn(numbers.put, 3)
        print(numbers.get())
        """
    assert run(code) == ["1000", "from a thread", "timeout", "3"]
