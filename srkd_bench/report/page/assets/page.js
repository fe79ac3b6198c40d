// Extras: sliders, sorting and filters. Without this file's script the page is complete.
"use strict";

const number = (text) => {
  const plain = text.trim().replace("−", "-");
  return plain === "inf" ? Infinity : parseFloat(plain); // NaN for a dash: missing
};

function compare(first, second, numeric) {
  if (!numeric) return first.localeCompare(second, "en", { numeric: true });
  return number(first) - number(second) || 0; // equal infinities give NaN
}

function sortable(box) {
  const table = box.querySelector("table");
  const body = table.tBodies[0];
  const headings = [...table.tHead.rows[0].cells];
  const text = (row, column) => row.cells[column].textContent;

  function sort(column) {
    const heading = headings[column];
    const numeric = !heading.classList.contains("text");
    const before = heading.getAttribute("aria-sort");
    const descending = before ? before === "ascending" : numeric; // numbers: largest first
    for (const other of headings) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const missing = (row) => numeric && Number.isNaN(number(text(row, column)));
    const rows = [...body.rows].sort((a, b) => {
      if (missing(a) || missing(b)) return missing(a) - missing(b); // last, whichever way
      const order = compare(text(a, column), text(b, column), numeric);
      return descending ? -order : order;
    });
    body.append(...rows);
  }

  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => sort(column));
  });

  const filter = box.querySelector(".filter");
  const input = filter.querySelector("input");
  const output = filter.querySelector("output");
  function show() {
    const wanted = input.value.trim().toLowerCase();
    let shown = 0;
    for (const row of body.rows) {
      row.hidden = !`${text(row, 0)} ${text(row, 1)}`.toLowerCase().includes(wanted);
      shown += !row.hidden;
    }
    output.textContent = `${shown} of ${body.rows.length}`;
  }
  input.addEventListener("input", show);
  filter.hidden = false;
  show();
}

function slider(panel) {
  const box = panel.querySelector(".compare");
  const stage = box.querySelector(".stage");
  const range = box.querySelector("input");
  const [left, right] = box.querySelectorAll("select");
  const pictures = [...panel.querySelectorAll(".views img")];

  function place() {
    stage.style.setProperty("--at", `${range.value}%`);
    const name = (select) => select.selectedOptions[0].textContent;
    range.setAttribute("aria-valuetext", `${range.value} % ${name(left)}, then ${name(right)}`);
  }
  function choose() {
    for (const [side, select] of [["left", left], ["right", right]]) {
      const image = stage.querySelector(`.${side}`);
      image.src = pictures[select.value].src;
      image.alt = `${side}: ${select.selectedOptions[0].textContent}`;
    }
    place();
  }
  function drag(event) {
    if (event.type === "pointermove" && !event.buttons) return;
    const edges = stage.getBoundingClientRect();
    range.value = (100 * (event.clientX - edges.left)) / edges.width;
    place();
  }
  range.addEventListener("input", place);
  left.addEventListener("change", choose);
  right.addEventListener("change", choose);
  stage.addEventListener("pointerdown", drag);
  stage.addEventListener("pointermove", drag);
  stage.addEventListener("dragstart", (event) => event.preventDefault());
  box.hidden = false;
  choose();
}

document.querySelectorAll(".sortable").forEach(sortable);
document.querySelectorAll(".panel").forEach(slider);
document.querySelectorAll(".scripted").forEach((element) => (element.hidden = false));
