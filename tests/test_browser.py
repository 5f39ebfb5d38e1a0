"""The chat page in Debian's Chromium: what a reader sees, and what never happens."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from cosmosage.assistant import Assistant
from cosmosage.engines import EngineError, Writing, open_engine
from tests.serving import PASSWORD, Served, Told, corpus, serving
from tests.wordy import wordy_model

expect.set_options(
    timeout=20_000
)  # ms: nothing takes a second, but CI's cores are shared
WIDE, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
FACT = "The sound horizon at the drag epoch is 147 Mpc in the concordance model."
ANSWER = (
    f"{FACT} <wait> It is $r_d = \\int c_s/H\\,dz$. $$E^2 = 1$$ Nobody likes cheese."
)
QUESTION = "How long is the sound horizon?"
PADDING = "Nothing is said here about rulers, and it takes many words to say so. " * 15
DOCUMENTS = [
    {
        "id": "arxiv:2401.00001v1",
        "text": "\n\n".join([PADDING, PADDING, FACT, PADDING, PADDING]),
        "title": "On <script>alert(2)</script> the horizon",
        "authors": ["A. Author", "B. Author"],
        "year": 2024,
        "licence": "http://creativecommons.org/licenses/by/4.0/",
        "url": "https://arxiv.org/abs/2401.00001v1",
    },
    {
        "id": "arxiv:2401.00002v1",
        "text": "Cepheids calibrate the luminosity of supernovae.",
        "title": "On the ladder",
        "authors": ["C. Author"],
        "year": 2023,
        "licence": "",
        "url": "https://arxiv.org/abs/2401.00002v1",
    },
]
USERS = "ada ben cleo dora emma finn gina hugo ida jack kim lena mona nora olga".split()
CONTRAST = 4.5
"""Of text with what lies behind it, at least (WCAG 2.2, 1.4.3, level AA)."""
CONTRASTS = """(selector) => {
  const shade = text => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, n) => sum + v * [.2126, .7152, .0722][n], 0);
  const behind = each => {
    for (let at = each; at; at = at.parentElement) {
      const found = shade(getComputedStyle(at).backgroundColor);
      if (found.length < 4 || found[3] === 1) return found;
    }
    return matchMedia("(prefers-color-scheme: dark)").matches ? [18, 18, 18] : [255, 255, 255];
  };
  return [...document.querySelectorAll(selector)]
    .filter(each => each.offsetParent && each.innerText && !each.disabled)
    .map(each => {
      const one = light(shade(getComputedStyle(each).color)), other = light(behind(each));
      return [each.tagName + " " + each.innerText.slice(0, 40),
        (Math.max(one, other) + .05) / (Math.min(one, other) + .05)];
    });
}"""


@pytest.fixture(name="pictures", scope="module")
def folder_of_screenshots(tmp_path_factory) -> Path:
    """Where screenshots are kept: CI names a folder of its output."""
    named = os.environ.get("SCREENSHOTS")
    folder = Path(named) if named else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(name="browser", scope="module")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium; playwright's own would have to be downloaded."""
    program = shutil.which("chromium")
    if program is None:
        pytest.fail(
            "chromium is not installed, and the page is tested in it; "
            "apt-get install chromium"
        )
    with sync_playwright() as playwright:
        # in CI's container the tests are root, for whom Chromium has no sandbox
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox"]
        )
        yield browser
        browser.close()


@pytest.fixture(name="parts", scope="module")
def indexes(tmp_path_factory) -> tuple:
    """The corpus, to be looked up."""
    return corpus(tmp_path_factory.mktemp("corpus"), DOCUMENTS)


@pytest.fixture(name="server", scope="module")
def running(tmp_path_factory, parts) -> Iterator[Served]:
    """A server whose engine writes what a test sets."""
    assistant = Assistant(Told(), parts[0], verbatim=parts[1])
    users = {name: "admin" for name in USERS} | {"invited": "reader"}
    with serving(tmp_path_factory.mktemp("server"), assistant, users) as served:
        yield served


@pytest.fixture(name="told")
def engine(server) -> Told:
    """The engine, with the usual answer."""
    told = server.assistant.engine
    told.text = ANSWER
    told.go_on.clear()
    told.closed.clear()
    told.left.clear()
    return told


@contextmanager
def reading(
    browser: Browser, server: Served, user: str | None = None, **settings
) -> Iterator[Page]:
    """A browser that a user is signed in with; what should never happen fails the test.

    That is a request to elsewhere, a resource that is not there, an error in the console, and a
    dialog that nobody asked for.
    """
    context = browser.new_context(**{"viewport": WIDE, **settings})
    wrong: list[str] = []
    if user:
        token = server.accounts.sign_in(user, PASSWORD, "test")
        context.add_cookies(
            [{"name": "cosmosage", "value": token, "url": server.address}]
        )

    def asked(request) -> None:
        if not request.url.startswith((server.address + "/", "data:", "blob:")):
            wrong.append(f"request to {request.url}")

    context.on("request", asked)
    context.on("console", lambda said: said.type == "error" and wrong.append(said.text))
    context.on("weberror", lambda error: wrong.append(str(error.error)))
    page = context.new_page()
    page.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
    page.set_default_timeout(20_000)
    if user:
        page.goto(server.address)
        ready(page)
    try:
        yield page
        assert not wrong
    finally:
        context.close()


def ready(page: Page) -> None:
    """Wait until the page has heard from the server whose it is."""
    expect(page.locator("#who form")).to_be_attached()


def ask(page: Page, question: str = QUESTION) -> None:
    """Type a question and send it."""
    box(page).fill(question)
    box(page).press("Enter")
    expect(page.locator("[data-testid=user]").last).to_contain_text(question[:20])


def box(page: Page) -> Locator:
    """Where questions are typed."""
    return page.locator("#question textarea")


def answer(page: Page) -> Locator:
    """The last answer."""
    return page.locator("[data-testid=bot]").last


def ended(page: Page) -> None:
    """Wait until the next question may be sent."""
    expect(page.get_by_role("button", name="Ask", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Stop", exact=True)).to_have_count(0)


def titles(page: Page) -> Locator:
    """The list of conversations."""
    return page.locator("#earlier label")


def readable(page: Page, selector: str) -> None:
    """See that what a selector finds is some text, and stands out from what is behind it."""
    found = page.evaluate(CONTRASTS, selector)
    assert found
    assert [each for each in found if each[1] < CONTRAST] == []


def fits(page: Page) -> None:
    """See that nothing has to be scrolled to the side."""
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= page.viewport_size["width"]


def test_an_answer_grows_with_formulas_and_sources(browser, server, told, pictures):
    """Its sources come first, then word after word, at last the marks; a source opens."""
    with reading(browser, server, "ada") as page:
        ask(page)
        expect(answer(page)).to_contain_text("147 Mpc")
        expect(page.locator("#sources")).to_contain_text("CC BY 4.0")
        expect(page.get_by_role("button", name="Stop", exact=True)).to_be_visible()
        assert "cheese" not in answer(page).inner_text()
        told.go_on.set()
        ended(page)
        expect(answer(page)).to_contain_text("cheese")
        expect(answer(page).locator(".katex")).to_have_count(2)
        expect(answer(page).locator(".katex-display")).to_have_count(1)
        assert "$" not in answer(page).inner_text()
        marked = answer(page).locator("sup", has_text="no source")
        assert marked.count() >= 1
        assert re.search(r"cheese\.\s*\[no source\]", answer(page).inner_text())
        assert not re.search(r"model\.\s*\[no source\]", answer(page).inner_text())
        page.screenshot(path=pictures / "chat.png")
        with page.context.expect_page() as opened:
            page.locator("#sources a").first.click()
        source = opened.value
        source.wait_for_load_state()
        assert source.url == (
            f"{server.address}/sources/arxiv%3A2401.00001v1#passage-"
            f"{source.locator('section:target').get_attribute('id')[8:]}"
        )
        expect(source.locator("section:target")).to_contain_text(FACT)
        expect(source.locator("section:target")).to_be_in_viewport()
        expect(source.locator("h1")).to_have_text(DOCUMENTS[0]["title"])
        expect(source.locator("main")).to_contain_text("Licence: CC BY 4.0")
        link = source.get_by_role("link", name="original")
        assert link.get_attribute("href") == DOCUMENTS[0]["url"]
        source.screenshot(path=pictures / "source.png")


def test_what_a_stopped_answer_wrote_stays(browser, server, told):
    """The engine is told, the box is ready again, and the text is kept with its sources."""
    with reading(browser, server, "ben") as page:
        ask(page)
        expect(answer(page)).to_contain_text("147 Mpc")
        page.get_by_role("button", name="Stop", exact=True).click()
        ended(page)
        assert len(told.closed) == 1 and told.closed[0].finish == "cancelled"
        assert FACT in answer(page).inner_text()
        assert "cheese" not in answer(page).inner_text()
        page.reload()
        ready(page)
        titles(page).filter(has_text=QUESTION).click()
        expect(answer(page)).to_contain_text(FACT)
        expect(page.locator("#sources")).to_contain_text("CC BY 4.0")


def test_conversations_are_listed_exported_and_removed(browser, server, told):
    """For their owner alone."""
    told.text = FACT
    with reading(browser, server, "cleo") as page:
        expect(page.get_by_role("link", name="Markdown")).to_have_count(0)
        for question in (QUESTION, "What do Cepheids calibrate?"):
            page.get_by_role("button", name="New conversation").click()
            expect(answer(page)).to_have_count(0)
            ask(page, question)
            ended(page)
            expect(page.locator("#earlier :checked")).to_have_count(1)
        page.reload()
        ready(page)
        expect(titles(page)).to_have_text(["What do Cepheids calibrate?", QUESTION])
        expect(page.locator("#earlier :checked")).to_have_count(0)
        titles(page).last.click()
        expect(page.locator("[data-testid=user]")).to_have_text([QUESTION])
        expect(titles(page).last.locator("input")).to_be_checked()
        files = {}
        for form in ("Markdown", "BibTeX"):
            with page.expect_download() as coming:
                page.get_by_role("link", name=form).click()
            files[form] = Path(coming.value.path()).read_text("utf-8")
            link = page.get_by_role("link", name=form).get_attribute("href")
        assert QUESTION in files["Markdown"] and FACT in files["Markdown"]
        assert "Cepheids" not in files["Markdown"]
        assert "2401.00001" in files["BibTeX"] and files["BibTeX"].startswith("@")
        with reading(browser, server, "jack") as other:
            expect(titles(other)).to_have_count(0)
            assert other.request.get(server.address + link).status == 404
        assert page.request.get(server.address + link).status == 200


def test_of_a_long_conversation_the_end_is_drawn(browser, server, told):
    """A browser draws each message anew for each piece of an answer; the exports have them all."""
    kept, user = server.conversations, _number(server, "nora")
    name = kept.new(user, "A long one")
    for number in range(30):
        kept.add(user, name, "user", f"Question {number}?")
        kept.add(user, name, "assistant", f"It is $x_{{{number}}}$.")
    with reading(browser, server, "nora") as page:
        titles(page).first.click()
        expect(page.locator("[data-testid=bot]").first).to_contain_text("20 earlier")
        expect(page.locator("[data-testid=user]").first).to_contain_text("Question 10?")
        expect(page.locator("[data-testid=user]")).to_have_count(20)
        told.go_on.set()
        ask(page)
        ended(page)
        expect(page.locator("[data-testid=bot]").first).to_contain_text("20 earlier")
    assert len(kept.messages(user, name)) == 62


def test_a_conversation_is_removed_after_a_question(browser, server, told):
    """Which may be answered by no."""
    told.text = FACT
    with reading(browser, server, "emma") as page:
        ask(page)
        ended(page)
        expect(page.locator("#earlier :checked")).to_have_count(1)
        asked = []
        for sure in (False, True):
            page.evaluate(
                "sure => {window.confirm = said => {window.asked = said; return sure}}",
                sure,
            )
            page.get_by_role("button", name="Remove this conversation").click()
            page.wait_for_function("window.asked")
            asked.append(page.evaluate("window.asked"))
            page.evaluate("window.asked = ''")
            expect(titles(page)).to_have_count(0 if sure else 1)
        assert asked == ["Remove this conversation? This cannot be undone."] * 2
        expect(answer(page)).to_have_count(0)
        ended(page)
        assert server.conversations.list(_number(server, "emma")) == []


def _number(server: Served, name: str) -> int:
    return next(row["id"] for row in server.accounts.users() if row["name"] == name)


def test_who_leaves_an_answer_sees_no_more_of_it(browser, server, told):
    """Another conversation is shown, the model stops, and the text is kept where it belongs."""
    with reading(browser, server, "finn") as page:
        ask(page)
        expect(answer(page)).to_contain_text("147 Mpc")
        page.get_by_role("button", name="New conversation").click()
        ended(page)
        expect(answer(page)).to_have_count(0)
        assert len(told.closed) == 1
        titles(page).first.click()
        expect(answer(page)).to_contain_text(FACT)


def test_a_page_that_is_closed_stops_the_model(browser, server, told):
    """The text is kept, and the place is free for others."""
    with reading(browser, server, "dora") as page:
        ask(page)
        expect(answer(page)).to_contain_text("147 Mpc")
        assert server.gate.state()["answering"] == 1
    assert told.left.wait(20)
    with reading(browser, server, "dora") as page:
        titles(page).first.click()
        expect(answer(page)).to_contain_text(FACT)
        assert len(told.closed) == 1 and server.gate.state()["answering"] == 0


def test_agreement_and_word_for_word(browser, server, told):
    """Both wait for an answer, and say what they found."""
    with reading(browser, server, "gina") as page:
        again = page.get_by_role("button", name="Ask again")
        where = page.get_by_role("button", name="Where did you read this?")
        expect(again).to_be_disabled()
        expect(where).to_be_disabled()
        told.text = FACT
        ask(page)
        ended(page)
        where.click()
        found = page.locator("#findings")
        expect(found).to_have_attribute("aria-live", "polite")  # it is read aloud
        expect(found).to_contain_text("stands once in the corpus")
        place = found.get_by_role("link").first.get_attribute("href")
        assert place.startswith("/sources/arxiv%3A2401.00001v1#passage-")
        expect(found).to_be_in_viewport()
        told.text = f"<wait> {FACT}"
        again.click()
        expect(found).to_contain_text("Asking 5 times")
        expect(again).to_be_disabled()
        told.go_on.set()
        expect(found).to_contain_text("Asked 5 times: 5 of 5 agree")
        expect(again).to_be_enabled()


def test_every_way_out_gives_the_box_back(browser, server, told, monkeypatch):
    """A question that cannot be answered, a refusal, an engine that breaks."""
    with reading(browser, server, "hugo") as page:
        ask(page, "Zebrafish embryology?")
        ended(page)
        expect(answer(page)).to_contain_text("Not in my corpus")

        def breaks(*_) -> Writing:
            writing = Writing(1)
            writing.put("It began ")
            writing.fail(EngineError("the model failed"))
            return writing

        monkeypatch.setattr(told, "write", breaks)
        ask(page, "How long is the horizon?")
        expect(answer(page)).to_contain_text("broke off")
        ended(page)
        assert "It began" in page.locator("#chat").inner_text()
        server.accounts.set_limits("hugo", 60, 1, 1)  # tokens a day: spent
        ask(page, "How long is the epoch?")
        expect(answer(page)).to_contain_text("ask again in")
        ended(page)


def test_who_waits_is_told_how_many_are_before(browser, server, told):
    """While nothing is written; then the answer comes."""
    told.text = f"<wait> {FACT}"
    with reading(browser, server, "ida") as first:
        ask(first)
        expect(answer(first)).to_contain_text("Reading")
        with reading(browser, server, "jack") as second:
            ask(second)
            expect(answer(second)).to_have_text("One question is before yours …")
            first.get_by_role("button", name="Stop", exact=True).click()
            ended(first)
            told.go_on.set()
            expect(answer(second)).to_contain_text(FACT)
            ended(second)


HOSTILE = (
    '<script>alert(1)</script> <img src="http://evil.example/a.png" onerror="alert(3)"> '
    "![x](http://evil.example/b.png) [link](javascript:alert(4)) <iframe src=/chat/></iframe> "
    "<a href='http://evil.example/c'>here</a> $\\href{javascript:alert(5)}{x}$ "
    "$\\includegraphics{http://evil.example/d.png}$ <style>body{display:none}</style> "
    "<svg onload=alert(6)> http://evil.example/e <form action=/sign-out><button>go</button></form>"
)


def test_what_a_model_writes_does_nothing(browser, server, told):
    """Scripts, pictures, links, frames: words, in an answer and after a reload."""
    told.text = HOSTILE
    with reading(browser, server, "kim") as page:
        ask(page, HOSTILE)
        ended(page)
        ask(page, "How long is the sound horizon?")
        ended(page)
        for again in (False, True):
            if again:
                page.reload()
                ready(page)
                titles(page).first.click()
            expect(answer(page)).to_contain_text("alert(1)")
            inside = page.locator("#chat [role=log]")
            for tag in ("script", "iframe", "style", "form", "a"):
                expect(inside.locator(tag)).to_have_count(0)
            expect(inside.locator("[onerror], [onload], [src]")).to_have_count(0)
            expect(page.locator("[src*=evil], [href*=evil]")).to_have_count(0)
            expect(answer(page)).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_in_the_way_of_who_does_not_see(browser, server, told, scheme):
    """Each page by the rules of WCAG 2.2 that a program can tell."""
    rules = {"runOnly": ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"]}

    def check(page: Page) -> None:
        assert not (found := Axe().run(page, options=rules)).violations_count, (
            page.url + found.generate_report()
        )

    # without its policy a page lets the checker in
    settings = {"color_scheme": scheme, "bypass_csp": True}
    with reading(browser, server, "olga", **settings) as page:
        check(page)
        told.text = FACT
        ask(page)
        ended(page)
        expect(page.locator("#sources blockquote")).not_to_have_count(0)
        check(page)
        page.goto(
            server.address + page.locator("#sources a").first.get_attribute("href")
        )
        check(page)
    with reading(browser, server, **settings) as page:
        for place in ("sign-in", "invitation"):
            page.goto(f"{server.address}/{place}")
            check(page)


def test_signing_in_and_out(browser, server, pictures):
    """A wrong password is said; who has signed out does not come back by the back button."""
    with reading(browser, server, color_scheme="dark") as page:
        page.goto(server.address)
        assert page.url == f"{server.address}/sign-in"
        readable(page, "main :is(h1, p, a, label, button)")
        page.screenshot(path=pictures / "sign-in-dark.png")
        page.get_by_label("Name").fill("lena")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_label("Password").press("Enter")
        ready(page)
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url("**/sign-in")
        page.go_back()
        page.wait_for_url("**/sign-in")
        assert page.locator("#question").count() == 0


def test_a_wrong_password_is_said(browser, server):
    """In words that tell nothing of who has an account."""
    context = browser.new_context()
    page = context.new_page()
    said = []
    for name in ("lena", "nobody"):
        page.goto(f"{server.address}/sign-in")
        page.get_by_label("Name").fill(name)
        page.get_by_label("Password").fill("not the password")
        page.get_by_role("button", name="Sign in").click()
        said.append(page.get_by_role("alert").inner_text())
    assert said[0] == said[1] != ""
    context.close()


def test_an_invitation_sets_a_password(browser, server, pictures):
    """With the code, once; then one may sign in."""
    with reading(browser, server) as page:
        page.goto(f"{server.address}/invitation")
        readable(page, "main :is(h1, p, a, label, button)")
        page.screenshot(path=pictures / "invitation.png")
        page.get_by_label("Code").fill(server.invitations["invited"])
        for label in ("Password", "Once more"):
            page.get_by_label(label, exact=True).fill(PASSWORD)
        page.get_by_role("button", name="Keep it").click()
        expect(page.get_by_role("alert")).to_contain_text("Welcome, invited")
        page.get_by_label("Name").fill("invited")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        ready(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_telephone(browser, server, told, pictures, scheme):
    """The answer first and its sources below, the list closed at first; readable."""
    told.text = ANSWER.replace("<wait> ", "")
    settings = {"viewport": PHONE, "has_touch": True, "is_mobile": True}
    with reading(browser, server, "lena", color_scheme=scheme, **settings) as page:
        expect(page.locator("#side")).to_be_hidden()
        fits(page)
        ask(page)
        ended(page)
        fits(page)
        said, sources = page.locator("#chat"), page.locator("#sources")
        above, below = said.bounding_box(), sources.bounding_box()
        assert above["y"] + above["height"] <= below["y"]
        assert above["width"] > 0.9 * PHONE["width"]
        expect(box(page)).to_be_in_viewport()
        readable(page, "[data-testid=bot] :is(p, sup), [data-testid=user] p")
        readable(page, "#beside :is(h2, p, a, small, button), #menu")
        page.screenshot(path=pictures / f"phone-{scheme}.png", full_page=True)
        menu = page.get_by_role("button", name="Conversations")
        menu.tap()
        expect(page.locator("#side")).to_be_visible()
        assert menu.get_attribute("aria-expanded") == "true"
        fits(page)
        readable(page, "#side :is(h1, button, a, label span, fieldset > span)")
        page.screenshot(path=pictures / f"phone-list-{scheme}.png")
        titles(page).last.tap()
        expect(page.locator("#side")).to_be_hidden()
        expect(answer(page)).to_contain_text("cheese. [no source]")
        page.goto(
            server.address + page.locator("#sources a").first.get_attribute("href")
        )
        fits(page)
        readable(page, "main :is(h1, p, a, section)")


FOCUSED = """() => {
  const at = document.activeElement;
  if (at === document.body) return ["BODY", true];
  const shown = at.matches("#earlier input") ? at.parentElement : at;
  return [at.id || at.innerText || at.ariaLabel || at.tagName,
    getComputedStyle(shown).outlineStyle !== "none" && shown.offsetParent !== null];
}"""


@pytest.mark.usefixtures("told")  # which sets what is written, and waits
def test_by_keyboard_alone(browser, server):
    """Everything is reached, what has the focus is seen, and everything has a name."""
    owner = _number(server, "mona")
    earlier = server.conversations.new(owner, "Earlier")
    server.conversations.add(owner, earlier, "user", "What is cheese?")
    server.conversations.add(owner, earlier, "assistant", "Nobody knows cheese.")
    with reading(browser, server, "mona") as page:
        page.get_by_role("button", name="New conversation").press("Enter")
        box(page).focus()
        page.keyboard.type("How long is")
        page.keyboard.press("Shift+Enter")
        page.keyboard.type("the sound horizon?")
        expect(box(page)).to_have_value("How long is\nthe sound horizon?")
        page.keyboard.press("Enter")
        expect(answer(page)).to_contain_text("147 Mpc")
        page.keyboard.press("Tab")
        assert page.evaluate(FOCUSED) == ["Stop", True]
        page.keyboard.press("Enter")
        ended(page)
        box(page).focus()
        seen = []
        for _ in range(40):
            page.keyboard.press("Tab")
            name, visible = page.evaluate(FOCUSED)
            if name != "BODY":
                assert visible, name
                seen.append(name)
            if name == "TEXTAREA":  # once around
                break
        whole = " ".join(seen)
        for wanted in ("Ask", "again", "where", "new", "INPUT", "Markdown", "remove"):
            assert wanted in whole, wanted
        assert (
            seen.count("INPUT") == 1
        )  # the list is one stop, and arrows go through it
        page.locator("#earlier :checked").focus()
        page.keyboard.press("ArrowDown")
        expect(titles(page).nth(1).locator("input")).to_be_checked()
        expect(titles(page).nth(1).locator("input")).to_be_focused()
        expect(answer(page)).to_contain_text("cheese")
        nameless = page.evaluate(
            """() => [...document.querySelectorAll("button, input, textarea, a, select")]
            .filter(each => each.offsetParent && !(each.innerText || each.ariaLabel
              || each.title || [...each.labels || []].some(label => label.innerText)))
            .map(each => each.outerHTML.slice(0, 200))"""
        )
        assert nameless == []


def test_a_real_model_streams_into_the_page(browser, parts, tmp_path):
    """Random words of a tiny one, which grow until they are stopped."""
    engine_ = open_engine("transformers", wordy_model(tmp_path / "model", context=4096))
    assistant = Assistant(engine_, parts[0], max_tokens=2000)
    with serving(tmp_path, assistant, {"ada": "member"}) as served:
        with reading(browser, served, "ada") as page:
            ask(page)
            sizes = []
            while len(sizes) < 4:
                page.wait_for_function(
                    "size => [...document.querySelectorAll('[data-testid=bot]')]"
                    ".some(each => each.innerText.length > size + 5)",
                    arg=sizes[-1] if sizes else len("Reading …"),
                )
                sizes.append(len(answer(page).inner_text()))
            page.get_by_role("button", name="Stop", exact=True).click()
            ended(page)
            assert len(answer(page).inner_text()) >= sizes[-1]
