"use strict";
/* Asks the server, keeps t and the view, and shows what views.js makes of an answer. Everything from the pool becomes
   text nodes: no answer is ever read as markup. */

const VIEWS = [
  ["entries", "Entries"], ["texts", "Texts"], ["explain", "Explain"], ["sizes", "Sizes"],
  ["reasons", "Reasons"], ["languages", "Languages"], ["hosts", "Hosts"], ["compare", "Compare"],
];
const state = { pool: null, t: "", asked: 0 };
const $ = (id) => document.getElementById(id);

async function ask(path, parameters = {}) {
  const query = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== "" && value !== undefined));
  const answer = await fetch(`${path}?${query}`, { headers: { Accept: "application/json" } });
  const found = await answer.json();
  if (!answer.ok) { throw new Error(found.error || answer.statusText); }
  return found;
}

/* The view is in the address behind #, so that back, forward and bookmarks work. */
function place() {
  const [view, query] = location.hash.slice(1).split("?");
  const known = VIEWS.some(([name]) => name === view) || view === "entry";
  return { view: known ? view : "entries", parameters: Object.fromEntries(new URLSearchParams(query || "")) };
}

function go(view, parameters = {}, replace = false) {
  const query = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== "" && value !== undefined));
  const hash = `#${view}${query.size ? `?${query}` : ""}`;
  if (replace) { history.replaceState(null, "", hash); } else { location.hash = hash; }
}

function fault(error) {
  $("fault").hidden = !error;
  $("fault").textContent = error ? visible(error.message) : "";
}

/* Only the answer to the last question is shown. */
async function show(work) {
  const number = ++state.asked;
  const view = $("view");
  view.setAttribute("aria-busy", "true");
  try {
    const made = await work();
    if (number === state.asked && made) { made(); }
    if (number === state.asked) { fault(null); }
  } catch (error) {
    if (number === state.asked) { fault(error); }
  }
  if (number === state.asked) { view.setAttribute("aria-busy", "false"); }
}

function render() {
  const { view, parameters } = place();
  for (const link of $("tabs").querySelectorAll("a")) {
    const own = link.dataset.view === (view === "entry" ? "entries" : view);
    if (own) { link.setAttribute("aria-current", "page"); } else { link.removeAttribute("aria-current"); }
  }
  document.title = `${VIEWS.find(([name]) => name === view)?.[1] ?? "Entry"} · ${visible(state.pool.pool)} · metaclip`;
  $("view").replaceChildren();
  views[view]($("view"), parameters);
}

/* t: a text field and a slider on a logarithmic scale, which tell the same. */
const largest = () => Math.max(2, state.pool.largest_count);
const toSlider = (t) => (t === "inf" ? 1000 : Math.round((1000 * Math.log(Math.max(1, Number(t)))) / Math.log(largest())));
function ofSlider(value) {
  if (Number(value) >= 1000) { return "inf"; }
  const t = Math.exp((Number(value) / 1000) * Math.log(largest()));
  return String(t < 100 ? Math.round(t * 10) / 10 : Math.round(t));
}

let waiting = 0;
function setT(t, from) {
  state.t = t;
  if (from !== "text") { $("t").value = t; }
  if (from !== "slider") { $("slider").value = toSlider(t); }
  $("slider").setAttribute("aria-valuetext", `t = ${t}`);
  clearTimeout(waiting);
  waiting = setTimeout(refresh, 40);
}

async function refresh() {
  const t = state.t;
  try {
    const size = await ask("/api/size", { t });
    if (t !== state.t) { return; }
    const tail = size.tail_share === null ? "" : `, tail share ${percent(size.tail_share)}`;
    $("at-t").textContent = `keeps ${number(size.pairs)} of ${number(state.pool.pairs)} pairs (${percent(size.share)})${tail}, ${number(size.head_entries)} entries sampled down`;
    state.size = size;
    fault(null);
  } catch (error) {
    if (t === state.t) { $("at-t").textContent = ""; fault(error); }
    return;
  }
  document.dispatchEvent(new Event("t"));
}

async function begin() {
  try {
    state.pool = await ask("/api/pool");
  } catch (error) {
    fault(error);
    return;
  }
  const pool = state.pool;
  $("pool").textContent = `Pool ${visible(pool.pool)}`;
  $("facts").textContent = `${number(pool.pairs)} pairs, ${number(pool.entries_with_matches)} of ${number(pool.entries)} entries with ${number(pool.matches)} matches, seed ${pool.seed}; the pool's own t is ${pool.t}`;
  for (const [name, title] of VIEWS) {
    const link = element("a", { href: `#${name}` }, title);
    link.dataset.view = name;
    $("tabs").append(element("li", {}, link));
  }
  $("t").addEventListener("input", () => setT($("t").value.trim(), "text"));
  $("slider").addEventListener("input", () => setT(ofSlider($("slider").value), "slider"));
  window.addEventListener("hashchange", () => { render(); $("view").focus({ preventScroll: true }); });
  document.addEventListener("t", () => { const again = state.again; if (again) { again(); } });
  setT(pool.t);
  render();
}

document.addEventListener("DOMContentLoaded", begin);
