"""/healthz and /metrics: for machines."""

from fastapi import APIRouter, Request
from sqlalchemy import func, select
from starlette.responses import JSONResponse, PlainTextResponse, Response

from admin_api import counters, outbox
from admin_api.auth import LOCAL
from admin_api.deps import Services, address, services
from admin_api.filter_state import filter_state
from admin_api.stream_state import stream_states
from change_control.lifecycle import State
from change_control.tables import ChangeRow, LogRow
from monitoring.spool import Reader

router = APIRouter()


@router.get("/healthz")
def healthz(request: Request) -> Response:
    """200 when the desk answers and its database reads."""
    with services(request).store.read() as session:
        logs = session.scalar(select(func.count()).select_from(LogRow))
    return JSONResponse({"ok": True, "logs": logs})


@router.get("/metrics")
def metrics(request: Request) -> Response:
    """Prometheus text, for this machine only: it tells of all schools at once."""
    if address(request) not in LOCAL:
        return PlainTextResponse("Only this machine may read its metrics.\n", 403)
    desk = services(request)
    return PlainTextResponse("".join((*_lines(desk), *counters.lines(desk.data))), media_type="text/plain; version=0.0.4")


def behind(desk: Services) -> int | None:
    """Bytes that workers saw and the filter log has not stored yet."""
    if desk.spool is None or desk.log is None:
        return None
    return Reader(desk.spool).behind({worker: spool.position for worker, spool in desk.log.spools().items()})


def _lines(desk: Services) -> list[str]:
    snapshot = desk.snapshot()
    state = filter_state(desk)
    with desk.store.read() as session:
        counted = session.execute(
            select(ChangeRow.log, ChangeRow.state, func.count()).group_by(ChangeRow.log, ChangeRow.state)
        ).all()
        logs = session.execute(select(LogRow.id, LogRow.size)).all()
        post = outbox.state(session, desk.office.now())
    waiting = {log: count for log, what, count in counted if what == State.REQUESTED}
    provisional = {log: count for log, what, count in counted if what == State.PROVISIONAL}
    lines = [
        *_metric("schoolgate_workers_expected", "Parts of the filter that should run.", {"": state.of}),
        *_metric("schoolgate_workers_running", "Parts of the filter that run.", {"": len(state.workers)}),
        *_metric(
            "schoolgate_workers_in_force",
            "Parts of the filter on which the newest policy of a log is in force.",
            {log: state.on(log, entry) for log, entry in snapshot.revisions.items()},
        ),
        *_metric(
            "schoolgate_policy_problems",
            "Policies refused by the desk or a worker.",
            {"": len({*desk.live.problems.values(), *state.problems()})},
        ),
        *_metric("schoolgate_policy_generation", "Generation of the policy in force.", {"": snapshot.generation}),
        *_metric("schoolgate_requests_waiting", "Requests that wait.", {log: waiting.get(log, 0) for log, _ in logs}),
        *_metric("schoolgate_changes_to_ratify", "Changes to ratify.", {log: provisional.get(log, 0) for log, _ in logs}),
        *_metric("schoolgate_change_log_entries", "Entries of a change log.", {log: size for log, size in logs}),  # noqa: C416
    ]
    lines += _metric("schoolgate_messages_waiting", "Messages that could not be sent yet.", {"": post.waiting})
    lines += _metric("schoolgate_messages_failed", "Messages given up in the last 14 days.", {"": post.failed})
    behind_by = {one.name: one.behind for one in stream_states(desk.data)}
    lines += _metric("schoolgate_stream_behind_lines", "Lines of the log that a receiver has not taken.", behind_by, "stream")
    if (waiting_bytes := behind(desk)) is not None:
        lines += _metric("schoolgate_spool_behind_bytes", "What the filter log has not stored yet.", {"": waiting_bytes})
    return lines


def _metric(name: str, meaning: str, values: dict[str, int], label: str = "log") -> list[str]:
    labelled = [f'{name}{{{label}="{of}"}} {value}\n' if of else f"{name} {value}\n" for of, value in sorted(values.items())]
    return [f"# HELP {name} {meaning}\n", f"# TYPE {name} gauge\n", *labelled]
