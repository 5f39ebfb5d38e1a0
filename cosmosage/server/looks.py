"""How the pages look, and what the chat page does by itself: letters that the reader has, light or
dark as the reader's system is."""

import gradio

THEME = gradio.themes.Soft(
    primary_hue="indigo",
    neutral_hue="slate",
    font=["ui-sans-serif", "system-ui", "sans-serif"],
    font_mono=["ui-monospace", "monospace"],
)
ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">'
    '<rect width="32" height="32" rx="7" fill="#4338ca"/>'
    '<g fill="none" stroke="#fff" stroke-width="2.2">'
    '<ellipse cx="16" cy="16" rx="11" ry="4.6" transform="rotate(-28 16 16)"/></g>'
    '<circle cx="16" cy="16" r="3.4" fill="#fff"/></svg>'
)
"""A galaxy, for a browser's tab."""
CHAT_STYLE = """
:root {--less: #526077; --unsure: #b45309; --link: #4338ca}
.dark {--less: #a3b1c6; --unsure: #fdba74; --link: #a5b4fc}
footer, #chat .top-panel, #chat [aria-label="Clear"] {display: none !important}
.gradio-container {max-width: none !important; padding: 0 !important}
.gradio-container > .main, .gradio-container main {padding: 0 !important;
  max-width: none !important}
.gradio-container .column {gap: .75rem}
#bar {display: none}
#columns {display: grid; grid-template-columns: 17rem minmax(0, 3fr) minmax(0, 2fr); gap: 0;
  height: 100dvh}
#columns > .column {height: 100dvh; min-width: 0 !important; flex-wrap: nowrap; padding: 1rem}
#columns > .column > * {flex-shrink: 0}

#side {background: var(--background-fill-secondary); overflow-y: auto;
  border-right: 1px solid var(--border-color-primary)}
#brand h1 {font-size: 1.15rem; font-weight: 650; letter-spacing: .01em; margin: .1rem 0}
#side .form {border-width: 0; box-shadow: none; background: none; flex: 0 1 auto !important;
  min-height: 4.5rem; overflow-y: auto}
#earlier {background: none; border-width: 0 !important; padding: 2px; overflow: visible !important}
#earlier > span {background: none; color: var(--less); padding: 0;
  font-size: .8rem; font-weight: 600; margin-bottom: .35rem}
#earlier .wrap {flex-direction: column; flex-wrap: nowrap; gap: 2px}
#earlier .wrap:not([data-testid], :has(label))::after {content: "None yet";
  color: var(--less); font-size: .9rem}
#earlier label {width: 100%; background: none; border: none; box-shadow: none;
  border-left: 3px solid transparent; border-radius: .375rem; padding: .45rem .6rem;
  color: var(--body-text-color); position: relative}
#earlier label:hover {background: var(--border-color-primary)}
#earlier label:has(input:checked) {border-left-color: var(--color-accent); font-weight: 600;
  background: var(--background-fill-primary)}
#earlier label:has(input:focus-visible) {outline: 2px solid var(--color-accent)}
#earlier label input {position: absolute; opacity: 0; pointer-events: none}
#earlier label > span {margin: 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap}
#exports {font-size: .9rem; padding-left: .2rem}
#exports a {margin: 0 0 0 .1em !important; padding: 0}
#exports .prose {display: block}
#exports a, #sources a, #findings a {text-decoration: underline; color: var(--link)}
#remove {box-shadow: none}
#who {margin-top: auto; font-size: .9rem}
#who form {display: flex; justify-content: space-between; gap: 1em; padding-top: .75rem;
  border-top: 1px solid var(--border-color-primary)}
#who span {overflow: hidden; text-overflow: ellipsis}
#who button {text-decoration: underline; cursor: pointer; white-space: nowrap;
  font: inherit !important; background: none !important; border: none !important;
  box-shadow: none !important; padding: 0 !important; color: inherit; min-width: 0}

#chat {flex: 1 1 0 !important; min-height: 12rem !important; border-width: 0 !important;
  box-shadow: none; background: none}
#chat .placeholder-content {height: 100%; justify-content: center; gap: 1rem}
#chat .placeholder {flex: 0 0 auto; height: auto; padding: 0}
#chat .placeholder h2 {font-size: 1.35rem; font-weight: 600; text-align: center}
#chat .examples {flex: 0 0 auto; gap: .75rem; margin: 0}
#chat .example {background: var(--background-fill-primary); border-radius: .75rem;
  border: 1px solid var(--border-color-primary); min-height: 0; padding: .9rem 1rem}
#chat .example:hover {border-color: var(--color-accent)}
#chat .bubble-wrap {background: none}
#chat .prose {opacity: 1}
#chat .message {color: var(--body-text-color); font-size: 1rem; line-height: 1.6}
#chat sup {color: var(--unsure); font-size: .75em; white-space: nowrap}
#chat .katex-display, #beside .katex-display {overflow-x: auto; overflow-y: hidden;
  padding: .2em 0}
#middle > .form {flex: 0 0 auto !important; border-radius: .75rem}
#question {padding: .5rem}
#question .input-container {gap: .5rem; align-items: flex-end}
#question textarea::placeholder {color: var(--less); opacity: 1}
#question textarea {font-size: 1rem; min-height: 2.25rem; padding: .35rem .5rem}
#question .submit-button, #question .stop-button {width: auto; min-width: 4rem;
  padding: 0 .9rem; height: 2.25rem; border-radius: .5rem; font-weight: 600; color: #fff;
  background: var(--primary-600)}
#question .stop-button {background: #b91c1c}

#beside {overflow-y: auto; border-left: 1px solid var(--border-color-primary)}
#heading h2 {font-size: 1.05rem; font-weight: 650; margin: .25rem 0 0}
#sources, #findings {overflow: visible !important; font-size: .95rem}
#sources p, #sources blockquote p {margin: 0 !important}
#sources blockquote > * + * {margin-top: .4em !important}
#sources small {color: var(--less); font-size: .85em}
#sources blockquote, #findings blockquote {font-size: .9em; max-height: 11rem;
  overflow-y: auto; margin: .4rem 0 1.1rem !important; padding-left: .8rem;
  border-left: 3px solid var(--border-color-accent)}
#sources blockquote :is(h1, h2, h3, h4, h5, h6), #findings blockquote :is(h1, h2, h3, h4, h5, h6)
  {font-size: 1em; font-weight: inherit; line-height: inherit; margin: 0}
#checks {gap: .5rem; flex-wrap: wrap}

:focus-visible {outline: 2px solid var(--color-accent) !important; outline-offset: 2px}
#question textarea:focus-visible {outline-offset: -2px}

@media (max-width: 1100px) {
  #columns {grid-template-columns: 14rem minmax(0, 3fr) minmax(0, 2fr)}
}
@media (max-width: 820px) {
  #bar {display: flex; padding: .5rem .75rem 0}
  #menu {flex: 0 0 auto; width: auto; min-width: 0}
  #columns, #columns > .column {height: auto}
  #columns {display: flex; flex-direction: column}
  #columns > .column {padding: .5rem .75rem; width: 100%; flex: 0 0 auto}
  #middle {height: calc(100dvh - 6.5rem) !important}
  #beside {border-left: none; overflow: visible}
  #side {display: none}
  #columns.menu-open #side {display: flex; border-right: none; border-radius: .5rem; max-height: 70dvh}
}
"""
PAGE_STYLE = """
:root {color-scheme: light dark; --back: #f8fafc; --front: #fff; --ink: #1e293b; --less: #526077;
  --line: #cbd5e1; --link: #4338ca; --said: #b45309; --mark: #eef2ff; --edge: #6366f1}
@media (prefers-color-scheme: dark) {:root {--back: #0f172a; --front: #1e293b; --ink: #e2e8f0;
  --less: #a3b1c6; --line: #475569; --link: #a5b4fc; --said: #fdba74; --mark: #272e63;
  --edge: #818cf8}}
* {box-sizing: border-box}
body {font: 1rem/1.6 ui-sans-serif, system-ui, sans-serif; margin: 0; background: var(--back);
  color: var(--ink)}
main {max-width: 44rem; margin: 0 auto; padding: 2rem 1.25rem 4rem}
.card {max-width: 26rem; margin: 8vh auto 0; background: var(--front); padding: 1.75rem 2rem;
  border: 1px solid var(--line); border-radius: 1rem}
h1 {font-size: 1.5rem; line-height: 1.3; margin: 0 0 .5rem; overflow-wrap: anywhere}
p {margin: .5rem 0 1rem}
a {color: var(--link)}
form {display: grid; gap: 1rem; margin: 1.25rem 0}
label {display: grid; gap: .25rem; font-weight: 600; font-size: .95rem}
input, button {font: inherit; padding: .6rem .8rem; border: 1px solid var(--line);
  border-radius: .5rem; width: 100%}
input {background: var(--back); color: var(--ink)}
button {background: #4f46e5; border-color: #4f46e5; color: #fff; font-weight: 600; cursor: pointer}
button:hover {background: #4338ca}
:focus-visible {outline: 2px solid var(--edge); outline-offset: 2px}
.said {color: var(--said); font-weight: 600}
.small {font-size: .9rem; color: var(--less)}
section {white-space: pre-wrap; overflow-wrap: anywhere; padding: .75rem 1rem;
  border-left: 3px solid transparent; scroll-margin-top: 2rem}
section:target {border-left-color: var(--edge); background: var(--mark);
  border-radius: 0 .5rem .5rem 0}
"""

CHAT_SCRIPT = """() => {
  const list = document.getElementById("earlier");
  const menu = document.getElementById("menu");
  const columns = document.getElementById("columns");
  const open = (whether) => {
    columns.classList.toggle("menu-open", whether);
    menu.setAttribute("aria-expanded", whether);
  };
  const group = () => list.querySelectorAll("input").forEach(each => {each.name = "earlier"});
  new MutationObserver(group).observe(list, {childList: true, subtree: true});
  group();
  open(false);
  menu.addEventListener("click", () => open(!columns.classList.contains("menu-open")));
  list.addEventListener("click", event => event.target.matches("input") && open(false));
  document.getElementById("findings").setAttribute("aria-live", "polite");
  const reach = () => {
    columns.querySelectorAll("blockquote").forEach(each => {each.tabIndex = 0});
    columns.querySelectorAll(".examples").forEach(each => {each.role = "group"});
  };
  new MutationObserver(reach).observe(columns, {childList: true, subtree: true});
  reach();
  document.getElementById("new").addEventListener("click", () => open(false));
}"""
"""The menu on a telephone; the list, whose parts the library names one by one, is made one group,
so that arrows go from one to the next; what is found out is read aloud when it comes; a passage
that is longer than its frame is scrolled by keyboard; and examples, of which the library says that
they are a list, are none."""
