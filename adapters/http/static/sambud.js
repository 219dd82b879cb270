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

// --- Shared inbox: who else is here, told within a moment; and our own word that we are (web/live.py) ---
const live = document.getElementById("live");
if (live && window.EventSource) {
  const said = document.getElementById("live-said");
  const changed = document.getElementById("live-changed");
  let source, beat, before = "", saidAt = 0, saying;
  // A screen reader is told at most every ten seconds, of what is so then.
  const say = (text) => {
    clearTimeout(saying);
    saying = setTimeout(() => { said.textContent = text; saidAt = Date.now(); }, Math.max(0, saidAt + 10000 - Date.now()));
  };
  const show = ({ here, changes }) => {
    const shown = [];
    for (const place of document.querySelectorAll("[data-present]")) {
      const text = here[place.dataset.present] ?? "";
      if (place.textContent !== text) place.textContent = text;
      if (text) shown.push(text);
    }
    const text = shown.join(". ");
    if (text !== before) say(text);
    before = text;
    if (changes !== Number(live.dataset.changes)) changed.hidden = false;
  };
  const tell = (state) => {
    if (!live.dataset.presence) return;
    const body = new URLSearchParams({ kuvert: live.dataset.envelope, lage: state });
    fetch(live.dataset.presence, {
      method: "POST", body, keepalive: true, headers: { "X-CSRF-Token": live.dataset.csrf },
    }).catch(() => {}); // the network is away: the others forget us in half a minute
  };
  const begin = () => {
    if (source) return;
    source = new EventSource(live.dataset.stream);
    source.addEventListener("narvaro", (event) => show(JSON.parse(event.data)));
    source.addEventListener("slut", () => source.close());
    tell(live.dataset.state);
    beat = setInterval(() => tell(live.dataset.state), 15000);
  };
  const end = () => {
    source?.close();
    source = undefined;
    clearInterval(beat);
  };
  before = [...document.querySelectorAll("[data-present]")].map((place) => place.textContent).filter(Boolean).join(". ");
  // A page that nobody looks at neither listens nor says that somebody is there.
  const look = () => {
    if (document.visibilityState === "visible") begin();
    else { end(); tell("leaving"); }
  };
  addEventListener("pagehide", () => { end(); tell("leaving"); });
  addEventListener("pageshow", look);
  document.addEventListener("visibilitychange", look);
  look();
}
const newer = document.getElementById("nyare");
newer?.focus();
