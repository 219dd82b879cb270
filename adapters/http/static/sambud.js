// What pages can do better with JavaScript. Everything works without it.
"use strict";

// A form with faults comes back with a list of them: begin there.
document.getElementById("felsammanfattning")?.focus();

// One press, one act. The server holds it too; this only spares the reader a second answer.
function free(form) {
  delete form.dataset.sent;
  for (const button of form.querySelectorAll("button[aria-disabled]")) button.removeAttribute("aria-disabled");
}
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.hasAttribute("hx-post")) return;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "yes";
  event.submitter?.setAttribute("aria-disabled", "true");
  setTimeout(() => free(form), 8000); // a download leaves the page where it is
});
addEventListener("pageshow", () => document.querySelectorAll("form[data-sent]").forEach(free));

// Two minutes before the session ends: say so, and offer to go on (WCAG 2.2, 2.2.1).
const session = document.getElementById("session");
if (session) {
  const warnBefore = 120;
  let timers = [];
  const show = (name) => {
    for (const text of session.querySelectorAll("[data-text]")) text.hidden = text.dataset.text !== name;
    session.querySelector("[data-act=extend]").hidden = name !== "soon";
    session.hidden = false;
  };
  const count = (left, fixed) => {
    timers.forEach(clearTimeout);
    session.hidden = true;
    timers = [
      setTimeout(show, Math.max(0, left - warnBefore) * 1000, fixed ? "fixed" : "soon"),
      setTimeout(show, left * 1000, "over"),
    ];
  };
  session.addEventListener("click", async (event) => {
    if (!event.target.closest("[data-act=extend]")) return;
    try {
      const answer = await fetch(session.dataset.extend, {
        method: "POST",
        headers: { "X-CSRF-Token": session.dataset.csrf },
      });
      if (!answer.ok) return show("over");
      const { seconds, fixed } = await answer.json();
      count(seconds, fixed);
    } catch {
      show("soon"); // the network is away: the button stays
    }
  });
  count(Number(session.dataset.left), "fixed" in session.dataset);
}
