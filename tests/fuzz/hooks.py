"""What the document cannot tell the fuzzer: who may call, and that a few sellers make deeper histories than many."""

import json
import os
import unicodedata
from urllib.parse import urlencode
from urllib.request import urlopen
from zlib import crc32

import schemathesis

SELLERS = 5


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    seller = (path_parameters or {}).get("sellerId")
    # Valid ids only: what is no seller must stay none.
    if isinstance(seller, int) and not isinstance(seller, bool) and 1 <= seller <= 2**53 - 1:
        path_parameters["sellerId"] = seller % SELLERS + 1
    return path_parameters


@schemathesis.hook
def map_body(context, body):
    # That a period must not end before it begins is a rule no schema can state.
    if isinstance(body, dict):
        begin, end = body.get("from"), body.get("to")
        if isinstance(begin, str) and isinstance(end, str) and begin > end:
            body["from"], body["to"] = end, begin
    return body


@schemathesis.hook
def before_call(context, case, kwargs):
    if case.path == "/erasures":
        case.headers = case.headers or {}
        case.headers["Top-Clients-Caller"] = os.environ["FUZZ_CALLER"]
    if not case.meta.generation.mode.is_positive:
        return
    # Random ids are never the very clients of a list: every other order is made one.
    if case.path.endswith("/clients/order") and crc32(repr(case.body).encode(errors="replace")) % 2:
        case.body = {"clientIds": reversed_ids(case.path_parameters["sellerId"])}
    # That a joiner must join something, and what lies beyond U+FFFF, is more than a pattern can state.
    if isinstance(case.body, dict):
        for name in ("name", "industry", "description"):
            text = case.body.get(name)
            if isinstance(text, str):
                case.body[name] = legible(text)
    if not case.headers:
        return
    # Of a quoted example the fuzzer sometimes keeps only what is between the quotes.
    for name in ("If-Match", "If-None-Match"):
        value = case.headers.get(name)
        if isinstance(value, str) and value.isdigit():
            case.headers[name] = f'"{value}"'
    # A random version hardly ever matches, and favourite keys come again with other bodies: with them on every
    # request few would reach the list.
    names = ["If-Match", "Idempotency-Key"]
    if case.method.upper() != "GET":
        names.append("If-None-Match")
    for name in names:
        value = case.headers.get(name)
        if isinstance(value, str) and crc32(f"{case.body}{value}".encode(errors="replace")) % 4:
            del case.headers[name]


def legible(text):
    """Only what stands for itself: letters, digits, punctuation, symbols of the first plane, and spaces."""
    plain = "".join(one for one in text if unicodedata.category(one)[0] in "LNPS" and ord(one) < 0xFDD0 or one == " ")
    return plain if plain.strip() else "x" if text.strip() else ""


def reversed_ids(seller):
    with urlopen(f"{os.environ['FUZZ_SOURCE_URL']}/v1/sellers/{seller}/top-clients", timeout=5) as answer:
        return [client["id"] for client in reversed(json.load(answer)["clients"])]


def key(case, context):
    return str((case.path_parameters or {}).get("sellerId"))


@schemathesis.auth(cache_by_key=key)
class OwnToken:
    """A token of the seller in the address, who may also erase."""

    def get(self, case, context):
        query = urlencode({"seller": key(case, context), "scope": "top-clients:erase"})
        with urlopen(f"{os.environ['FUZZ_TOKEN_URL']}?{query}", timeout=5) as answer:
            return json.load(answer)["access_token"]

    def set(self, case, data, context):
        case.headers = case.headers or {}
        case.headers["Authorization"] = f"Bearer {data}"
