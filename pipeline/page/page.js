"use strict";
// Tables: a click on a heading sorts the rows by its column, a second one the other way round.
// Columns of numbers are marked as such; "300W_LP" and "1e9c" elsewhere are text.
function key(cell) {
  const text = cell.textContent.trim();
  if (text === "–" || text === "") return null;
  if (!cell.classList.contains("number")) return text;
  const number = parseFloat(text.replace("−", "-").replace(/^[<+]\s*/, ""));
  return Number.isNaN(number) ? text : number;
}
function compare(a, b) {
  if (typeof a === typeof b) return typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true });
  return typeof a === "number" ? -1 : 1;
}
function sort(table, column) {
  const headings = [...table.tHead.rows[0].cells];
  const down = headings[column].getAttribute("aria-sort") === "ascending";
  headings.forEach((heading) => heading.setAttribute("aria-sort", "none"));
  headings[column].setAttribute("aria-sort", down ? "descending" : "ascending");
  const rows = [...table.tBodies[0].rows].map((row) => [key(row.cells[column]), row]);
  rows.sort(([a], [b]) => {
    if (a === null || b === null) return (a === null) - (b === null); // empty cells stay last
    return down ? compare(b, a) : compare(a, b);
  });
  table.tBodies[0].append(...rows.map(([, row]) => row));
}
for (const table of document.querySelectorAll("table.sortable")) {
  [...table.tHead.rows[0].cells].forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    button.addEventListener("click", () => sort(table, column));
    heading.append(button);
    heading.setAttribute("aria-sort", "none");
  });
}
// Charts: the value of the mark nearest to the pointer or finger.
const tip = document.getElementById("tip");
const REACH = 22; // pixels
function nearest(marks, x, y) {
  let found = null, least = REACH;
  for (const mark of marks) {
    const box = mark.getBoundingClientRect();
    const away = Math.hypot(
      Math.max(box.left - x, 0, x - box.right), Math.max(box.top - y, 0, y - box.bottom));
    const centre = Math.hypot((box.left + box.right) / 2 - x, (box.top + box.bottom) / 2 - y);
    if (away + centre / 1000 < least) [found, least] = [mark, away + centre / 1000];
  }
  return found;
}
function show(event, marks) {
  const mark = nearest(marks, event.clientX, event.clientY);
  tip.hidden = !mark;
  if (!mark) return;
  tip.textContent = mark.getAttribute("aria-label");
  const left = Math.min(event.clientX + 12, window.innerWidth - tip.offsetWidth - 8);
  const above = event.clientY - tip.offsetHeight - 12;
  tip.style.left = `${Math.max(left, 8)}px`;
  tip.style.top = `${above > 0 ? above : event.clientY + 16}px`;
}
for (const svg of document.querySelectorAll(".chart svg")) {
  const marks = [...svg.querySelectorAll('.role-mark [aria-label][role="graphics-symbol"]')];
  svg.addEventListener("pointermove", (event) => show(event, marks));
  svg.addEventListener("pointerdown", (event) => show(event, marks));
  svg.addEventListener("pointerleave", () => { tip.hidden = true; });
}
