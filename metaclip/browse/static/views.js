"use strict";
/* What each view shows. `element` makes nodes, and strings become text nodes. */

const number = (value) => (value === null || value === undefined ? "–" : value.toLocaleString("en-US", { maximumFractionDigits: 3 }));
const percent = (share) => (share === null || share === undefined ? "–" : `${(100 * share).toFixed(share > 0 && share < 0.001 ? 4 : 1)}%`);

/* Controls, and marks that change the direction of what follows, are shown by their names. */
const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;
const visible = (text) => String(text).replace(HIDDEN, (sign) => `⟨${sign.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`);

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== null && value !== false) { made.setAttribute(key, value === true ? "" : value); }
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}
const web = (text) => element("bdi", {}, visible(text));
const entryLink = (row) => (row.id === null || row.id === undefined ? web(row.entry) : element("a", { href: `#entry?id=${row.id}` }, web(row.entry)));
const svg = (name, attributes, ...children) => {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) { made.setAttribute(key, value); }
  made.append(...children);
  return made;
};

function table(caption, columns, rows) {
  const head = element("tr", {}, ...columns.map(([title, , kind]) => element("th", { scope: "col", class: kind }, title)));
  const body = rows.map((row) => element("tr", {}, ...columns.map(([, cell, kind]) => element("td", { class: kind }, cell(row)))));
  return element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    element("table", {}, element("caption", {}, caption), element("thead", {}, head), element("tbody", {}, ...body)));
}

function facts(rows) {
  return element("dl", { class: "key" }, ...rows.filter(Boolean).map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))));
}

const meter = (part, whole, label) => element("meter", { min: 0, max: 1, value: whole ? part / whole : 0, "aria-label": label }, percent(whole ? part / whole : 0));
const keptColumns = [
  ["kept", (row) => number(row.kept), "r"],
  ["share", (row) => percent(row.count ? row.kept / row.count : null), "r"],
  ["", (row) => meter(row.kept, row.count, "share kept"), "meter"],
];

function link(address) {
  let known = null;
  try { known = new URL(address); } catch { known = null; }
  if (!known || !["http:", "https:"].includes(known.protocol)) { return web(address); }
  return element("a", { href: known.href, target: "_blank", rel: "noopener noreferrer external" }, web(address));
}

function pairs(rows) {
  if (!rows.length) { return element("p", { class: "soft" }, "None."); }
  return element("ul", { class: "pairs" }, ...rows.map((row) => {
    const said = row.kept === undefined ? null : element("span", { class: row.kept ? "kept" : "left" }, row.kept ? "kept" : "left out");
    const detail = [row.lang && `language ${visible(row.lang)}`, row.min_t !== undefined && `kept from t = ${number(row.min_t)}`, row.uid && `uid ${row.uid}`];
    const picture = state.pool.pictures && row.uid ? element("img", { src: `/picture/${row.uid}`, alt: "", loading: "lazy", width: 96, height: 96 }) : null;
    if (picture) { picture.addEventListener("error", () => picture.remove()); }
    return element("li", {}, picture, element("div", { class: "body" },
      element("div", { class: "text", dir: "auto" }, row.text === null ? "–" : web(row.text)),
      element("div", { class: "more" }, said, said ? " · " : "", detail.filter(Boolean).join(" · ")),
      element("div", { class: "more" }, row.url ? link(row.url) : ""),
      row.page_url ? element("div", { class: "more" }, "page ", link(row.page_url)) : null,
      row.entries && row.entries.length ? element("div", {}, ...row.entries.map((one) => element("span", { class: "tag" }, entryLink(one)))) : null));
  }));
}

function field(title, control, wide) {
  return element("label", { class: wide ? "wide" : null }, title, control);
}

/* A form whose answer follows what is typed. */
function asking(view, name, fields, parameters, answer) {
  const controls = Object.fromEntries(fields.map(([key, , control]) => [key, control]));
  for (const [key, control] of Object.entries(controls)) { if (parameters[key] !== undefined) { control.value = parameters[key]; } }
  const place = element("div", {});
  const form = element("form", { role: "search", "aria-label": name }, ...fields.map(([, title, control, wide]) => field(title, control, wide)));
  view.append(form, place);
  const values = () => Object.fromEntries(Object.entries(controls).map(([key, control]) => [key, control.value]));
  const run = () => show(async () => answer(values(), place));
  let timer = 0;
  form.addEventListener("submit", (event) => { event.preventDefault(); run(); });
  form.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(() => { go(name, values(), true); run(); }, 60); });
  state.again = run;
  run();
  return form;
}

const input = (attributes = {}) => element("input", { type: "search", autocomplete: "off", spellcheck: "false", ...attributes });
const choice = (...options) => element("select", {}, ...options.map(([value, title]) => element("option", { value }, title)));
const again = (title, work) => { const made = element("button", { type: "button" }, title); made.addEventListener("click", work); return made; };

function curve(points, at, title) {
  const [width, height, left, bottom] = [700, 260, 64, 30];
  const most = Math.max(1, ...points.map((point) => point[1]));
  const largestT = Math.max(2, ...points.map((point) => point[0]));
  const x = (t) => left + ((width - left - 10) * Math.log(Math.max(1, t))) / Math.log(largestT);
  const y = (value) => height - bottom - ((height - bottom - 12) * value) / most;
  const parts = [svg("title", {}, title)];
  for (let power = 0; 10 ** power <= largestT; power += 1) {
    parts.push(svg("text", { x: x(10 ** power), y: height - 8, "text-anchor": "middle" }, number(10 ** power)));
  }
  for (const part of [0, 0.5, 1]) {
    parts.push(svg("text", { x: left - 8, y: y(most * part) + 4, "text-anchor": "end" }, number(Math.round(most * part))));
    parts.push(svg("line", { class: "axis", x1: left, x2: width - 10, y1: y(most * part), y2: y(most * part) }));
  }
  parts.push(svg("polyline", { class: "line", points: points.map(([t, value]) => `${x(t).toFixed(1)},${y(value).toFixed(1)}`).join(" ") }));
  if (at !== "inf" && Number(at) > 0) { parts.push(svg("line", { class: "at", x1: x(Number(at)), x2: x(Number(at)), y1: 8, y2: height - bottom })); }
  return svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title }, ...parts);
}

const entryColumns = () => [
  ["entry", (row) => entryLink(row), "web"],
  ...(state.pool.by_language ? [["language", (row) => web(row.language)]] : []),
  ["matches", (row) => number(row.count), "r"],
];

const views = {
  entries(view, parameters) {
    view.append(element("h2", {}, "Entries of the list"));
    let first = Number(parameters.first || 0);
    const q = input();
    const form = asking(view, "entries", [["q", "Part of an entry", q, true]], parameters, async (values, place) => {
      const found = await ask("/api/entries", { ...values, first, t: state.t });
      return () => {
        const turn = (step) => () => { first = found.first + step; state.again(); };
        place.replaceChildren(
          table(`${number(found.total)} entries, those with most matches first; kept at t = ${state.t}`, [...entryColumns(), ...keptColumns, ["source", (row) => web(row.source)]], found.rows),
          element("p", {}, found.first > 0 ? again("Earlier", turn(-50)) : "", " ", found.first + found.rows.length < found.total ? again("More", turn(50)) : ""));
      };
    });
    form.addEventListener("input", () => { first = 0; });
  },

  entry(view, parameters) {
    let seed = 0;
    const place = element("div", {});
    view.append(place);
    state.again = () => show(async () => {
      const found = await ask("/api/entry", { id: parameters.id || 0, seed, t: state.t });
      return () => {
        const miss = found.misses === null ? null : found.misses.length
          ? table("texts that miss it", [["by", (row) => row.cause], ["texts", (row) => number(row.texts), "r"], ["such as", (row) => web(row.example), "web"]], found.misses)
          : element("p", { class: "soft" }, "No text was counted that misses it by case, punctuation, spacing or a plural.");
        place.replaceChildren(
          element("h2", {}, "Entry ", web(found.entry)),
          facts([
            ["matches", number(found.count)], ["rank", found.rank === null ? "no match" : `${number(found.rank)} of ${number(state.pool.entries)}`],
            [`kept at t = ${found.t}`, `${number(found.kept)} (${percent(found.count ? found.kept / found.count : null)})`],
            ["chance by this entry alone", percent(found.keep_probability)], ["share of all matches", percent(found.share_of_matches)],
            ["share of pairs", percent(found.share_of_pairs)], found.source && ["source", web(found.source)], found.language && ["language", web(found.language)],
          ]),
          found.can_match ? "" : element("p", { class: "left" }, "No text can ever contain it as it is spelled: texts have spaces around , . ; : ? ! ` and entries have not."),
          element("div", { class: "columns" },
            element("section", {}, element("h3", {}, "Pairs with it"), again("Others", () => { seed += 1; state.again(); }), pairs(found.samples)),
            element("section", {}, element("h3", {}, "What t keeps of it"),
              curve(found.curve.map((one) => [one.t, one.kept]), state.t, `Pairs with the entry that are kept, by t, up to ${number(found.count)}`),
              table("next to it by number of matches", entryColumns(), found.next),
              table(`in the same texts, of ${number(found.beside_of)} of its pairs`, [["entry", (row) => entryLink(row), "web"], ["texts", (row) => number(row.with), "r"], ["matches", (row) => number(row.count), "r"]], found.beside),
              miss)));
      };
    });
    state.again();
  },

  texts(view, parameters) {
    view.append(element("h2", {}, "Texts of the pool"));
    let seed = 0;
    asking(view, "texts", [
      ["q", "All of these words", input(), true], ["language", "Language", input({ size: 6 })], ["host", "Host of the image", input({ size: 18 })],
      ["which", "Show", choice(["all", "all"], ["kept", "kept at t"], ["left", "left out at t"])],
    ], parameters, async (values, place) => {
      const found = await ask("/api/texts", { ...values, seed, t: state.t });
      return () => place.replaceChildren(
        element("p", {}, `${number(found.total)} pairs, of which t = ${found.t} keeps ${number(found.kept)} (${percent(found.total ? found.kept / found.total : null)}). `,
          found.shown_of > found.rows.length ? again("Others", () => { seed += 1; state.again(); }) : ""),
        pairs(found.rows));
    });
  },

  explain(view, parameters) {
    view.append(element("h2", {}, "What becomes of a text"));
    const box = element("textarea", { spellcheck: "false", dir: "auto" });
    asking(view, "explain", [["text", "The text, as it is on a page", box, true]], parameters, async (values, place) => {
      if (!values.text.trim()) { return () => place.replaceChildren(element("p", { class: "soft" }, "Type a text: its entries appear as you type.")); }
      const found = await ask("/api/explain", { ...values, t: state.t });
      return () => {
        const told = found.language;
        const label = told.label === null ? visible(told.problem) : `${visible(told.label)} (${number(told.score)}), ${told.kept ? "kept" : "left out by language"}`;
        place.replaceChildren(
          facts([[`chance to be kept at t = ${found.t}`, found.keep_probability === null ? "none: no entry" : percent(found.keep_probability)], ["language", label], ["entries", number(found.entries.length)]]),
          element("p", { class: "soft" }, "searched as: ", element("code", {}, web(found.spaced))),
          element("div", { class: "columns" },
            element("section", {}, table("entries in it", [...entryColumns(), ["chance by it", (row) => percent(row.keep_probability), "r"]], found.entries)),
            element("section", {}, table("entries that it misses", [...entryColumns(), ["by", (row) => row.causes.join(", ")]], found.near_misses))));
      };
    });
    box.focus({ preventScroll: true });
  },

  sizes(view) {
    const place = element("div", {});
    view.append(element("h2", {}, "Size of the set by t"), place);
    state.again = () => show(async () => {
      const found = await ask("/api/size", { t: state.t });
      return () => place.replaceChildren(
        facts([["t", found.t], ["pairs", number(found.pairs)], ["of the pool", percent(found.share)], ["tail share", percent(found.tail_share)], ["entries sampled down", number(found.head_entries)], ["sum of min(count, t)", number(Math.round(found.capped_matches))]]),
        element("div", { class: "columns" },
          element("section", {}, curve(state.pool.curve.map((one) => [one.t, one.pairs]), state.t, "Pairs in the set by t")),
          element("section", {}, table("what happens to the largest entries", [...entryColumns(), ...keptColumns], found.entries))));
    });
    state.again();
  },

  reasons(view, parameters) {
    view.append(element("h2", {}, "What was kept and left out, and why"));
    const list = element("div", {});
    const place = element("div", {});
    view.append(element("div", { class: "columns" }, element("section", {}, list), element("section", {}, place)));
    let seed = 0;
    const why = parameters.why || "kept";
    state.again = () => show(async () => {
      const [reasons, found] = await Promise.all([ask("/api/reasons"), ask("/api/reason", { why, seed, t: state.t })]);
      return () => {
        list.replaceChildren(table("reasons; for those with a * files of the source are read again, which takes a while", [
          ["reason", (row) => element("a", { href: `#reasons?why=${encodeURIComponent(row.why)}`, "aria-current": row.why === why ? "true" : null }, visible(row.why) + (row.from === "files" ? " *" : ""))],
          ["pairs", (row) => number(row.total), "r"]], reasons));
        place.replaceChildren(
          element("h3", {}, `${visible(found.why)}${found.total === null ? "" : `: ${number(found.total)}`}`),
          again("Others", () => { seed += 1; state.again(); }), pairs(found.rows));
      };
    });
    state.again();
  },

  languages(view) { names(view, "languages", "Languages", (row) => `#texts?language=${encodeURIComponent(row.name)}`); },
  hosts(view) { names(view, "hosts", "Hosts of image addresses", (row) => `#texts?host=${encodeURIComponent(row.name)}`); },

  compare(view, parameters) {
    view.append(element("h2", {}, "Two sets"));
    const other = input({ type: "text", inputmode: "decimal", size: 9 });
    other.value = "inf";
    const pools = state.pool.pools.filter((name) => name !== state.pool.pool);
    const fields = [["other_t", `Another t, beside that above`, other]];
    if (pools.length) { fields.push(["pool", "Or another pool (all pairs are read)", choice(["", "–"], ...pools.map((name) => [name, visible(name)]))]); }
    asking(view, "compare", fields, parameters, async (values, place) => {
      if (values.pool) {
        const found = await ask("/api/difference", { other: values.pool, t: state.t });
        return () => place.replaceChildren(...difference(found));
      }
      const found = await ask("/api/compare", { t: state.t, other_t: values.other_t });
      return () => place.replaceChildren(
        facts([["pairs, a", `${number(found.a.pairs)} (t = ${found.a.t})`], ["pairs, b", `${number(found.b.pairs)} (t = ${found.b.t})`], ["in both", number(found.both)], ["shared", percent(found.jaccard)], ["tail share, a", percent(found.a.tail_share)], ["tail share, b", percent(found.b.tail_share)]]),
        element("div", { class: "columns" },
          element("section", {}, scatter(found.changes), changes("the largest changes", found.changes.map((row) => row))),
          element("section", {}, sides("languages", "language", found.languages))));
    });
  },
};

function names(view, kind, title, target) {
  const place = element("div", {});
  view.append(element("h2", {}, title), place);
  state.again = () => show(async () => {
    const found = await ask("/api/names", { kind, t: state.t });
    return () => place.replaceChildren(table(`${number(found.rows.length)} shown, those with most pairs first; kept at t = ${state.t}`, [
      ["name", (row) => element("a", { href: target(row) }, web(row.name)), "web"],
      ["pairs", (row) => number(row.pairs), "r"], ["of the pool", (row) => percent(row.pairs / found.pairs), "r"],
      ["kept", (row) => number(row.kept), "r"], ["of the set", (row) => percent(found.kept ? row.kept / found.kept : null), "r"],
      ["share kept", (row) => percent(row.kept / row.pairs), "r"], ["", (row) => meter(row.kept, row.pairs, "share kept"), "meter"]], found.rows));
  });
  state.again();
}

const changes = (caption, rows) => table(caption, [["entry", (row) => entryLink(row), "web"], ["a", (row) => number(row.a), "r"], ["b", (row) => number(row.b), "r"], ["change", (row) => (row.change > 0 ? "+" : "") + number(row.change), "r"]], rows);
const sides = (caption, name, rows) => table(caption, [[name, (row) => web(row[name]), "web"], ["a", (row) => number(row.a), "r"], ["b", (row) => number(row.b), "r"]], rows);

function difference(found) {
  const side = (one) => `${number(one.pairs)} (${visible(one.pool)}, t = ${one.t})`;
  return [
    facts([["pairs, a", side(found.a)], ["pairs, b", side(found.b)], ["in both", number(found.both)], ["only a", number(found.only_a)], ["only b", number(found.only_b)], ["shared", percent(found.jaccard)], ["tail share, a", percent(found.a.tail_share)], ["tail share, b", percent(found.b.tail_share)]]),
    element("div", { class: "columns" },
      element("section", {}, scatter([...found.gained, ...found.lost]), changes("gained most", found.gained.slice(0, 50)), changes("lost most", found.lost.slice(0, 50))),
      element("section", {}, sides("languages", "language", found.languages.slice(0, 50)), sides("hosts", "host", found.hosts.slice(0, 50)),
        element("h3", {}, "Only in a"), pairs(found.examples_only_a), element("h3", {}, "Only in b"), pairs(found.examples_only_b))),
  ];
}

function scatter(rows) {
  const [side, margin] = [420, 48];
  const most = Math.max(10, ...rows.map((row) => Math.max(row.a || 0, row.b || 0)));
  const at = (value) => ((side - 2 * margin) * Math.log((value || 0) + 1)) / Math.log(most + 1);
  const parts = [svg("title", {}, "Pairs of each changed entry in b against a, logarithmic"), svg("line", { class: "same", x1: margin, y1: side - margin, x2: side - margin, y2: margin })];
  for (let power = 0; 10 ** power <= most; power += 1) {
    parts.push(svg("text", { x: margin + at(10 ** power), y: side - margin + 18, "text-anchor": "middle" }, number(10 ** power)));
    parts.push(svg("text", { x: margin - 6, y: side - margin - at(10 ** power) + 4, "text-anchor": "end" }, number(10 ** power)));
  }
  parts.push(svg("text", { x: side / 2, y: side - 8, "text-anchor": "middle" }, "a"), svg("text", { x: 8, y: side / 2 }, "b"));
  for (const row of rows) { parts.push(svg("circle", { class: "dot", r: 3, cx: margin + at(row.a), cy: side - margin - at(row.b) })); }
  return svg("svg", { class: "square", viewBox: `0 0 ${side} ${side}`, role: "img", "aria-label": "Pairs of each changed entry in b against a, logarithmic" }, ...parts);
}
