"use strict";
(() => {
  addEventListener("beforeprint", () => {
    for (const part of document.querySelectorAll("details")) part.open = true;
  });
  const table = document.getElementById("candidates");
  if (!table) return;

  const FIRST = 100; // rows laid out at first, since a browser takes seconds for thousands
  const MORE = 500;
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const place = new Map(rows.map((row, index) => [row, index]));
  const texts = new Map();
  const keysOf = new Map();
  const [words, criteria, unknown, sound, shown, more] = ["words", "criteria", "unknown", "sound", "shown", "more"]
    .map((id) => document.getElementById(id));
  let order = rows;
  let most = FIRST;

  function text(row) {
    if (!texts.has(row)) texts.set(row, row.textContent.toLowerCase());
    return texts.get(row);
  }

  // Only rows that are shown stand in the document.
  function draw() {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    const kind = criteria.value === "both" ? "+" : criteria.value;
    const fitting = order.filter((row) => row.dataset.by.includes(kind)
      && !(unknown.checked && "known" in row.dataset) && !(sound.checked && "cautions" in row.dataset)
      && wanted.every((word) => text(row).includes(word)));
    body.replaceChildren(...fitting.slice(0, most));
    const number = (count) => count.toLocaleString("en");
    const fit = fitting.length === rows.length ? "" : `, ${number(fitting.length)} fit`;
    shown.textContent = `${number(body.rows.length)} of ${number(rows.length)} shown${fit}`;
    const left = fitting.length - body.rows.length;
    more.hidden = left === 0;
    more.textContent = left > MORE ? `Show ${number(MORE)} more` : `Show the other ${number(left)}`;
  }

  // Missing values (a dash) come last in either direction; equal ones keep the order of rank.
  function sort(column, numbers, direction) {
    const compare = numbers ? (a, b) => a - b : new Intl.Collator("en", { numeric: true }).compare;
    if (!keysOf.has(column)) {
      keysOf.set(column, new Map(rows.map((row) => {
        const cell = row.cells[column].textContent.trim();
        return [row, cell === "–" ? null : numbers ? Number(cell) : cell];
      })));
    }
    const keys = keysOf.get(column);
    order = [...rows].sort((one, other) => {
      const [a, b] = [keys.get(one), keys.get(other)];
      const missing = (a === null) - (b === null);
      return missing || (a === null ? 0 : direction * compare(a, b)) || place.get(one) - place.get(other);
    });
    draw();
  }

  for (const heading of table.tHead.querySelectorAll("th[data-sort]")) {
    const button = document.createElement("button");
    button.type = "button";
    const name = heading.querySelector("span"); // stays for paper: browsers do not repeat buttons there
    button.append(...name.cloneNode(true).childNodes);
    name.before(button);
    name.className = "printed";
    button.addEventListener("click", () => {
      const up = heading.getAttribute("aria-sort") !== "ascending";
      for (const other of table.tHead.querySelectorAll("[aria-sort]")) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", up ? "ascending" : "descending");
      sort(heading.cellIndex, heading.dataset.sort === "number", up ? 1 : -1);
    });
  }

  function show(count) {
    most = count;
    draw();
  }

  const controls = document.getElementById("controls");
  controls.hidden = document.getElementById("sorts").hidden = false;
  controls.addEventListener("submit", (event) => event.preventDefault());
  for (const control of [words, criteria, unknown, sound]) control.addEventListener("input", draw);
  more.addEventListener("click", () => show(most + MORE));
  addEventListener("beforeprint", () => show(Infinity));
  draw();
})();
