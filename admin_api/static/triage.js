// Triage by keyboard. Without this file the same page works with a mouse, tab and space.
"use strict";
(() => {
  const form = document.getElementById("triage");
  if (!form) return;
  const lines = [...form.querySelectorAll(".line")];
  const box = (line) => line.querySelector("input[type=checkbox]");
  const here = () => lines.findIndex((line) => line.contains(document.activeElement));
  const go = (n) => {
    const line = lines[Math.max(0, Math.min(lines.length - 1, n))];
    if (line) { box(line).focus(); line.scrollIntoView({ block: "nearest" }); }
  };
  const chooseAll = () => {
    const all = lines.every((line) => box(line).checked);
    lines.forEach((line) => { box(line).checked = !all; });
  };
  const every = document.getElementById("every");
  if (every) { every.hidden = false; every.addEventListener("click", chooseAll); }
  if (lines.length && document.activeElement === document.body) go(0);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const at = document.activeElement;
    if (at && (at.tagName === "SELECT" || at.tagName === "TEXTAREA" || (at.tagName === "INPUT" && at.type === "text"))) return;
    const n = here();
    const grade = form.querySelector(`button[data-key="${CSS.escape(event.key)}"]`);
    if (event.key === "ArrowDown" || event.key === "j") go(n + 1);
    else if (event.key === "ArrowUp" || event.key === "k") go(n < 0 ? 0 : n - 1);
    else if (event.key === "A") chooseAll();
    else if (event.key === "a" && n >= 0) {
      const same = lines.filter((line) => line.dataset.group === lines[n].dataset.group);
      const all = same.every((line) => box(line).checked);
      same.forEach((line) => { box(line).checked = !all; });
    } else if (event.key === "Enter" && n >= 0 && at.type === "checkbox") lines[n].querySelector("a").click();
    else if (event.key === "u") { const undo = document.getElementById("undo"); if (!undo) return; undo.requestSubmit(); }
    else if (grade) {
      if (!lines.some((line) => box(line).checked)) {
        if (n < 0) return;
        box(lines[n]).checked = true;
      }
      form.requestSubmit(grade);
    } else return;
    event.preventDefault();
  });
})();
