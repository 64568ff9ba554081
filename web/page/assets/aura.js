// The page works without this. It replaces regions by what the server rendered, once a second, and never one that
// someone is using: with focus, an open <details>, a changed field, or a pressed pointer.
const state = document.getElementById("live-state");
const toggle = document.getElementById("live-toggle");
const shown = new Map();
let source = null;
let paused = false;
let pressed = false;

addEventListener("pointerdown", () => { pressed = true; });
for (const end of ["pointerup", "pointercancel", "blur"]) addEventListener(end, () => { setTimeout(() => { pressed = false; }, 50); });

const inUse = (region) =>
  region.contains(document.activeElement) && document.activeElement !== region ||
  region.querySelector("details[open]") !== null ||
  [...region.querySelectorAll("input")].some((field) => field.value !== field.defaultValue);

function replace(region, html) {
  if (shown.get(region.id) === html || pressed || inUse(region)) return;
  const parsed = new DOMParser().parseFromString(html, "text/html");
  const scrolled = [...region.querySelectorAll(".scroll")].map((box) => box.scrollLeft);
  region.replaceChildren(...parsed.body.childNodes);
  region.querySelectorAll(".scroll").forEach((box, i) => { box.scrollLeft = scrolled[i] ?? 0; });
  shown.set(region.id, html);
}

function say(text, kind) {
  if (state.textContent !== text) state.textContent = text;
  state.dataset.kind = kind;
}

// One incident has no stream of its own: its page is asked for again.
async function again() {
  const mine = source;
  let text = "Live";
  try {
    const answer = await fetch(location.pathname);
    if (!answer.ok) throw new Error(answer.status);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (source !== mine) return; // paused meanwhile
    for (const region of document.querySelectorAll("[data-region]")) {
      const now = fresh.getElementById(region.id);
      if (now) replace(region, now.innerHTML);
    }
  } catch {
    text = "Connection lost, trying again";
  }
  if (source !== mine) return;
  say(text, text === "Live" ? "live" : "lost");
  source = setTimeout(again, 2000);
}

function open() {
  if (source || paused || document.hidden) return;
  if ("again" in document.body.dataset) {
    source = setTimeout(again, 2000);
    return;
  }
  source = new EventSource("/live");
  source.addEventListener("page", (e) => {
    const regions = JSON.parse(e.data);
    for (const region of document.querySelectorAll("[data-region]")) {
      if (region.id in regions) replace(region, regions[region.id]);
    }
    say("Live", "live");
  });
  source.addEventListener("error", () => {
    say("Connection lost, trying again", "lost");
    if (source && source.readyState === EventSource.CLOSED) { close(); setTimeout(open, 3000); }
  });
}

function close() {
  source?.close ? source.close() : clearTimeout(source);
  source = null;
}

toggle.hidden = false;
toggle.addEventListener("click", () => {
  paused = !paused;
  toggle.textContent = paused ? "Resume" : "Pause";
  if (paused) { close(); say("Paused", "paused"); } else { open(); }
});

// A hidden tab needs no stream; browsers allow few connections to one server.
document.addEventListener("visibilitychange", () => { document.hidden ? close() : open(); });

// What was done is no news after a while; why something was not done stays.
const done = document.querySelector(".notice.is-good");
if (done) setTimeout(() => done.remove(), 15000);

// A reload must not say again what was done.
if (location.search.includes("done=")) history.replaceState(null, "", "/");
open();
