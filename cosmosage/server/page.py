"""The chat page: conversations at the left, the answer in the middle, its sources at the right.

What a browser sends is not trusted with more than a question and the name of a conversation: what
was said before is read from the owner's own conversation here. The page is put together by a
library, whose scripts, letters and formulas all come from this process; the price is that its
parts are named and arranged by style sheet where the library leaves no other way.
"""

import asyncio
import html
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing, suppress
from dataclasses import asdict, dataclass
from typing import Any

import gradio
from gradio.utils import LRUCache
from starlette.concurrency import run_in_threadpool

from cosmosage.accounts import Message, User
from cosmosage.accounts.limits import Refused, Ticket
from cosmosage.assistant import AGAIN, Answer, Begun, address, facts, markdown
from cosmosage.assistant.findings import Drawing
from cosmosage.assistant.reading import LONGEST
from cosmosage.retrieval import Passage
from cosmosage.server.looks import CHAT_SCRIPT
from cosmosage.server.service import Service, source_page
from cosmosage.verbatim import Place

DOLLARS = [
    {"left": "$$", "right": "$$", "display": True},
    {"left": "$", "right": "$", "display": False},
]
EXAMPLES = [
    "What is the Hubble tension?",
    "How do baryon acoustic oscillations measure distances?",
    "Write down the Friedmann equation and name its terms.",
    "What does weak lensing tell us about the growth of structure?",
]
TITLE = 60
"""Characters of a conversation's title: of its first question."""
PAGES = 2000
"""That the library remembers, some 70 KB each."""
DRAWN = 40
"""Messages of a conversation that are shown, the last ones: the library draws all of them anew for
each piece of an answer, and with 200 an answer of three seconds took sixteen to appear."""
PACE_S = 0.15
"""Between two looks at an answer that grows: faster than one reads, and the browser may be on the
model's own machine."""
TOLD_S = 1.0
"""Between two looks at the line, for whoever waits in it."""
BROKEN = "The answer broke off; the server's output says why."
NO_SOURCES = "*The passages that an answer was given stand here.*"
NOT_YET = "*Ask something first.*"
READING = "*Reading …*"
NOTHING = "*The model wrote nothing.*"
_SURE = (
    "(name, _) => [name, confirm('Remove this conversation? This cannot be undone.')]"
)
_FOCUS = "() => document.querySelector('#question textarea').focus()"
_SEEN = "() => document.getElementById('findings').scrollIntoView({block: 'nearest'})"
_QUICK: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_name": False}


@dataclass
class _Running:
    """An answer that a page is being given."""

    begun: Begun | None = None
    over: bool = False
    """The reader stopped it or left for another conversation."""
    left: bool = False
    to: str | None = None
    """Which conversation the reader left for; None is a new one."""

    def end(self) -> None:
        """Stop the model; what it wrote is kept."""
        self.over = True
        if self.begun:
            self.begun.close()


# pylint: disable=no-member # the library's parts get their events at run time


class Page:
    """What the page's parts do; each is told by the request whose it is."""

    def __init__(self, service: Service):
        self.service = service
        self._running: dict[tuple[int, str], _Running] = {}
        self._drawing: dict[tuple[int, str], Drawing] = {}

    def user(self, request: gradio.Request) -> User:
        """Who sent a request, as the door found out."""
        user = request.request.scope["state"]["user"]
        assert isinstance(user, User)
        return user

    def opened(self, request: gradio.Request) -> tuple:
        """A page that is opened: a new conversation, and the list of the earlier ones."""
        return (*self._shown(self.user(request), None), self._who(request))

    def chosen(self, name: str | None, request: gradio.Request) -> tuple:
        """Another conversation; one that is not the user's is not there."""
        name = name if isinstance(name, str) else None
        self._leave(request, name)
        return self._shown(self.user(request), name)

    def fresh(self, request: gradio.Request) -> tuple:
        """A new conversation."""
        return self.chosen(None, request)

    def removed(
        self, name: str | None, sure: bool, request: gradio.Request
    ) -> tuple | dict:
        """Remove a conversation, if its owner is sure."""
        user = self.user(request)
        if not (name and sure):
            return gradio.skip()  # of everything
        self._leave(request, None)
        with suppress(LookupError):  # removed already, in another tab
            self.service.conversations.remove(user.id, name)
        return self._shown(user, None)

    def stopped(self, request: gradio.Request) -> None:
        """Stop the answer that this page is given; it ends as every answer does."""
        if running := self._running.get(self._key(request)):
            running.end()
        if drawing := self._drawing.get(self._key(request)):
            drawing.close()

    def _leave(self, request: gradio.Request, name: str | None) -> None:
        """The reader goes to another conversation: stop the answer, and let it show no more."""
        if running := self._running.get(self._key(request)):
            running.left, running.to = True, name
        self.stopped(request)

    def _key(self, request: gradio.Request) -> tuple[int, str]:
        return self.user(request).id, str(request.session_hash)

    async def answered(
        self, question: str, name: str | None, request: gradio.Request
    ) -> AsyncIterator[tuple]:
        """An answer while it grows; gives name, messages, sources, findings, and the box."""
        user, same = self.user(request), gradio.skip()
        said = await run_in_threadpool(self._messages_of, user, name)
        name, history = (name if said else None), _turns(said)
        shown = [*_drawn(said), {"role": "user", "content": _as_typed(question)}]
        busy = gradio.update(value="", submit_btn=False, stop_btn="Stop")
        yield name, [*shown, _said(READING)], NO_SOURCES, "", busy
        running = self._running[self._key(request)] = _Running()
        try:
            async with aclosing(
                self._told(running, user, question, name, history)
            ) as growing:
                async for name, content, sources in growing:
                    if running.left:
                        break
                    yield name, [*shown, *content], sources, same, same
        finally:
            self._running.pop(self._key(request), None)
        if running.left:  # what was on its way when the reader left is not to stay
            now = await run_in_threadpool(self._shown, user, running.to)
            yield *now[:3], same, same

    async def _told(
        self,
        running: _Running,
        user: User,
        question: str,
        name: str | None,
        history: list[dict],
    ) -> AsyncIterator[tuple]:
        """What becomes of a question: name, messages that follow it, and sources."""
        answer = None
        try:
            asking = await self.service.ask(user, question, history)
        except (Refused, LookupError) as refused:
            yield name, [_said(str(refused.args[0]))], NO_SOURCES
            return
        except ValueError as error:
            yield name, [_said(f"Sorry: {error}.")], NO_SOURCES
            return
        except RuntimeError as error:
            print(error, file=sys.stderr)
            yield name, [_said(BROKEN)], NO_SOURCES
            return
        begun = running.begun = asking.begun
        try:
            name = await run_in_threadpool(self._asked, user, name, question)
            if running.over:
                begun.close()
            sources: Any = _source_records(begun.reading.sources)
            async with aclosing(_growing(begun, asking.ticket)) as growing:
                async for answer, ahead in growing:
                    yield name, [_said(_line(ahead) if ahead else answer)], sources
                    sources = gradio.skip()  # they stay the same
        except ValueError as error:  # the conversation is full
            yield name, [_said(f"Sorry: {error}.")], NO_SOURCES
            return
        except RuntimeError as error:
            print(error, file=sys.stderr)
            told = [_said(answer)] if answer and answer.text else []
            yield name, [*told, _said(BROKEN)], gradio.skip()
            return
        finally:
            # whoever stops an answer keeps what was written
            await asking.end()
            if answer is None or answer.finish is None:
                answer = await run_in_threadpool(begun.whole)
            await run_in_threadpool(self._keep, user, name, answer)
        yield name, [_said(answer)], _source_records(answer.sources)

    def again(self, name: str | None, request: gradio.Request) -> Iterator[tuple]:
        """How far several answers to the last question agree."""
        user = self.user(request)
        question, history = self._last(user, name)
        if not question:
            yield NOT_YET, *_able(False)
            return
        yield f"*Asking {AGAIN} times; this takes as long as {AGAIN} answers …*", *_able(
            False
        )
        yield self._asked_again(request, question, history), *_able(True)

    def _asked_again(
        self, request: gradio.Request, question: str, history: list[dict]
    ) -> str:
        user, key = self.user(request), self._key(request)
        try:
            with self.service.gate.enter(user, AGAIN) as ticket:
                drawing = self.service.assistant.draw(
                    question, history, self.service.owner(user)
                )
                if drawing is None:
                    return "*Nothing to ask again: the corpus does not speak to this.*"
                self._drawing[key], ticket.stop = drawing, drawing.close
                try:
                    found = drawing.whole()
                finally:
                    self._drawing.pop(key, None)
                ticket.spend(found.tokens)
        except (Refused, ValueError, LookupError) as refused:
            return markdown(str(refused))
        except RuntimeError as error:
            print(error, file=sys.stderr)
            return BROKEN
        return found.shown

    def where(self, name: str | None, request: gradio.Request) -> Iterator[tuple]:
        """What of the last answer stands word for word in the corpus."""
        said = self._messages_of(self.user(request), name)
        last = next((m.content for m in reversed(said) if m.role == "assistant"), "")
        if not last:
            yield NOT_YET, *_able(False)
            return
        yield "*Looking through the corpus …*", *_able(False)
        try:
            found = self.service.assistant.where(last).listed(_opened)
        except ValueError as error:
            found = markdown(f"{error}.")
        yield found, *_able(True)

    def listed(self, name: str | None, request: gradio.Request) -> tuple:
        """When an answer has ended, however it did: the box, the list and what may be done."""
        idle = gradio.update(submit_btn="Ask", stop_btn=False)
        user = self.user(request)
        return idle, *self._offered(user, name, bool(self._messages_of(user, name)))

    def _shown(self, user: User, name: str | None) -> tuple:
        """A conversation, its last sources, no findings, and what may be done with it."""
        said = self._messages_of(user, name)
        if not said:
            name = None
        last = next((m.sources for m in reversed(said) if m.role == "assistant"), ())
        return (
            name,
            _drawn(said),
            _source_records([_passage(record) for record in last]),
            "",
            *self._offered(user, name, bool(said)),
        )

    def _offered(self, user: User, name: str | None, any_said: bool) -> tuple:
        """The list, the exports, and the buttons for an open conversation."""
        found = self.service.conversations.list(user.id)
        choices = [(each.title or "Untitled", each.id) for each in found]
        return (
            gradio.update(choices=choices, value=name),
            _exports(name),
            gradio.update(visible=name is not None),
            *_able(any_said),
        )

    def _messages_of(self, user: User, name: str | None) -> list[Message]:
        if not name:
            return []
        try:
            return self.service.conversations.messages(user.id, name)
        except LookupError:
            return []

    def _last(self, user: User, name: str | None) -> tuple[str, list[dict]]:
        """The last question of a conversation, and what was said before it."""
        said = _turns(self._messages_of(user, name))
        places = [n for n, turn in enumerate(said) if turn["role"] == "user"]
        if not places:
            return "", []
        return said[places[-1]]["content"], said[: places[-1]]

    def _asked(self, user: User, name: str | None, question: str) -> str:
        kept = self.service.conversations
        if name is None:
            title = " ".join(question.split())
            name = kept.new(user.id, title[:TITLE] + "…" * (len(title) > TITLE))
        kept.add(user.id, name, "user", question)
        return name

    def _keep(self, user: User, name: str | None, answer: Answer) -> None:
        if name is None:  # the question was not kept either
            return
        # it may have been removed while the answer was written, or be full
        with suppress(LookupError, ValueError):
            self.service.conversations.add(
                user.id,
                name,
                "assistant",
                answer.text,
                [asdict(source) for source in answer.sources],
                unsupported=[sentence.end for sentence in answer.unsupported],
            )

    def _who(self, request: gradio.Request) -> str:
        if self.service.accounts is None:
            return ""
        name = html.escape(self.user(request).name)
        return (
            f'<form method="post" action="/sign-out"><span>{name}</span>'
            '<button type="submit">Sign out</button></form>'
        )


async def _growing(begun: Begun, ticket: Ticket) -> AsyncIterator[tuple[Answer, int]]:
    """An answer while it grows, with how many are before it while nothing is written."""
    answers, answer, told = aiter(begun), None, 0
    following: asyncio.Future | None = None
    try:
        while True:
            following = following or asyncio.ensure_future(anext(answers, None))
            await asyncio.wait({following}, timeout=TOLD_S)
            if following.done():
                answer, following = following.result(), None
                if answer is None:
                    return
                yield answer, 0
                if answer.text:  # what is written meanwhile comes in one piece
                    await asyncio.sleep(PACE_S)
            elif answer is not None and not answer.text and told != ticket.ahead():
                told = ticket.ahead()
                yield answer, told
    finally:
        if following:
            following.cancel()
            with suppress(asyncio.CancelledError, RuntimeError):
                await following
        await answers.aclose()


def page(service: Service) -> gradio.Blocks:
    """The page, ready to be mounted."""
    does = Page(service)
    with gradio.Blocks(title="cosmosage", analytics_enabled=False) as blocks:
        name = gradio.State(None)
        sure = gradio.Checkbox(visible=False)
        with gradio.Row(elem_id="bar"):
            gradio.Button("Conversations", size="sm", elem_id="menu")
        with gradio.Row(elem_id="columns"):
            with gradio.Column(elem_id="side"):
                gradio.HTML("<h1>cosmosage</h1>", elem_id="brand")
                new = gradio.Button("New conversation", elem_id="new")
                earlier = gradio.Radio(
                    label="Conversations",
                    elem_id="earlier",
                    choices=[],
                    interactive=True,
                )
                exports = gradio.HTML(elem_id="exports")
                remove = gradio.Button(
                    "Remove this conversation",
                    size="sm",
                    elem_id="remove",
                    visible=False,
                )
                who = gradio.HTML(elem_id="who")
            with gradio.Column(elem_id="middle"):
                chat = gradio.Chatbot(
                    show_label=False,
                    label="Conversation",
                    elem_id="chat",
                    latex_delimiters=DOLLARS,
                    sanitize_html=True,
                    allow_tags=False,
                    buttons=["copy"],
                    height="100%",
                    feedback_options=None,
                    placeholder="## Ask about what the papers and textbooks say",
                    examples=[{"text": text} for text in EXAMPLES],
                )
                box = gradio.Textbox(
                    label="Question",
                    show_label=False,
                    placeholder="Ask a question",
                    elem_id="question",
                    max_length=LONGEST,
                    submit_btn="Ask",
                    stop_btn=False,
                    autofocus=True,
                    max_lines=8,
                )
            with gradio.Column(elem_id="beside"):
                gradio.Markdown("## Sources", elem_id="heading")
                sources = gradio.Markdown(
                    NO_SOURCES,
                    elem_id="sources",
                    latex_delimiters=DOLLARS,
                    sanitize_html=True,
                )
                with gradio.Row(elem_id="checks"):
                    again = gradio.Button(
                        "Ask again", size="sm", elem_id="again", interactive=False
                    )
                    where = gradio.Button(
                        "Where did you read this?",
                        size="sm",
                        elem_id="where",
                        interactive=False,
                    )
                findings = gradio.Markdown(
                    elem_id="findings", latex_delimiters=DOLLARS, sanitize_html=True
                )
        offered = [earlier, exports, remove, again, where]
        shown = [name, chat, sources, findings, *offered]
        blocks.load(does.opened, None, [*shown, who], js=CHAT_SCRIPT, **_QUICK)
        new.click(does.fresh, None, shown, **_QUICK)
        # as it was sent: the library knows no list of a page opened before the server's start,
        # and prints what is not in it; whose a conversation is, the accounts know
        earlier.input(does.chosen, earlier, shown, preprocess=False, **_QUICK)
        remove.click(does.removed, [name, sure], shown, js=_SURE, **_QUICK)
        asking = box.submit(
            does.answered,
            [box, name],
            [name, chat, sources, findings, box],
            concurrency_limit=None,
            show_progress="hidden",
            api_name="chat",
        )
        asking.then(does.listed, name, [box, *offered], **_QUICK)
        box.stop(does.stopped, None, None, **_QUICK)
        blocks.unload(does.stopped)  # a page that was closed reads no more
        chat.example_select(_example, None, box, **_QUICK).then(
            None, None, None, js=_FOCUS
        )
        for button, act in ((again, does.again), (where, does.where)):
            button.click(
                act,
                name,
                [findings, again, where],
                concurrency_limit=4,
                show_progress="hidden",
                api_name=False,
            ).then(None, None, None, js=_SEEN)
    blocks.queue(max_size=None, default_concurrency_limit=None, api_open=False)
    # pylint: disable-next=protected-access  # it is set nowhere else
    blocks._queue.pending_messages_per_session = _Recent(PAGES)
    blocks.state_session_capacity = PAGES
    return blocks


class _Recent(LRUCache):
    """What pages have to read. The library forgets the page that was opened first, though it may
    be reading; here it is the one of which nothing was heard for longest."""

    def __getitem__(self, key: str) -> Any:
        self.move_to_end(key)
        return super().__getitem__(key)


def _able(able: bool) -> tuple:
    """Both buttons below the sources."""
    return gradio.update(interactive=able), gradio.update(interactive=able)


def _turns(said: Sequence[Message]) -> list[dict]:
    """A conversation as the model reads it."""
    return [{"role": each.role, "content": each.content} for each in said]


def _drawn(said: Sequence[Message]) -> list[dict]:
    """A conversation as the page shows it."""
    shown = []
    before = max(len(said) - DRAWN, 0)
    if before:
        shown.append(_said(f"{before} earlier messages stand in the exports."))
    for message in said[before:]:
        sources = [_passage(record) for record in message.sources]
        text = markdown(message.content, sources, message.unsupported)
        empty = NOTHING if message.role == "assistant" else ""
        shown.append({"role": message.role, "content": text or empty})
    return shown


def _example(chosen: gradio.SelectData) -> str:
    value = chosen.value
    return str(value.get("text", ""))[:LONGEST] if isinstance(value, dict) else ""


def _as_typed(question: str) -> str:
    """A user's words: inert as the model's are, for they are shown by the same means."""
    return markdown(question[:LONGEST])


def _said(answer: Answer | str) -> dict[str, str]:
    if isinstance(answer, str):
        return {"role": "assistant", "content": markdown(answer)}
    empty = NOTHING if answer.finish else READING
    return {"role": "assistant", "content": answer.shown or empty}


def _passage(record: dict) -> Passage:
    """A source as it was kept with its answer."""
    return Passage(**{**record, "authors": tuple(record["authors"])})


def _source_records(sources: Sequence[Passage]) -> str:
    """Sources as Markdown; each opens at its passage here, and where it is from."""
    shown = []
    for number, source in enumerate(sources, start=1):
        title, *rest = [markdown(fact) for fact in facts(source)]
        if link := address(source.url):
            rest.append(_link(link, "original"))
        here = _link(source_page(source.document, source.number), title)
        shown.append(
            f"**{number}.** {here}  \n<small>{' · '.join(rest)}</small>\n\n"
            f"{_quoted(markdown(source.text))}"
        )
    return "\n\n".join(shown) or NO_SOURCES


def _link(to: str, text: str) -> str:
    """In a new tab, so that the conversation stays."""
    return f'<a href="{html.escape(to)}" target="_blank" rel="noopener">{text}</a>'


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}" for line in text.splitlines())


def _line(ahead: int) -> str:
    """For whoever waits."""
    if ahead == 1:
        return "One question is before yours …"
    return f"{ahead} questions are before yours …"


def _opened(place: Place, title: str) -> str:
    """A link to a place of the corpus, on this server."""
    return _link(source_page(place.document, place.passage), title)


def _exports(name: str | None) -> str:
    """Links to a conversation's exports; its name is of letters and digits."""
    if not name:
        return ""
    name = html.escape(name)
    return (
        f'Export: <a href="/conversations/{name}.md" download>Markdown</a>, '
        f'<a href="/conversations/{name}.bib" download>BibTeX</a>'
    )
