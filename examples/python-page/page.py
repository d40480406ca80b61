"""A page of somebody else: a seller's top clients, read in SQL from its own database, where Top Clients keeps them."""
import asyncio, logging, os, re, threading, time
from collections import namedtuple
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

import httpx, psycopg, uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from jinja2 import Environment, FileSystemLoader
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Histogram, generate_latest
from psycopg_pool import AsyncConnectionPool
from starlette.exceptions import HTTPException

SETTINGS = {"TC_PAGE": "shop", "TC_HOST": "", "TC_PORT": "8000", "TC_HEALTH_PORT": "9090", **os.environ}
PAGE, DELIVERY = SETTINGS["TC_PAGE"], "asynchronous"
# A page takes a second at most: its database gets what the source and the rendering leave.
DATABASE_SECONDS, SOURCE_SECONDS = float(SETTINGS.get("TC_DATABASE_SECONDS", "0.8")), 0.15
LIST = "select version, committed_at, clients from top_clients.lists where seller_id = %s"
STATUS = "select true from top_clients.status where delivery = %s and view_version is not null"
HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
           "Vary": "Accept, Top-Clients-Min-Version", "X-Content-Type-Options": "nosniff"}
# Sellers wrote what it shows: everything is escaped.
template = Environment(loader=FileSystemLoader(os.path.dirname(__file__)), autoescape=True).get_template("page.jinja")
log, ready = logging.getLogger("page"), threading.Event()

# As of our own pages, so that their dashboards and alerts see this one. Each begins at 0: its first rise is seen.
LATENCY = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 2.5)
renders = Counter("topclients_page_renders_total", "Pages answered", ["page", "delivery", "outcome"])
duration = Histogram("topclients_page_render_duration_seconds", "To the answer", ["page", "delivery"], buckets=LATENCY)
requests = Counter("topclients_page_source_requests_total", "Calls to the source", ["page", "result"])
rendered = {outcome: renders.labels(PAGE, DELIVERY, outcome) for outcome in ("full", "stale", "missing", "error")}
requested = {result: requests.labels(PAGE, result) for result in ("ok", "error", "timeout")}

pool = AsyncConnectionPool(
    SETTINGS["TC_DATABASE_URL"], open=False, min_size=1, max_size=10, timeout=DATABASE_SECONDS,
    check=AsyncConnectionPool.check_connection,  # a server that was started anew has ended those kept here
    reconnect_timeout=1,  # then the next reader has it tried again; else the pauses double up to minutes
    kwargs={"autocommit": True, "application_name": PAGE, "connect_timeout": 2, "tcp_user_timeout": 3000})
source = httpx.AsyncClient(
    base_url=SETTINGS.get("TC_SOURCE_URL", ""), limits=httpx.Limits(max_connections=64), trust_env=False,
    headers={"Top-Clients-Caller": SETTINGS.get("TC_SOURCE_CREDENTIAL", "")})
Shown = namedtuple("Shown", "version committed_at clients")
NEVER = Shown(0, None, [])  # a seller without a row never had clients

async def within(seconds, work):
    """Waits that long and no longer: where a server hangs, to cancel a statement takes its time as well."""
    task = asyncio.ensure_future(work)
    if task in (await asyncio.wait({task}, timeout=seconds))[0]:
        return task.result()
    task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
    task.cancel()
    raise TimeoutError(f"no answer within {seconds} s")

async def query(statement, value):
    async with pool.connection() as connection:
        return await (await connection.execute(statement, [value], prepare=True)).fetchone()

async def ask(seller):
    """The list at the source of truth; None when it does not answer in time, which is no reason to fail."""
    try:
        body = (await within(SOURCE_SECONDS, source.get(f"/v1/sellers/{seller}/top-clients"))).raise_for_status().json()
        at = body["updatedAt"] and datetime.fromisoformat(body["updatedAt"])
        shown, result = Shown(int(body["version"]), at, list(body["clients"])), "ok"
    except (httpx.HTTPError, TimeoutError, LookupError, TypeError, ValueError) as err:
        shown, result = None, "timeout" if isinstance(err, TimeoutError) else "error"
    requested[result].inc()
    return shown

async def deliver(seller, min_version):
    """What is shown and its outcome: `full`, or `stale` where the reader has seen a newer version."""
    held = Shown(*(await within(DATABASE_SECONDS, query(LIST, seller)) or NEVER))
    if held.version >= min_version:
        return held, "full"
    newest = await ask(seller)
    if newest is None:
        return held, "stale"
    if newest.version < min_version:
        raise HTTPException(400, f"There is no such version: the list is at version {newest.version}.")
    return newest, "full"

def number(text, least, status, detail):
    if re.fullmatch("0|[1-9][0-9]{0,15}", text) and least <= int(text) < 2**53:  # JSON carries no larger one exactly
        return int(text)
    raise HTTPException(status, detail)

def answer(request, status, title, data, headers, **shown):
    """JSON for those who name it first, HTML for everybody else."""
    named = re.findall("text/html|application/(?:problem[+])?json", request.headers.get("accept", ""))
    if named and named[0] != "text/html":
        return JSONResponse(data, status, HEADERS | headers, f"application/{'problem+' if status >= 400 else ''}json")
    return HTMLResponse(template.render(title=title, **shown), status, HEADERS | headers)

def count(request, outcome):
    rendered[outcome].inc()
    duration.labels(PAGE, DELIVERY).observe(time.perf_counter() - request.state.began)

async def look():
    """The page is ready once its database shows a view; from then on it answers for itself."""
    while not ready.is_set():
        with suppress(psycopg.Error, TimeoutError):
            if await within(DATABASE_SECONDS, query(STATUS, DELIVERY)):
                ready.set()
        await asyncio.sleep(1)

@asynccontextmanager
async def lifespan(_):
    async with pool, source:
        looking = asyncio.create_task(look())  # named, for a task that nobody holds may be collected
        yield

app, health = FastAPI(lifespan=lifespan, openapi_url=None), FastAPI(openapi_url=None)
health.add_api_route("/livez", lambda: PlainTextResponse("ok\n"))
health.add_api_route("/readyz", lambda: PlainTextResponse(*(("ok\n", 200) if ready.is_set() else ("no view\n", 503))))
health.add_api_route("/metrics", lambda: Response(generate_latest(), media_type=CONTENT_TYPE_LATEST))

@app.api_route("/sellers/{seller}", methods=["GET", "HEAD"])
async def page(request: Request, seller: str):
    request.state.began = time.perf_counter()
    seller = number(seller, 1, 404, "A seller has a whole number, as in /sellers/1.")
    wanted = request.query_params.getlist("minVersion") or [request.headers.get("top-clients-min-version", "0")]
    min_version = number("/".join(wanted), 0, 400, "minVersion is a version of the list: one whole number, such as 7.")
    (version, at, clients), outcome = await deliver(seller, min_version)
    age = at and max(0, round((datetime.now(UTC) - at).total_seconds() * 1000))
    shown = {"outcome": outcome, "version": version, "ageMs": age, "clients": clients, "total": len(clients)}
    said = {"Top-Clients": outcome, "Top-Clients-Version": version, "Top-Clients-Age": age}
    headers = {name: str(value) for name, value in said.items() if value is not None}
    headers["Cache-Control"] = "no-cache" if outcome == "full" else "no-store"  # no cache hides a change
    made = answer(request, 200, f"Seller {seller}", {"sellerId": seller, "topClients": shown}, headers, **shown)
    count(request, outcome)
    return made

@app.exception_handler(HTTPException)
@app.exception_handler(psycopg.Error)
@app.exception_handler(TimeoutError)
@app.exception_handler(Exception)
async def refuse(request, err):
    if not isinstance(err, HTTPException):
        log.warning("not shown: %r", err)
        count(request, "error")
        err = HTTPException(503, "This page cannot be shown now. Please try again in a moment.", {"Retry-After": "2"})
    headers = {"Cache-Control": "no-store", **(err.headers or {})}
    return answer(request, err.status_code, err.detail, {"status": err.status_code, "detail": err.detail}, headers)

if __name__ == "__main__":
    quiet = {"host": SETTINGS["TC_HOST"], "access_log": False, "server_header": False, "log_level": "warning"}
    beside = uvicorn.Server(uvicorn.Config(health, port=int(SETTINGS["TC_HEALTH_PORT"]), **quiet))
    threading.Thread(target=beside.run, daemon=True).start()  # it answers while the page drains, too
    uvicorn.run(app, port=int(SETTINGS["TC_PORT"]), timeout_graceful_shutdown=10, **quiet)
