"use strict";
(() => {
  const table = document.getElementById("candidates");
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((part) => { part.open = true; }));
  if (!table) return;

  const body = table.tBodies[0];
  const rows = [...body.rows];
  const place = new Map(rows.map((row, index) => [row, index]));
  const texts = new Map();
  const words = document.getElementById("words");
  const criteria = document.getElementById("criteria");
  const unknown = document.getElementById("unknown");
  const shown = document.getElementById("shown");

  function text(row) {
    if (!texts.has(row)) texts.set(row, row.textContent.toLowerCase());
    return texts.get(row);
  }

  // Missing values (a dash) come last in either direction; equal ones keep the order of rank.
  function sort(column, kind, direction) {
    const numbers = kind === "number";
    const key = new Map(rows.map((row) => {
      const cell = row.cells[column].textContent.trim();
      if (cell === "–") return [row, null];
      return [row, numbers ? Number(cell) : cell];
    }));
    const order = new Intl.Collator("en", { numeric: true }).compare;
    const sorted = [...rows].sort((one, other) => {
      const a = key.get(one);
      const b = key.get(other);
      if (a === null || b === null) return (a === null) - (b === null) || place.get(one) - place.get(other);
      return direction * (numbers ? a - b : order(a, b)) || place.get(one) - place.get(other);
    });
    body.append(...sorted);
  }

  function filter() {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const row of rows) {
      const by = row.dataset.by;
      const fits = (!criteria.value || by.includes(criteria.value) || (criteria.value === "both" && by.includes("+")))
        && !(unknown.checked && "known" in row.dataset)
        && wanted.every((word) => text(row).includes(word));
      row.hidden = !fits;
      count += fits;
    }
    shown.textContent = count === rows.length ? `all ${count} shown` : `${count} of ${rows.length} shown`;
  }

  table.tHead.querySelectorAll("th[data-sort]").forEach((heading) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const up = heading.getAttribute("aria-sort") !== "ascending";
      table.tHead.querySelectorAll("[aria-sort]").forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", up ? "ascending" : "descending");
      sort(heading.cellIndex, heading.dataset.sort, up ? 1 : -1);
    });
  });

  document.getElementById("controls").hidden = false;
  document.getElementById("controls").addEventListener("submit", (event) => event.preventDefault());
  for (const control of [words, criteria, unknown]) control.addEventListener("input", filter);
  filter();
})();
