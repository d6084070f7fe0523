"use strict";
(function () {
  const d = JSON.parse(document.getElementById("curve-data").textContent);
  const slider = document.getElementById("t-slider");
  const plot = document.querySelector("#size-plot svg");
  const name = "http://www.w3.org/2000/svg";
  const line = document.createElementNS(name, "line");
  const dot = document.createElementNS(name, "circle");
  const total = d.pairs[d.pairs.length - 1];
  const number = (value) => value.toLocaleString("en-US");
  const percent = (part, whole) => (whole ? ((100 * part) / whole).toFixed(1) + "%" : "–");
  const put = (id, text) => { document.getElementById(id).textContent = text; };

  line.setAttribute("stroke", "#0072b2");
  line.setAttribute("stroke-dasharray", "3 3");
  dot.setAttribute("r", "4.5");
  dot.setAttribute("fill", "#d55e00");
  plot.append(line, dot);

  function show() {
    const i = Number(slider.value);
    const [x, y] = d.points[i];
    for (const [key, value] of [["x1", x], ["x2", x], ["y1", y], ["y2", d.base]]) {
      line.setAttribute(key, value);
    }
    dot.setAttribute("cx", x);
    dot.setAttribute("cy", y);
    put("at-t", number(d.t[i]));
    put("at-pairs", number(d.pairs[i]) + " (" + percent(d.pairs[i], total) + ")");
    put("at-tail", d.tail_share[i] === null ? "–" : percent(d.tail_share[i], 1));
    put("at-head", number(d.head[i]));
    put("at-matches", number(d.matches[i]));
    put("at-per-pair", d.pairs[i] ? (d.matches[i] / d.pairs[i]).toFixed(2) : "–");
    d.top.forEach((counts, rank) => put("top-" + rank, number(counts[i])));
    document.querySelectorAll(".slider-t").forEach((cell) => { cell.textContent = number(d.t[i]); });
    slider.setAttribute("aria-valuetext", "t = " + number(d.t[i]));
  }

  slider.max = d.t.length - 1;
  slider.value = d.step;
  slider.disabled = false;
  slider.addEventListener("input", show);
  show();

  const entries = JSON.parse(document.getElementById("entries-data").textContent);
  const field = document.getElementById("find-entry");
  const table = document.getElementById("found");

  function find() {
    const wanted = field.value.trim().toLowerCase();
    const hits = wanted ? entries.filter((row) => row[0].toLowerCase().includes(wanted)) : [];
    table.hidden = !wanted;
    put("found-of", number(hits.length) + (hits.length > 50 ? " found, the 50 with most matches" : " found"));
    const rows = hits.slice(0, 50).map(([entry, pool, set]) => {
      const row = document.createElement("tr");
      for (const [value, kind] of [[entry, "web"], [number(pool), "r"], [number(set), "r"], [percent(set, pool), "r"]]) {
        const cell = document.createElement("td");
        cell.className = kind;
        const inner = document.createElement("bdi");
        inner.textContent = value;
        cell.append(inner);
        row.append(cell);
      }
      return row;
    });
    table.querySelector("tbody").replaceChildren(...rows);
  }

  field.disabled = false;
  field.addEventListener("input", find);
})();
