// The tabs "Clip" and "Clips" in Airflow's page (React, without a build), and what the pages outside of it need.
// The server renders all that is shown; here it is put into place, kept fresh, and made to follow Airflow's router.

const HOME = new URL("..", import.meta.url);
const part = encodeURIComponent;
const made = (tag, given) => Object.assign(document.createElement(tag), given);

function elapsed(since) {
  const seconds = Math.max(0, Math.round((Date.now() - Date.parse(since)) / 1000));
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor((seconds % 3600) / 60)];
  return [hours && `${hours} h`, (hours || minutes) && `${minutes} min`, `${seconds % 60} s`].filter(Boolean).join(" ") + " so far";
}

// Files are loaded as they come into sight.
const sight = new IntersectionObserver((seen) => {
  for (const { isIntersecting, target } of seen) {
    if (!isIntersecting) continue;
    sight.unobserve(target);
    target.preload = "metadata";
    target.src = target.dataset.src;
  }
}, { rootMargin: "100px" });

// An image may be one that moves, which comes as a video.
function failed({ target }) {
  const { alt, src, tagName } = target;
  const video = { controls: true, muted: true, playsInline: true, ariaLabel: alt, src };
  const note = { className: "wait", textContent: "It cannot be shown now." };
  target.replaceWith(tagName === "IMG" ? made("video", video) : made("p", note));
}

// Airflow's own API, which decides who may do what.
async function rest(url, change) {
  const headers = { Accept: "application/json", "Content-Type": "application/json" };
  try {
    const answer = await fetch(url, { headers, ...(change && { method: "PATCH", body: JSON.stringify(change) }) });
    return { ok: answer.ok, told: await answer.json() };
  } catch {
    return { ok: false, told: {} };
  }
}

// On Airflow 3.1 the params of the DAG come along with a question, with the run's own values: what is theirs is no form.
const shape = ({ schema, description, value }, now = value) => JSON.stringify([schema, description, now]);

async function isForm(ask, params) {
  if (!Object.keys(params).length) return false;
  const [dag, run] = await Promise.all([rest(`${ask.split("/dagRuns/")[0]}/details`), rest(ask.split("/taskInstances/")[0])]);
  const [theirs, values] = [dag.told.params ?? {}, run.told.conf ?? {}];
  return Object.entries(params).some(([name, given]) => !theirs[name] || shape(given) !== shape(theirs[name], values[name]));
}

// Where a task asks a person about a clip: its options.
async function ask(place, answered) {
  const { ok, told } = await rest(place.dataset.ask);
  if (!ok || told.response_received || told.multiple || (await isForm(place.dataset.ask, told.params))) return;
  const said = made("p", { role: "status", textContent: told.subject });
  const button = (option) => made("button", { type: "button", textContent: option, onclick: () => answer(option) });
  place.replaceChildren(said, ...told.options.map(button));

  async function answer(option) {
    place.disabled = true;
    const { ok, told } = await rest(place.dataset.ask, { chosen_options: [option], params_input: {} });
    if (ok) {
      place.replaceChildren(said);
      said.textContent = `Answered: ${option}`;
      return answered();
    }
    said.textContent = `Not answered: ${typeof told?.detail === "string" ? told.detail : "Airflow does not take it."}`;
    place.disabled = false;
  }
}

// The parts of a page that are kept or replaced as a whole, with what the server made of them.
function blocks(box) {
  const found = [...box.querySelectorAll("[data-block]")];
  for (const each of found) each.made ??= each.outerHTML;
  return found;
}

const isPage = (answer) => answer.headers.get("content-type")?.startsWith("text/html");
const pageOf = (answer) => (isPage(answer) ? answer.text() : Promise.reject(new Error("no page")));

// Show a page in a box and keep it fresh. `go` opens a page of Airflow's. Returns what ends it.
function show(box, first, go) {
  let [url, timer, ended] = [new URL(first, HOME), 0, false];

  async function load(wanted, moves) {
    clearInterval(timer);
    const asked = new URL(wanted);
    asked.searchParams.set("part", go ? "tab" : "page");
    const html = await fetch(asked).then(pageOf).catch(() => '<p class="note" data-refresh="8">Airflow does not answer.</p>');
    if (ended) return;
    url = wanted;
    place(html, moves);
  }

  // A block that has not changed stays where it is: it may be playing, or have the focus.
  function place(html, moves) {
    const fresh = made("div", { innerHTML: html });
    const [old, now] = [blocks(box), blocks(fresh)];
    const focused = box.contains(document.activeElement) && document.activeElement.id;
    if (moves || !old.length || old.length !== now.length) box.replaceChildren(...fresh.childNodes);
    else old.forEach((each, at) => each.made === now[at].made || each.replaceWith(now[at]));
    wakeUp();
    const target = moves ? "magichour-title" : focused;
    if (target && document.activeElement.id !== target) box.querySelector(`#${CSS.escape(target)}`)?.focus();
  }

  function wakeUp() {
    for (const each of box.querySelectorAll("[data-src]:not([src])")) sight.observe(each);
    for (const each of box.querySelectorAll("[data-ask]:empty")) ask(each, () => load(url, false));
    tell();
    clearInterval(timer);
    const wait = Number(box.querySelector("[data-refresh]")?.dataset.refresh);
    if (wait) timer = setInterval(() => document.hidden || load(url, false), wait * 1000);
  }

  function tell() {
    for (const each of box.querySelectorAll("[data-since]")) each.textContent = elapsed(each.dataset.since);
  }

  function click(event) {
    const link = event.target.closest("a[href]");
    if (!link || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    if ("load" in link.dataset) load(new URL(link.href), true);
    else if ("go" in link.dataset && go) go(link);
    else return;
    event.preventDefault();
  }

  // A tile is a picture until it is pointed at, or reached with the keyboard.
  const wake = ({ target }) => target.matches?.(".tile video") && (target.controls = true);

  box.addEventListener("click", click);
  box.addEventListener("error", failed, true);
  for (const event of ["pointerover", "focusin"]) box.addEventListener(event, wake);
  const clock = setInterval(tell, 1000);
  if (go) load(url, false);
  else { blocks(box); wakeUp(); }
  return () => { ended = true; clearInterval(timer); clearInterval(clock); };
}

function tab(address) {
  return function MagicHourTab(given) {
    const { createElement, Fragment, useEffect, useRef } = globalThis.React;
    const navigate = globalThis.ReactRouterDOM.useNavigate();
    const [box, url] = [useRef(null), address(given)];
    const below = HOME.pathname.replace(/\/magichour-clips\/$/, "");
    useEffect(() => show(box.current, url, (link) => navigate(link.pathname.slice(below.length))), [url]);
    const style = createElement("link", { key: "style", rel: "stylesheet", href: new URL("static/clips.css", HOME).href });
    const shown = createElement("div", { key: url, className: "magichour-clips", ref: box });
    return createElement(Fragment, null, style, shown);
  };
}

const run = ({ dagId, runId }) => `dags/${part(dagId)}/runs/${part(runId)}`;
globalThis.Clips = tab(run);
globalThis.Clip = tab((given) => `${run(given)}/tasks/${part(given.taskId)}?map_index=${part(given.mapIndex ?? -1)}`);

const page = document.querySelector("main.magichour-clips");
if (page) {
  const theme = localStorage.getItem("theme");
  if (theme === "dark" || theme === "light") document.documentElement.classList.add(theme);
  show(page, location.href, null);
}
