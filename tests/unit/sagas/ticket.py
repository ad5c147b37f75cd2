"""`SellTicket`: the guide's saga that waits for days: a seat is held, an invoice sent, the transfer waited for.

seat ────┐
invoice ── payment (a signal) ── ticket (pivot) ── day_after (a timer) ── survey
"""

from dataclasses import dataclass

import msgspec

from gateway import UNTIL_DONE, Done, NotDone, Reject, Retry, Saga, Service, StepCtx, signal, step, timer

hall, billing = Service("hall"), Service("billing")


@dataclass
class TicketInput:
    show: str = "Hamlet"


class Seat(msgspec.Struct):
    seat_id: str


class Invoice(msgspec.Struct):
    number: str


class Transfer(msgspec.Struct):
    """What the bank says."""

    amount: int


class Ticket(msgspec.Struct):
    number: str


class Answered(msgspec.Struct):
    number: str


hold_seat = hall.command("POST", "/seats/hold", into=Seat, rejects={"SOLD_OUT": "The show is sold out."})
free_seat = hall.command("POST", "/seats/free", into=Answered)
send_invoice = billing.command("POST", "/invoices", into=Invoice)
find_invoice = billing.command("POST", "/invoices/find", into=Invoice)
cancel_invoice = billing.command("POST", "/invoices/cancel", into=Answered)
issue_ticket = hall.command("POST", "/tickets", into=Ticket)
ask_for_opinion = hall.command("POST", "/surveys", into=Answered)


class SellTicket(Saga[TicketInput, Ticket], version=1, deadline="4d"):
    """Sell a ticket to somebody who pays by bank transfer."""

    @step(overtaken="resend")
    async def seat(self, ctx: StepCtx, order: TicketInput) -> Seat:
        return await ctx.send(hold_seat, {"show": order.show})

    @seat.undo
    async def free(self, ctx: StepCtx, seat: Done[Seat]) -> None:
        await ctx.send(free_seat, {"seatId": seat.value.seat_id})

    @step(retry=Retry(attempts=2))
    async def invoice(self, ctx: StepCtx, order: TicketInput) -> Invoice:
        return await ctx.send(send_invoice, {"for": order.show, "reference": ctx.forward_key})

    @invoice.undo
    async def cancel(self, ctx: StepCtx, invoice: Done[Invoice]) -> None:
        await ctx.send(cancel_invoice, {"number": invoice.value.number})

    @invoice.lookup(settles_after="1m")
    async def look(self, ctx: StepCtx) -> Done[Invoice] | NotDone:
        found = await ctx.send(find_invoice, {"reference": ctx.forward_key})
        return Done(found) if found.number else NotDone()

    payment = signal(
        Transfer, within="3d", after=["invoice"], otherwise=Reject("NOT_PAID", "The transfer did not come.")
    )

    @step(pivot=True, after=["seat"])
    async def ticket(self, ctx: StepCtx, seat: Seat, payment: Transfer) -> Ticket:
        return await ctx.send(issue_ticket, {"seatId": seat.seat_id, "paid": payment.amount})

    day_after = timer("1d", after=["ticket"])

    @step(retry=UNTIL_DONE, after=["day_after"])
    async def survey(self, ctx: StepCtx, ticket: Ticket) -> Answered:
        return await ctx.send(ask_for_opinion, {"ticket": ticket.number})

    def result(self, ticket: Ticket) -> Ticket:
        return ticket
