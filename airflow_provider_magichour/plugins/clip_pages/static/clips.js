// The tabs "Clip" and "Clips" in Airflow's page (React, without a build), and what the pages outside of it need.
// The server renders all that is shown; here it is put into place, kept fresh, and made to follow Airflow's router.

const HOME = new URL("..", import.meta.url);
const part = encodeURIComponent;

function style() {
  if (document.getElementById("magichour-clips")) return;
  const href = new URL("static/clips.css", HOME).href;
  document.head.append(Object.assign(document.createElement("link"), { id: "magichour-clips", rel: "stylesheet", href }));
}

function elapsed(since) {
  const seconds = Math.max(0, Math.round((Date.now() - Date.parse(since)) / 1000));
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor((seconds % 3600) / 60)];
  return [hours && `${hours} h`, (hours || minutes) && `${minutes} min`, `${seconds % 60} s`].filter(Boolean).join(" ") + " so far";
}

// Bring what a page shows to life: files of what is in sight, and the time. Returns what ends that.
function enliven(box) {
  const sight = new IntersectionObserver((seen) => {
    for (const { isIntersecting, target } of seen) {
      if (!isIntersecting) continue;
      sight.unobserve(target);
      target.addEventListener("error", () => failed(target), { once: true });
      target.preload = "metadata";
      target.src = target.dataset.src;
    }
  }, { rootMargin: "100px" });
  for (const each of box.querySelectorAll("[data-src]:not([src])")) sight.observe(each);
  const tell = () => {
    for (const each of box.querySelectorAll("[data-since]")) each.textContent = elapsed(each.dataset.since);
  };
  tell();
  const clock = setInterval(tell, 1000);
  return () => { sight.disconnect(); clearInterval(clock); };
}

// An image may be one that moves, which comes as a video.
function failed(medium) {
  if (medium.tagName === "IMG") {
    const video = Object.assign(document.createElement("video"), { controls: true, muted: true, playsInline: true });
    video.setAttribute("aria-label", medium.alt);
    video.addEventListener("error", () => failed(video), { once: true });
    video.src = medium.dataset.src;
    medium.replaceWith(video);
    return;
  }
  const note = Object.assign(document.createElement("p"), { className: "wait", textContent: "It cannot be shown now." });
  medium.replaceWith(note);
}

// Where a task asks a person about a clip: the options, answered by Airflow's own API, which decides who may.
async function ask(place, answered) {
  const json = { Accept: "application/json", "Content-Type": "application/json" };
  const got = await fetch(place.dataset.ask, { headers: json }).catch(() => null);
  if (!got?.ok) return;
  const { subject, options, multiple, params, response_received } = await got.json();
  if (response_received || multiple || Object.keys(params).length) return;
  const said = document.createElement("p");
  said.textContent = subject;
  said.setAttribute("role", "status");
  const buttons = options.map((option) => {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: option });
    button.addEventListener("click", () => answer(option));
    return button;
  });
  place.replaceChildren(said, ...buttons);

  async function answer(option) {
    for (const button of buttons) button.disabled = true;
    const body = JSON.stringify({ chosen_options: [option], params_input: {} });
    const put = await fetch(place.dataset.ask, { method: "PATCH", headers: json, body }).catch(() => null);
    if (put?.ok) {
      place.replaceChildren(said);
      said.textContent = `Answered: ${option}`;
      return answered();
    }
    const told = await put?.json().catch(() => null);
    said.textContent = `Not answered: ${typeof told?.detail === "string" ? told.detail : "Airflow does not take it."}`;
    for (const button of buttons) button.disabled = false;
  }
}

// The parts of a page that are kept or replaced as a whole, with what the server made of them.
function blocks(box) {
  const found = [...box.querySelectorAll("[data-block]")];
  for (const each of found) each.made ??= each.outerHTML;
  return found;
}

// Show a page in a box and keep it fresh. `go` opens a page of Airflow's. Returns what ends it.
function show(box, first, go) {
  let [url, timer, calm, ended] = [new URL(first, HOME), 0, () => {}, false];

  async function load(wanted, moves) {
    clearTimeout(timer);
    let html = "";
    try {
      const asked = new URL(wanted);
      asked.searchParams.set("part", go ? "tab" : "page");
      const answer = await fetch(asked, { credentials: "same-origin" });
      if (!answer.headers.get("content-type")?.startsWith("text/html")) throw new Error("no page");
      html = await answer.text();
    } catch {
      html = '<p class="note" data-refresh="8">Airflow does not answer.</p>';
    }
    if (ended) return;
    url = wanted;
    place(html, moves);
  }

  // A block that has not changed stays where it is: it may be playing, or have the focus.
  function place(html, moves) {
    const fresh = Object.assign(document.createElement("div"), { innerHTML: html });
    const [old, made] = [blocks(box), blocks(fresh)];
    const focused = box.contains(document.activeElement) && document.activeElement.id;
    if (moves || !old.length || old.length !== made.length) box.replaceChildren(...fresh.childNodes);
    else old.forEach((each, at) => each.made === made[at].made || each.replaceWith(made[at]));
    wakeUp();
    const target = moves ? "magichour-title" : focused;
    if (target && document.activeElement.id !== target) box.querySelector(`#${CSS.escape(target)}`)?.focus();
  }

  function wakeUp() {
    calm();
    calm = enliven(box);
    for (const each of box.querySelectorAll("[data-ask]:empty")) ask(each, () => load(url, false));
    schedule();
  }

  function schedule() {
    const wait = Number(box.querySelector("[data-refresh]")?.dataset.refresh);
    if (wait) timer = setTimeout(() => (document.hidden ? schedule() : load(url, false)), wait * 1000);
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
  for (const event of ["pointerover", "focusin"]) box.addEventListener(event, wake);
  if (go) load(url, false);
  else { blocks(box); wakeUp(); }
  return () => { ended = true; clearTimeout(timer); calm(); };
}

function tab(address) {
  return function MagicHourTab(given) {
    const { createElement, useEffect, useRef } = globalThis.React;
    const navigate = globalThis.ReactRouterDOM.useNavigate();
    const [box, url] = [useRef(null), address(given)];
    useEffect(() => {
      style();
      const below = HOME.pathname.replace(/\/magichour-clips\/$/, "");
      return show(box.current, url, (link) => navigate(new URL(link.href).pathname.slice(below.length)));
    }, [url]);
    return createElement("div", { className: "magichour-clips", ref: box });
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
