// What every page does: times in the reader's zone, keys, colours, copying, actions; then it stays live.
import { follow } from "./log.js";
import { watch } from "./live.js";

const $ = (selector, within = document) => within.querySelector(selector);
const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];

// --- times -----------------------------------------------------------------------------------------

const near = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const far = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const old = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });

function localTimes(within) {
  for (const element of $$("time[datetime]", within)) {
    const at = new Date(element.dateTime);
    const days = (Date.now() - at) / 86400e3;
    const today = at.toDateString() === new Date().toDateString();
    element.title = at.toString();
    element.textContent = (today ? near : days < 300 ? far : old).format(at);
  }
}

function spent(seconds) {
  if (seconds < 59.95) return `${Math.max(0, seconds).toFixed(0)}s`;
  const whole = Math.round(seconds), two = (n) => String(n).padStart(2, "0");
  const days = Math.floor(whole / 86400), hours = Math.floor(whole / 3600) % 24, minutes = Math.floor(whole / 60) % 60;
  if (days) return `${days}d ${two(hours)}:${two(minutes)}:${two(whole % 60)}`;
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

// The server's clock counts: what it said a duration was when it wrote the page.
function tick() {
  for (const element of $$("[data-since]")) {
    element.said ??= { seconds: secondsOf(element.textContent), at: performance.now() };
    element.textContent = spent(element.said.seconds + (performance.now() - element.said.at) / 1000);
  }
}

function secondsOf(text) {
  if (text.trim().endsWith("s")) return parseFloat(text);
  const [clock, days] = text.trim().split(/d\s*/).reverse();
  return clock.split(":").reduce((sum, part) => sum * 60 + Number(part), 0) + Number(days ?? 0) * 86400;
}

// --- colours, copying, forms -------------------------------------------------------------------------

const themes = { auto: "as the system has them", light: "light", dark: "dark" };
function nameTheme() {
  $("#theme").setAttribute("aria-label", `Colours: ${themes[document.documentElement.dataset.theme ?? "auto"]}`);
}
$("#theme").addEventListener("click", () => {
  const names = Object.keys(themes), root = document.documentElement.dataset;
  const next = names[(names.indexOf(root.theme ?? "auto") + 1) % names.length];
  if (next === "auto") delete root.theme; else root.theme = next;
  try { localStorage.setItem("scriptflow-theme", next); } catch { /* storage is off: for this page only */ }
  nameTheme();
  document.dispatchEvent(new Event("theme"));
});
nameTheme();

document.addEventListener("click", async (event) => {
  const copy = event.target.closest("[data-copy]");
  if (copy) {
    const before = copy.textContent;
    try { await navigator.clipboard.writeText(copy.dataset.copy); copy.textContent = "Copied"; }
    catch { copy.textContent = "Cannot copy here"; }
    setTimeout(() => { copy.textContent = before; }, 1500);
  }
  const act = event.target.closest("[data-act]");
  if (act && window.confirm(act.dataset.ask)) await request(act);
});

async function request(button) {
  const answer = $(".answer", button.parentElement);
  const tasks = button.dataset.tasks ? JSON.parse(button.dataset.tasks) : null;
  button.disabled = true;
  answer.textContent = "asked …";
  try {
    const response = await fetch(button.dataset.act, {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(tasks ? { tasks } : { run: true }),
    });
    const said = await response.json();
    answer.textContent = response.ok ? said.said : [said.error.what, ...said.error.why, said.error.do].filter(Boolean).join(" · ");
  } catch {
    answer.textContent = "the server does not answer";
  }
  button.disabled = false;
}

for (const select of $$("select[data-submit]")) select.addEventListener("change", () => select.form.requestSubmit());
for (const form of $$("form[method=get]")) {
  form.addEventListener("submit", () => {  // an empty field is no filter: it need not stand in the address
    for (const field of form.elements) if (field.name && !field.value) field.disabled = true;
  });
}
window.addEventListener("pageshow", () => { for (const field of $$("form :disabled")) field.disabled = false; });

// --- keys ----------------------------------------------------------------------------------------------

const base = document.body.dataset.base;
const below = (path) => (base === "/" ? "" : base) + path;
const go = (address) => { if (address) location.href = address; };
const run = /\/r\/[^/]+/.exec(location.pathname);
let first = "";
function step(by) {
  const links = $$("[data-rows] tbody tr").map((row) => $("a[href]", row)).filter(Boolean);
  const now = links.findIndex((link) => link.closest("tr").contains(document.activeElement));
  links[Math.min(links.length - 1, Math.max(0, now + by))]?.focus();
}
const keys = {
  "/": () => ($("input[type=search]") ? $("input[type=search]").focus() : go(below("/files"))),
  "?": () => help.showModal(),
  j: () => step(1),
  k: () => step(-1),
  f: () => ($(".first-failure") ? $(".first-failure").focus() : run && go(`${location.pathname.slice(0, run.index)}${run[0]}/tasks?state=failed`)),
  l: () => go($(".log-link")?.href),
  t: () => go($("#tab-tasks")?.href),
  "g r": () => go(base),
  "g f": () => go(below("/files")),
};
const help = $("#help");
$("#help-button").addEventListener("click", keys["?"]);
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || help.open || event.target.matches("input, select, textarea")) return;
  const key = first + event.key;
  first = event.key === "g" && !first ? "g " : "";
  if (Object.hasOwn(keys, key)) { event.preventDefault(); keys[key](); }
});

// --- staying live -----------------------------------------------------------------------------------------

function prepare(within) {
  localTimes(within);
  tick();
}
prepare(document);
setInterval(tick, 1000);
for (const element of $$("[data-follow]")) follow(element);
if ($("[data-timeline]")) import("./timeline.js").then(({ draw }) => draw($("[data-timeline]")));
if (document.body.dataset.events) watch(document.body.dataset.events, prepare);
