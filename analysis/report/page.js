"use strict";
(() => {
  addEventListener("beforeprint", () => {
    for (const part of document.querySelectorAll("details")) part.open = true;
  });
  const table = document.getElementById("candidates");
  if (!table) return;

  const FIRST = 250; // rows shown until all are asked for: a browser lays out so many at once
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const place = new Map(rows.map((row, index) => [row, index]));
  const texts = new Map();
  const [words, criteria, unknown, shown, everything] = ["words", "criteria", "unknown", "shown", "everything"]
    .map((id) => document.getElementById(id));
  let order = rows;
  let most = FIRST;

  function text(row) {
    if (!texts.has(row)) texts.set(row, row.textContent.toLowerCase());
    return texts.get(row);
  }

  function draw() {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    const kind = criteria.value === "both" ? "+" : criteria.value;
    let fitting = 0;
    for (const row of order) {
      const fits = row.dataset.by.includes(kind) && !(unknown.checked && "known" in row.dataset)
        && wanted.every((word) => text(row).includes(word));
      fitting += fits;
      row.hidden = !fits || fitting > most;
    }
    const visible = Math.min(fitting, most).toLocaleString("en");
    const found = fitting === rows.length ? "" : `, ${fitting.toLocaleString("en")} fit`;
    shown.textContent = `${visible} of ${rows.length.toLocaleString("en")} shown${found}`;
    everything.hidden = fitting <= most;
  }

  // Missing values (a dash) come last in either direction; equal ones keep the order of rank.
  function sort(column, numbers, direction) {
    const compare = numbers ? (a, b) => a - b : new Intl.Collator("en", { numeric: true }).compare;
    const keys = new Map(rows.map((row) => {
      const cell = row.cells[column].textContent.trim();
      return [row, cell === "–" ? null : numbers ? Number(cell) : cell];
    }));
    order = [...rows].sort((one, other) => {
      const [a, b] = [keys.get(one), keys.get(other)];
      const missing = (a === null) - (b === null);
      return missing || (a === null ? 0 : direction * compare(a, b)) || place.get(one) - place.get(other);
    });
    body.append(...order);
    draw();
  }

  for (const heading of table.tHead.querySelectorAll("th[data-sort]")) {
    const button = document.createElement("button");
    button.type = "button";
    const name = heading.querySelector("span");
    button.append(...name.childNodes);
    name.replaceWith(button);
    button.addEventListener("click", () => {
      const up = heading.getAttribute("aria-sort") !== "ascending";
      for (const other of table.tHead.querySelectorAll("[aria-sort]")) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", up ? "ascending" : "descending");
      sort(heading.cellIndex, heading.dataset.sort === "number", up ? 1 : -1);
    });
  }

  function showEverything() {
    most = Infinity;
    draw();
  }

  const controls = document.getElementById("controls");
  controls.hidden = document.getElementById("sorts").hidden = false;
  controls.addEventListener("submit", (event) => event.preventDefault());
  for (const control of [words, criteria, unknown]) control.addEventListener("input", draw);
  everything.addEventListener("click", showEverything);
  addEventListener("beforeprint", showEverything);
  draw();
})();
