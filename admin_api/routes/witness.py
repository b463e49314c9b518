"""/witness: this installation as a witness of others' change logs, as C2SP tlog-witness has it. For machines."""

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, Response

from admin_api.deps import services
from change_control.witness import Behind, RolledBack
from policy.proof import ProofRefused

router = APIRouter()


@router.get("/witness/key")
def key(request: Request) -> Response:
    """The verifier key: to be given to whoever wants our cosignatures, and to whoever checks them."""
    keeper = services(request).keeper
    return PlainTextResponse(f"{keeper.witness.vkey()}\n") if keeper else PlainTextResponse("This is no witness.\n", 404)


@router.post("/witness/add-checkpoint")
async def add_checkpoint(request: Request) -> Response:
    """Co-sign a checkpoint that continues what was seen. Who may ask is told by the checkpoint's own signature."""
    desk = services(request)
    body = (await request.body()).decode("utf-8", "replace")
    if desk.keeper is None:
        return PlainTextResponse("This is no witness.\n", 404)
    try:
        text = await run_in_threadpool(desk.keeper.add, body, desk.office.now())
    except Behind as error:
        return Response(f"{error.size}\n", 409, media_type="text/x.tlog.size")
    except RolledBack as error:
        return PlainTextResponse(f"{error}\n", 422)
    except ProofRefused as error:
        return PlainTextResponse(f"{error}\n", 403)
    except LookupError as error:
        return PlainTextResponse(f"{error.args[0]}\n", 404)
    except ValueError as error:
        return PlainTextResponse(f"{error}\n", 400)
    return PlainTextResponse(text)
