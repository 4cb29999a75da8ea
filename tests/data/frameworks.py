"""The applications that test_wsgi_clients.py has served: plain, Flask, Django, Bottle, by path.

Each framework is imported when it is asked for, so that one may be missing. Django's settings are
the smallest there are. `/FRAMEWORK/hello/NAME`, `/FRAMEWORK/stream`, and uploads to
`/FRAMEWORK/upload`, which answer with the size and a hash.
"""

import hashlib
import tempfile
from functools import cache

WORDS = ["all", " work", " and", " no", " play"]


def describe(stream):
    digest = hashlib.sha256()
    size = 0
    while data := stream.read(65536):
        digest.update(data)
        size += len(data)
    return f"{size} {digest.hexdigest()}"


@cache
def make_flask():
    import flask

    app = flask.Flask("frameworks")

    @app.get("/hello/<name>")
    def hello(name):
        response = flask.make_response(f"hello {name} {flask.request.args.get('q')}")
        response.set_cookie("seen", name)
        return response

    @app.get("/stream")
    def stream():
        return flask.Response(iter(WORDS), mimetype="text/plain")

    @app.post("/upload")
    def upload():
        return describe(flask.request.stream)

    @app.get("/file")
    def file():
        return flask.send_file(__file__, conditional=True)

    @app.get("/fail")
    def fail():
        raise ZeroDivisionError

    return app.wsgi_app


@cache
def make_bottle():
    import bottle

    app = bottle.Bottle()

    @app.get("/hello/<name>")
    def hello(name):
        bottle.response.set_cookie("seen", name)
        return f"hello {name} {bottle.request.query.get('q')}"

    @app.get("/stream")
    def stream():
        yield from WORDS

    @app.post("/upload")
    def upload():
        return describe(bottle.request.environ["wsgi.input"])

    @app.get("/file")
    def file():
        return bottle.static_file("frameworks.py", root=__file__.rpartition("/")[0])

    return app


@cache
def make_django():
    import django
    from django.conf import settings
    from django.core.handlers.wsgi import WSGIHandler
    from django.http import FileResponse, HttpResponse, StreamingHttpResponse
    from django.urls import path
    from django.views.decorators.csrf import csrf_exempt

    def hello(request, name):
        response = HttpResponse(f"hello {name} {request.GET.get('q')}")
        response.set_cookie("seen", name)
        return response

    def stream(request):
        return StreamingHttpResponse(iter(WORDS))

    @csrf_exempt
    def upload(request):
        return HttpResponse(describe(request))

    def file(request):
        return FileResponse(open(__file__, "rb"))  # noqa: PTH123

    settings.configure(
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=(
            path("hello/<name>", hello),
            path("stream", stream),
            path("upload", upload),
            path("file", file),
        ),
        FILE_UPLOAD_TEMP_DIR=tempfile.gettempdir(),
        MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
        SECRET_KEY="for tests",
        DATA_UPLOAD_MAX_MEMORY_SIZE=None,
    )
    django.setup()
    return WSGIHandler()


def plain(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/upload":
        body = describe(environ["wsgi.input"])
    else:
        body = f"hello {path.rpartition('/')[2]} {environ['QUERY_STRING'].removeprefix('q=')}"
    if path == "/stream":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [word.encode() for word in WORDS]
    headers = [("Content-Type", "text/plain"), ("Set-Cookie", "seen=x"), ("X-Y", "z")]
    start_response("200 OK", headers)
    return [body.encode()]


MAKERS = {
    "plain": lambda: plain,
    "flask": make_flask,
    "bottle": make_bottle,
    "django": make_django,
}


def app(environ, start_response):
    """By the first part of the path."""
    _, name, rest = environ["PATH_INFO"].split("/", 2)
    environ["SCRIPT_NAME"] = f"/{name}"
    environ["PATH_INFO"] = f"/{rest}"
    return MAKERS[name]()(environ, start_response)
