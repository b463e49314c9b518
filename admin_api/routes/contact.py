"""/you/email: where a person is told by e-mail of what waits for her, or of what became of her request."""

from typing import Annotated

from fastapi import APIRouter
from starlette.responses import Response

from admin_api import outbox
from admin_api.deps import Desk
from admin_api.forms import Form
from admin_api.permissions import at
from change_control.authority import Permission

router = APIRouter()
type Here = Annotated[Desk, at(Permission.READ_CHANGES)]


@router.get("/you/email")
def contact(desk: Here, said: str = "") -> Response:
    with desk.read() as session:
        email = outbox.address_at(session, desk.visitor.person.id)
    return desk.page("contact.html", email=email, errors={}, said=said)


@router.post("/you/email")
def change(desk: Here, form: Form) -> Response:
    me, email = desk.visitor.person.id, form.text("email", 300)
    try:
        with desk.services.store.write() as session:
            before = outbox.address_at(session, me)
            outbox.set_address(session, me, email)
            text = (
                f"From now on the desk at {desk.services.public_url} tells you at this address what waits for you.\n"
                "An e-mail only tells: you sign in at the desk to decide.\n"
            )
            if email:
                told = outbox.Message("", outbox.EMAIL, email, "The desk writes to you here", text, f"address {me}")
                outbox.put(session, told, desk.office.now())
            if before and before != email:  # whoever had the old address hears of it: a change that was not hers is seen
                text = f"{desk.services.public_url} no longer writes to you here. If you did not change that, say so.\n"
                left = outbox.Message(
                    "", outbox.EMAIL, before, "The desk no longer writes to you here", text, f"left {me} {email}"
                )
                outbox.put(session, left, desk.office.now())
    except ValueError as error:
        return desk.page("contact.html", 422, email=email, errors={"email": str(error)}, said="")
    desk.note("e-mail address", "done")
    return desk.go("/you/email", "email" if email else "email-gone")
