// Keep a page as the store is: told by the server, or by asking every few seconds where it cannot tell.

const EVERY_MS = 500;
const POLL_MS = 5000;
const AGAIN_MS = 15000;
const SAID_MS = 10000;

const seen = new Map();
let wanted = false, busy = false, last = 0, timer = 0, poll = 0, saidAt = 0;

export function watch(address, prepare) {
  const light = document.querySelector("#live");
  const show = (state, words) => { light.dataset.state = state; light.textContent = words; };
  const changed = () => ask(prepare, show);
  document.addEventListener("visibilitychange", () => { if (!document.hidden && wanted) changed(); });
  if (address === "poll") {  // a page of many stores: nobody tells of all of them
    show("poll", "asking every 5 s");
    setInterval(changed, POLL_MS);
    return;
  }

  function open() {
    const source = new EventSource(address);
    source.addEventListener("hello", () => {
      clearInterval(poll);
      poll = 0;
      show("on", "live");
    });
    source.addEventListener("change", changed);
    source.addEventListener("gap", changed);
    source.addEventListener("error", () => {
      show("poll", "asking every 5 s");
      poll ||= setInterval(changed, POLL_MS);
      if (source.readyState === EventSource.CLOSED) setTimeout(open, AGAIN_MS);
    });
    window.addEventListener("pagehide", () => source.close(), { once: true });
  }
  open();
}

// At most one request at a time, two a second, none while nobody looks.
function ask(prepare, show) {
  wanted = true;
  if (busy || timer || document.hidden) return;
  timer = setTimeout(async () => {
    timer = 0;
    wanted = false;
    busy = true;
    last = performance.now();
    try { await refresh(prepare); }
    catch { show("off", "the server does not answer"); }
    busy = false;
    if (wanted) ask(prepare, show);
  }, Math.max(0, last + EVERY_MS - performance.now()));
}

async function refresh(prepare) {
  const response = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!response.ok) return;
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  document.title = page.title;
  for (const fresh of page.querySelectorAll("[data-live]")) {
    const html = fresh.innerHTML;
    const now = document.getElementById(fresh.id);
    if (!now || seen.get(fresh.id) === html || hasSelection(now)) continue;
    seen.set(fresh.id, html);
    swap(now, fresh);
    prepare(now);
  }
  const counts = document.querySelector("[data-said]"), said = document.querySelector("#said");
  const words = page.querySelector("[data-said]")?.dataset.said;
  if (counts && words && words !== said.textContent && performance.now() - saidAt > SAID_MS) {
    saidAt = performance.now();
    said.textContent = words;
  }
  document.dispatchEvent(new Event("refreshed"));
}

// Put the new content in, and the focus and what was opened back where they were.
function swap(now, fresh) {
  const active = now.contains(document.activeElement) ? document.activeElement : null;
  const address = active?.getAttribute("href");
  const opened = [...now.querySelectorAll("details[open]")].map((element) => element.id);
  now.replaceChildren(...fresh.childNodes);
  for (const id of opened) document.getElementById(id)?.setAttribute("open", "");
  if (!active) return;
  const same = address && [...now.querySelectorAll("a[href]")].find((link) => link.getAttribute("href") === address);
  (same || (active.id && document.getElementById(active.id)))?.focus({ preventScroll: true });
}

function hasSelection(element) {
  const selection = getSelection();
  return !selection.isCollapsed && element.contains(selection.anchorNode);
}
