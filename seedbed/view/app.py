"""What the page asks for, and the answers: JSON, and arrays as bytes.

Only what artifacts and params.yaml name is read, and nothing is written but corrections, where the page may keep them.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from importlib import resources
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from ruamel.yaml import YAML
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from seedbed import clicks
from seedbed.algorithms.clicks import Click
from seedbed.errors import ParamsError, SeedbedError, of_system
from seedbed.params import Params
from seedbed.report import drawing
from seedbed.report.layers import Layer, read_layer
from seedbed.report.palette import UNLABELLED, make_palette, make_thing_colours
from seedbed.run.slots import NO_PATH
from seedbed.store.schemas import NONE
from seedbed.view import clicking, regions, trying
from seedbed.view.catalogue import Catalogue, Question
from seedbed.view.correcting import Correcting
from seedbed.view.library import EVALUATION, Library

ENTRY = "token"  # what the address calls it
MOST_IMAGES = 200  # in one answer
MOST_SENT = 2**20  # bytes of a correction
PLAIN_BYTES = 1024  # below this, packing is not worth it
QUALITY = 92  # of photographs as JPEG
LARGEST_SIDE = 2000  # to which a photograph is shrunk for the page
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True)
class Pending:
    """A stage of the run that is looked at, which `dvc repro` would run or leave stale as things are."""

    stage: str
    verdict: str  # as `seedbed plan` has it
    reasons: Sequence[str]


class Viewer:
    """A run to look at, and perhaps another to hold it against."""

    def __init__(
        self,
        run: Library,
        other: Library | None = None,
        *,
        find_pending: Callable[[], Sequence[Pending]] = tuple,
        corrections: Path | None = None,
    ) -> None:
        """find_pending: asked when somebody tries a parameter, for it takes a second or two.

        corrections: the file in which selections are kept, if any are.
        """
        self.runs = {"a": run} if other is None else {"a": run, "b": other}
        self.find_pending = find_pending
        self.clicking = {name: clicking.Clicking(one) for name, one in self.runs.items()}
        self.correcting = Correcting(corrections, run, self.clicking["a"]) if corrections else None
        self._catalogue: tuple[tuple[str, ...], Catalogue] | None = None

    def library(self, request: Request) -> Library:
        """The run that is asked for."""
        name = request.query_params.get("run", "a")
        if name not in self.runs:
            raise ParamsError("run", found=repr(name), expected=" or ".join(self.runs), do="name one of the runs that are looked at")
        return self.runs[name]

    @property
    def catalogue(self) -> Catalogue:
        """The images, as they are known now."""
        run, other = self.runs["a"], self.runs.get("b")
        parts = (run.data, run.find(EVALUATION), other.find(EVALUATION) if other else None)
        digests = tuple(one.digest if one else "" for one in parts)
        if self._catalogue is None or self._catalogue[0] != digests:
            self._catalogue = digests, Catalogue(*parts)
        return self._catalogue[1]


def make_app(viewer: Viewer, *, hosts: Sequence[str] = (), token: str = "") -> Starlette:
    """The application.

    hosts: by which it may be called; any, if none is given.
    token: without which nothing is answered; anybody is, if it is empty.
    """
    api: dict[str, Callable[[Viewer, Request], Response]] = {
        "run": describe_run,
        "images": list_images,
        "image": describe_image,
        "layer": send_layer,
        "photo": send_photo,
        "truth": send_truth,
        "try": send_trial,
        "knobs": list_knobs,
        "pending": list_pending,
        "regions": describe_regions,
        "click": send_selection,
        "levels": send_levels,
        "mask": send_mask,
        "corrections": describe_corrections,
    }
    routes = [Route(f"/api/{name}", _answering(viewer, answer)) for name, answer in api.items()]
    routes.append(Route("/api/correct", _keeping(viewer), methods=["POST"]))
    routes += [Route("/", send_page), Route("/page/{name}", send_page)]
    return Starlette(routes=routes, middleware=[Middleware(BaseHTTPMiddleware, dispatch=_guard(hosts, token))])


# Who may ask.


def _guard(hosts: Sequence[str], token: str) -> Callable[[Request, Callable[[Request], Awaitable[Response]]], Awaitable[Response]]:
    async def guard(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
        response = _refusal(request, hosts, token) or await answer(request)
        response.headers.update(HEADERS)
        return response

    return guard


def _refusal(request: Request, hosts: Sequence[str], token: str) -> Response | None:
    if hosts and request.headers.get("host", "").rpartition(":")[0] not in hosts:  # a page elsewhere whose name leads here
        return Response("this address is not served", 403, media_type="text/plain")
    if not token:
        return None
    given = request.query_params.get(ENTRY)
    if given is not None and secrets.compare_digest(given.encode(), token.encode()):
        if request.url.path != "/":
            return None
        others = [(name, value) for name, value in request.query_params.multi_items() if name != ENTRY]
        response = RedirectResponse(str(request.url.replace_query_params(**dict(others)).remove_query_params(ENTRY)))
        response.set_cookie(ENTRY, token, httponly=True, samesite="strict")
        return response
    known = request.cookies.get(ENTRY, "")
    if secrets.compare_digest(known.encode(), token.encode()):
        return None
    return Response("open the address that `seedbed view` printed: it has a token", 403, media_type="text/plain")


def _answering(viewer: Viewer, answer: Callable[[Viewer, Request], Response]) -> Callable[[Request], Response]:
    def answered(request: Request) -> Response:
        try:
            return answer(viewer, request)
        except SeedbedError as error:
            return JSONResponse({"error": str(error)}, 409)
        except KeyError as error:
            return JSONResponse({"error": f"no image {error.args[0]!r}"}, 404)
        except OSError as error:
            if (known := of_system(error)) is None:
                raise
            return JSONResponse({"error": str(known)}, 409)

    return answered


def _keeping(viewer: Viewer) -> Callable[[Request], Awaitable[Response]]:
    """Corrections are kept. A page elsewhere cannot send JSON here: browsers ask first whether it may, and are not told so."""

    async def keep(request: Request) -> Response:
        if request.headers.get("content-type") != "application/json":
            return Response("corrections are sent as JSON", 415, media_type="text/plain")
        content = b""
        async for part in request.stream():
            content += part
            if len(content) > MOST_SENT:
                return Response("that is too long for a correction", 413, media_type="text/plain")
        return await run_in_threadpool(_answering(viewer, partial(keep_correction, content=content)), request)

    return keep


# Pages.


def send_page(request: Request) -> Response:
    """A file of the page, which comes with the package."""
    name = request.path_params.get("name", "index.html")
    content = _page_files().get(name)
    if content is None:
        return Response("no such page", 404, media_type="text/plain")
    return Response(content, media_type=TYPES[name[name.rindex(".") :]])


@lru_cache(maxsize=1)
def _page_files() -> Mapping[str, bytes]:
    folder = resources.files("seedbed.view") / "page"
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.name[file.name.rfind(".") :] in TYPES}


# Images.


def describe_run(viewer: Viewer, request: Request) -> Response:
    """What there is to look at."""
    library = viewer.library(request)
    data, problems = library.data, list[str]()
    layers = list[dict[str, Any]]()
    for name in library.names():
        try:
            artifact = library.artifact(name)
        except SeedbedError as error:
            problems.append(str(error))
            continue
        arrays = artifact.schema.arrays.items()
        layers += [{"artifact": name, "array": array, "shown": spec.shown} for array, spec in arrays if spec.shown]
    return JSONResponse(
        {
            "runs": {key: one.run.name for key, one in viewer.runs.items()},
            "images": len(data),
            "classes": data.class_names,
            "palette": make_palette(data.num_classes).tolist(),
            "things": make_thing_colours(data.num_classes).tolist(),
            "unlabelled": UNLABELLED,
            "errors": [[meaning, colour] for meaning, colour in drawing.LEGEND.items()],
            "splits": [str(one) for one in data.array("split_names")],
            "sorts": viewer.catalogue.keys,
            "layers": layers,
            "tried": trying.list_tried(_params(library)),
            "clicks": _describe_clicks(_params(library)),
            "correcting": viewer.correcting is not None,
            "problems": problems,
        }
    )


def list_images(viewer: Viewer, request: Request) -> Response:
    """Some of the images that are asked for."""
    asked, catalogue = request.query_params, viewer.catalogue
    question = Question(
        text=asked.get("text", ""),
        class_name=asked.get("class", ""),
        split=asked.get("split", ""),
        labelled=asked.get("labelled", ""),
        sort=asked.get("sort", ""),
        descending=asked.get("order") == "descending",
    )
    rows = catalogue.select(question)
    if "near" in asked:  # the images before and after one
        places = np.flatnonzero(rows == catalogue.data.row(asked["near"]))
        place = int(places[0]) if len(places) else -1
        ids = catalogue.data.ids
        before = ids[rows[place - 1]] if place > 0 else None
        after = ids[rows[place + 1]] if 0 <= place < len(rows) - 1 else None
        return JSONResponse({"total": len(rows), "place": place, "before": before, "after": after})
    first, count = _number(asked, "first", 0), min(MOST_IMAGES, _number(asked, "count", 60))
    chosen = rows[first : first + count]
    return JSONResponse({"total": len(rows), "first": first, "images": [catalogue.describe(int(row), question.sort) for row in chosen]})


def describe_image(viewer: Viewer, request: Request) -> Response:
    """An image, and what there is to see of it in each run."""
    image_id, catalogue = _ask(request, "id"), viewer.catalogue
    row = catalogue.data.row(image_id)
    splits = [str(one) for one in catalogue.data.array("split_names")[catalogue.data.array("splits")[row]]]
    figures = {catalogue.keys[key]: value for key, value in catalogue.figures(row).items()}
    described: dict[str, Any] = {**catalogue.describe(row, ""), "splits": splits, "figures": figures}
    for key, library in viewer.runs.items():
        layers, problems = library.layers(image_id)
        described[key] = {"layers": [asdict(layer) for layer in layers], "problems": problems}
    return JSONResponse(described)


def send_layer(viewer: Viewer, request: Request) -> Response:
    """A layer of an image."""
    asked, library = request.query_params, viewer.library(request)
    artifact, image_id = library.artifact(_ask(request, "artifact")), _ask(request, "id")
    spec = artifact.schema.arrays.get(_ask(request, "array"))
    artifact.row(image_id)
    if spec is None or not spec.shown:
        raise ParamsError("array", found=repr(asked["array"]), expected=f"one of {artifact.name} that can be seen", do="choose one")
    class_id = _number(asked, "class", -1)
    if class_id >= artifact.lengths.get("class", 0):
        raise ParamsError("class", found=str(class_id), expected="a class of the data set", do="choose one")
    layer = Layer(artifact.name, asked["array"], spec.shown)
    return _array(request, read_layer(artifact, layer, image_id, class_id=None if class_id < 0 else class_id))


def send_truth(viewer: Viewer, request: Request) -> Response:
    """The true class of every pixel, where there is a mask."""
    truth = viewer.library(request).truth(_ask(request, "id"))
    if truth is None:
        return JSONResponse({"error": "there is no true mask of this image"}, 404)
    return _array(request, truth)


def send_photo(viewer: Viewer, request: Request) -> Response:
    """An image as the stages see it, perhaps smaller."""
    photo, side = viewer.runs["a"].photo(_ask(request, "id")), _number(request.query_params, "side", LARGEST_SIDE)
    photo = _shrink(photo, min(side, LARGEST_SIDE), cv2.INTER_AREA)
    done, encoded = cv2.imencode(".jpg", cv2.cvtColor(photo, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    assert done
    return Response(encoded.tobytes(), media_type="image/jpeg")


# What another parameter would make.


def list_knobs(viewer: Viewer, request: Request) -> Response:
    """Parameters of a stage that can be tried."""
    library, stage = viewer.library(request), _ask(request, "stage")
    params = _params(library)
    knobs = [asdict(one) for one in trying.list_knobs(stage, params)]
    return JSONResponse({"method": params.method_name(stage), "shown": trying.find_shown(stage), "knobs": knobs})


def send_trial(viewer: Viewer, request: Request) -> Response:
    """What a stage would make of an image with other parameters; or, without an image, what to write and what would run then."""
    library, stage = viewer.library(request), _ask(request, "stage")
    params = _params(library)
    changes = {name.removeprefix("set."): value for name, value in request.query_params.items() if name.startswith("set.")}
    if "id" in request.query_params:
        made = trying.compute(library, params, stage, _ask(request, "id"), changes)
        return _array(request, made.values, things=made.things)
    pipeline = YAML(typ="safe").load(library.run.read("dvc.yaml") or "") or {}
    runs, perhaps = trying.find_affected(pipeline, library.run.params, stage, params.method_name(stage)) if changes else ([], [])
    written = trying.write_changes(stage, params, changes) if changes else ""
    return JSONResponse({"params": written, "runs": runs, "perhaps": perhaps})


def list_pending(viewer: Viewer, request: Request) -> Response:
    """What `dvc repro` would run whether or not a parameter is changed."""
    found = viewer.find_pending() if viewer.library(request) is viewer.runs["a"] else ()
    return JSONResponse({"stages": [asdict(one) for one in found]})


def describe_regions(viewer: Viewer, request: Request) -> Response:
    """Every superpixel of an image: how large, how it scores, what it was labelled, and why."""
    library = viewer.library(request)
    return JSONResponse(regions.describe(library, _params(library), _ask(request, "artifact"), _ask(request, "id")))


# Clicks.


def send_selection(viewer: Viewer, request: Request) -> Response:
    """The pixels that clicks on an image select: 1, others 0."""
    return _array(request, _select(viewer, request).astype(np.uint8))


def send_mask(viewer: Viewer, request: Request) -> Response:
    """The same as a picture to keep: 255, others 0."""
    done, encoded = cv2.imencode(".png", _select(viewer, request).astype(np.uint8) * 255)
    assert done
    return Response(encoded.tobytes(), media_type="image/png", headers={"Content-Disposition": 'attachment; filename="mask.png"'})


def send_levels(viewer: Viewer, request: Request) -> Response:
    """From which level on a region around the last wanted click has each pixel."""
    library = viewer.library(request)
    click = next((one for one in reversed(_clicks(library, request)) if one.wanted), None)
    if click is None:
        raise ParamsError("clicks", found="none that is wanted", expected="at least one", do="add it")
    params, section = _params(library), _ask(request, "section")
    return _array(request, _clicking(viewer, request).measure_levels(params, section, _ask(request, "id"), click))


def _select(viewer: Viewer, request: Request) -> npt.NDArray[np.bool_]:
    library, level = viewer.library(request), _number(request.query_params, "level", -1)
    given = _clicks(library, request)
    asked, start = (_params(library), _ask(request, "section"), _ask(request, "id"), given), request.query_params.get("start", "")
    return _clicking(viewer, request).select(*asked, start=start, level=None if level < 0 else level)


def _clicking(viewer: Viewer, request: Request) -> clicking.Clicking:
    return viewer.clicking[request.query_params.get("run", "a")]


def _clicks(library: Library, request: Request) -> list[Click]:
    """Clicks as the address has them: row,column,1 if wanted, else 0; with ; between."""
    height, width = library.data.size(_ask(request, "id"))
    made = list[Click]()
    for text in filter(None, request.query_params.get("clicks", "").split(";")):
        numbers = [int(one) if one.isdecimal() and len(one) < 9 else -1 for one in text.split(",")]
        if len(numbers) != 3 or not (0 <= numbers[0] < height and 0 <= numbers[1] < width and numbers[2] in (0, 1)):
            raise ParamsError("clicks", found=repr(text), expected="row,column,1 or 0 within the image", do="correct it")
        made.append(Click(numbers[0], numbers[1], numbers[2] == 1))
    return made


def describe_corrections(viewer: Viewer, request: Request) -> Response:
    """What is kept of an image."""
    return JSONResponse(_correcting(viewer).describe(_ask(request, "id")))


def keep_correction(viewer: Viewer, request: Request, *, content: bytes) -> Response:
    """Keep what a person has selected in an image."""
    return JSONResponse(_correcting(viewer).keep(_params(viewer.library(request)), content))


def _correcting(viewer: Viewer) -> Correcting:
    if viewer.correcting is None:
        raise ParamsError("corrections", found="no file to keep them in", expected="one", do="use `seedbed click`")
    return viewer.correcting


def _describe_clicks(params: Params) -> list[dict[str, Any]]:
    """What can answer clicks, whether by regions, which have levels, and whether there are labels that they can correct."""
    described = []
    for name in clicking.list_sections(params):
        settings = params.of_stage(name).settings(clicks.Settings)
        described.append({"section": name, "levels": settings.trees != NONE, "corrects": settings.start != NO_PATH})
    return described


# Parts of answers.


def _params(library: Library) -> Params:
    return Params(library.run.params, source=f"params.yaml of {library.run.name}", checked=False)


def _ask(request: Request, name: str) -> str:
    """What a request must say."""
    text = request.query_params.get(name)
    if text is None:
        raise ParamsError(name, found="nothing", expected="a value in the address", do="add it")
    return text


def _number(asked: Mapping[str, str], name: str, otherwise: int) -> int:
    text = asked.get(name, "")
    if not text:
        return otherwise
    if not text.isdecimal() or len(text) > 9:
        raise ParamsError(name, found=repr(text), expected="a whole number", do="correct it")
    return int(text)


def _shrink(image: npt.NDArray[Any], side: int, interpolation: int) -> npt.NDArray[Any]:
    """An image none of whose sides is longer than one length."""
    scale = side / max(image.shape[:2])
    if scale >= 1 or side < 1:
        return image
    height, width = (max(1, round(scale * length)) for length in image.shape[:2])
    return np.asarray(cv2.resize(image, (width, height), interpolation=interpolation))


def _array(request: Request, values: npt.NDArray[Any], *, things: Sequence[tuple[int, float]] = ()) -> Response:
    """An array as bytes in the order of memory, least significant byte first, with its shape and type in the head.

    things: class and score of each that the array numbers, for the head too.
    """
    side = _number(request.query_params, "side", 0)
    if side:
        values = _shrink(values, side, cv2.INTER_NEAREST_EXACT)
    values = np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<")))
    content = values.tobytes()
    headers = {
        "X-Shape": ",".join(map(str, values.shape)),
        "X-Type": values.dtype.name,
        "X-Things": json.dumps(things),
        "X-Digest": hashlib.sha256(content).hexdigest()[:16],
    }
    if len(content) > PLAIN_BYTES and "gzip" in request.headers.get("accept-encoding", ""):
        content = gzip.compress(content, 1)
        headers["Content-Encoding"] = "gzip"
    return Response(content, media_type="application/octet-stream", headers=headers)
