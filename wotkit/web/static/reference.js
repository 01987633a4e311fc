// Additions to the reference page: a filter, copy buttons, and links that open what they point to.
"use strict";

const operations = [...document.querySelectorAll("details.operation")];
const tools = document.getElementById("tools");
const filter = document.getElementById("filter");
const found = document.getElementById("found");
const linkTo = (id) => document.querySelector(`nav a[href="#${id}"]`);
const texts = new Map(
  operations.map((each) => [each, each.textContent.replaceAll("\u200b", "").toLowerCase()]),
);

function applyFilter() {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const each of operations) {
    const matches = words.every((word) => texts.get(each).includes(word));
    each.hidden = !matches;
    const link = linkTo(each.id);
    if (link) link.parentElement.hidden = !matches;
    shown += matches;
  }
  for (const section of document.querySelectorAll("section.group")) {
    const inside = section.querySelectorAll("details.operation");
    section.hidden = inside.length > 0 && [...inside].every((each) => each.hidden);
    const link = linkTo(section.id);
    if (link) link.parentElement.hidden = section.hidden;
  }
  document.getElementById("start").hidden = words.length > 0;
  found.textContent = words.length ? `${shown} of ${operations.length} calls` : "";
}

function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  if (target.closest("[hidden]")) {
    filter.value = "";
    applyFilter();
  }
  if (target.matches("details.operation")) {
    target.open = true;
    target.querySelector("summary").focus({ preventScroll: true });
  }
  target.scrollIntoView();
}

function addCopyButton(sample) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(sample.querySelector("pre").textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  sample.append(button);
}

tools.hidden = false;
tools.addEventListener("submit", (event) => event.preventDefault());
filter.addEventListener("input", applyFilter);
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement !== filter) {
    event.preventDefault();
    filter.focus();
  }
});
window.addEventListener("hashchange", openTarget);
document.addEventListener("click", (event) => {
  const link = event.target.closest('a[href^="#"]');
  if (link && link.getAttribute("href") === location.hash) openTarget();
});
if (navigator.clipboard) document.querySelectorAll(".sample").forEach(addCopyButton);
if (location.hash) openTarget();
