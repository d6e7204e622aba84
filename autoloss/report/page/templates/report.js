"use strict";
// Tables whose heads are buttons are sorted by them; all else reads without a script.
function value(row, column) {
  const cell = row.cells[column];
  const text = cell.dataset.sort ?? cell.textContent.trim();
  const number = text === "" ? NaN : Number(text.replace("\u2212", "-").replace(/,/g, ""));
  return Number.isNaN(number) ? text : number;
}
function before(a, b) {
  if (a === "" || b === "") return (a === "") - (b === "");
  if (typeof a === typeof b) return a < b ? -1 : a > b ? 1 : 0;
  return typeof a === "number" ? -1 : 1;
}
document.addEventListener("click", (event) => {
  const button = event.target.closest("th button");
  if (!button) return;
  const head = button.closest("th");
  const body = head.closest("table").tBodies[0];
  const numbers = head.classList.contains("n");
  const was = head.getAttribute("aria-sort");
  const direction = was === null ? (numbers ? "descending" : "ascending") : was === "ascending" ? "descending" : "ascending";
  for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", direction);
  const sign = direction === "ascending" ? 1 : -1;
  const rows = Array.from(body.rows, (row) => [value(row, head.cellIndex), row]);
  // What has no value stays below, whichever way the rest goes.
  rows.sort((a, b) => (a[0] === "" || b[0] === "" ? before(a[0], b[0]) : sign * before(a[0], b[0])));
  body.append(...rows.map((pair) => pair[1]));
});
// A link to a candidate opens it.
function open() {
  const target = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
  const inside = target && target.querySelector("details");
  if (inside) inside.open = true;
}
addEventListener("hashchange", open);
open();
// A page that a server shows asks for what is new; what is open stays open, and a table sorted.
const live = document.querySelector(".live");
async function renew() {
  const state = await (await fetch("state")).json();
  live.textContent = state.says;
  if (state.digest === live.dataset.version) return;
  const text = await (await fetch(".")).text();
  const fresh = new DOMParser().parseFromString(text, "text/html");
  const opened = Array.from(document.querySelectorAll("[id] details[open]"), (one) => one.closest("[id]").id);
  const sorted = Array.from(document.querySelectorAll("th[aria-sort]"), (head) => [
    head.closest("section").id, head.cellIndex, head.getAttribute("aria-sort")]);
  const all = document.getElementById("all")?.checked;
  live.dataset.version = fresh.querySelector(".live").dataset.version;
  for (const part of ["header", "main"]) document.querySelector(part).replaceWith(fresh.querySelector(part));
  if (all && document.getElementById("all")) document.getElementById("all").checked = true;
  for (const id of opened) for (const one of document.querySelectorAll(`[id="${CSS.escape(id)}"] details`)) one.open = true;
  for (const [id, place, direction] of sorted) {
    const button = document.querySelector(`#${id} th:nth-child(${place + 1}) button`);
    for (let turn = 0; button && turn < 2; turn++)
      if (button.closest("th").getAttribute("aria-sort") !== direction) button.click();
  }
}
async function follow() {
  try {
    await renew();
  } catch (error) {
    live.textContent = "The server does not answer; this is how the run stood last.";
  }
  setTimeout(follow, 2000);
}
if (live) follow();
