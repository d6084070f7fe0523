"""The web page: its three files, and the answers as JSON. Nothing is written, and nothing is loaded from elsewhere."""

import hmac
from collections.abc import Awaitable, Callable, Sequence
from importlib import resources
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse
from pydantic import TypeAdapter

from metaclip.browse.answers import Answers
from metaclip.browse.pictures import Pictures
from metaclip.config.settings import Threshold, parse_t
from metaclip.errors import ConfigError, InputError, MetaclipError

COOKIE = "metaclip-browse-"
"""Begins the cookie's name, which ends with the port: a browser gives the cookies of one port to all."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
FILES = {
    "/": ("browse.html", "text/html"),
    "/browse.css": ("browse.css", "text/css"),
    "/browse.js": ("browse.js", "text/javascript"),
    "/views.js": ("views.js", "text/javascript"),
}

T = Annotated[str | None, Query(max_length=40)]
Number = Annotated[int, Query(ge=0, lt=2**31)]
Text = Annotated[str, Query(max_length=100_000)]
_THRESHOLD: TypeAdapter[Any] = TypeAdapter(Threshold)


def make_app(answers: Answers, pictures: Pictures, token: str, hosts: Sequence[str]) -> FastAPI:
    """Return the web application.

    Args:
        answers: of the pool.
        pictures: of its pairs, where it has some.
        token: who knows it may ask.
        hosts: names with port under which it may be asked, so that no other site's name leads here.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.middleware("http")
    async def guard(request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
        refused = _refusal(request, token, hosts)
        response = refused if refused is not None else await go_on(request)
        response.headers.update(HEADERS)
        return response

    @app.exception_handler(MetaclipError)
    async def told(_: Request, error: MetaclipError) -> Response:
        status = 400 if isinstance(error, ConfigError | InputError) else 500
        return JSONResponse({"error": str(error)}, status)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        return JSONResponse({"error": f"{first['loc'][-1]}: {first['msg']}"}, 400)

    for path, (name, kind) in FILES.items():
        app.add_api_route(path, _file(name, kind), methods=["GET"])
    _add_answers(app, answers)

    @app.get("/favicon.ico")
    def icon() -> Response:
        return Response(status_code=204)

    @app.get("/picture/{uid}")
    def picture(uid: str) -> Response:
        found = pictures.thumbnail(uid)
        if found is None:
            return JSONResponse({"error": "no picture of this pair can be shown"}, 404)
        return Response(found, media_type="image/jpeg")

    app.state.has_pictures = bool(pictures)
    return app


def _add_answers(app: FastAPI, answers: Answers) -> None:
    @app.get("/api/pool")
    def pool(request: Request) -> dict[str, Any]:
        return {**answers.overview(), "pictures": bool(request.app.state.has_pictures)}

    @app.get("/api/entries")
    def entries(q: Text = "", t: T = None, first: Number = 0) -> dict[str, Any]:
        return answers.entries(q, _t(t), first)

    @app.get("/api/entry")
    def entry(id: Number, t: T = None, seed: Number = 0) -> dict[str, Any]:  # noqa: A002 (the name in the address)
        return answers.entry(id, _t(t), seed)

    @app.get("/api/texts")
    def texts(
        q: Text = "",
        t: T = None,
        language: Text = "",
        host: Text = "",
        which: Literal["all", "kept", "left"] = "all",
        seed: Number = 0,
    ) -> dict[str, Any]:
        return answers.texts(q, _t(t), language, host, which, seed)

    @app.get("/api/explain")
    def explain(text: Text, t: T = None) -> dict[str, Any]:
        return answers.explain(text, _t(t))

    @app.get("/api/size")
    def size(t: T = None) -> dict[str, Any]:
        return answers.size(_t(t))

    @app.get("/api/reasons")
    def reasons() -> list[dict[str, Any]]:
        return answers.reasons

    @app.get("/api/reason")
    def reason(why: Text, t: T = None, seed: Number = 0) -> dict[str, Any]:
        return answers.reason(why, _t(t), seed)

    @app.get("/api/names")
    def names(kind: Literal["languages", "hosts"], t: T = None) -> dict[str, Any]:
        return answers.names(kind, _t(t))

    @app.get("/api/compare")
    def compare(t: T = None, other_t: T = None) -> dict[str, Any]:
        return answers.compare(_t(t), _t(other_t))

    @app.get("/api/difference")
    def difference(other: Text, t: T = None) -> dict[str, Any]:
        return answers.difference(other, _t(t))


def _refusal(request: Request, token: str, hosts: Sequence[str]) -> Response | None:
    """Return the answer to who may not ask; who comes with the token in the address gets it as a cookie."""
    if request.headers.get("host") not in hosts:
        return JSONResponse({"error": "asked under another name than this page has"}, 421)
    if request.method != "GET":
        return JSONResponse({"error": "this page is for reading only"}, 405)
    if request.url.path == "/" and "token" in request.query_params:
        if not _is(request.query_params["token"], token):
            return _no_token()
        response = RedirectResponse("/", 303)
        response.set_cookie(_cookie(request), token, httponly=True, samesite="strict")
        return response
    given = request.headers.get("authorization", "").removeprefix("Bearer ") or request.cookies.get(
        _cookie(request), ""
    )
    return None if _is(given, token) else _no_token()


def _cookie(request: Request) -> str:
    return f"{COOKIE}{request.url.port}"


def _is(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode(), token.encode())


def _no_token() -> Response:
    return JSONResponse({"error": "wrong or no token: open the address that `metaclip browse` printed"}, 403)


def _file(name: str, kind: str) -> Callable[[], Response]:
    content = (resources.files("metaclip.browse") / "static" / name).read_bytes()
    return lambda: Response(content, media_type=f"{kind}; charset=utf-8")


def _t(t: str | None) -> float | None:
    if not t:
        return None
    try:
        return float(_THRESHOLD.validate_python(parse_t(t)))
    except ValueError as error:
        raise ConfigError(f"t: must be above 0, or inf; got {t[:40]!r}") from error
