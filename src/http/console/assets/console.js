// Keeps pages up to date. Every page also works without it.
"use strict";
(() => {
  const pauseMs = 1000;
  let source = null;
  let timer = 0;
  let fetching = false;
  let stale = false;

  // Regions with the focus or with open details are not replaced.
  const inUse = (region) => region.contains(document.activeElement) || region.querySelector("details[open]") !== null;

  const replace = (region, page) => {
    const fresh = page.getElementById(region.id);
    if (fresh === null || fresh.innerHTML === region.innerHTML) return;
    const table = region.querySelector(".table");
    const scrolled = table === null ? 0 : table.scrollLeft;
    region.replaceChildren(...document.adoptNode(fresh).childNodes);
    const newTable = region.querySelector(".table");
    if (newTable !== null) newTable.scrollLeft = scrolled;
  };

  const pageAt = async (address, options) => {
    const answer = await fetch(address, { cache: "no-store", credentials: "same-origin", ...options });
    if (answer.redirected && new URL(answer.url).pathname !== new URL(address, location.href).pathname) {
      location.reload();
      return null;
    }
    return new DOMParser().parseFromString(await answer.text(), "text/html");
  };

  const refresh = async () => {
    timer = 0;
    if (fetching) {
      stale = true;
      return;
    }
    fetching = true;
    try {
      const page = await pageAt(location.href);
      if (page === null) return;
      for (const region of document.querySelectorAll("[data-live][id]")) {
        if (!inUse(region)) replace(region, page);
      }
      // A finished run no longer changes.
      if (source !== null && page.body.dataset.stream === undefined) close();
    } catch {
      // Probably offline; the next event tries again.
    } finally {
      fetching = false;
      if (stale) {
        stale = false;
        soon();
      }
    }
  };

  const soon = () => {
    if (timer === 0) timer = setTimeout(refresh, pauseMs);
  };

  const open = () => {
    if (source !== null || document.body.dataset.stream === undefined) return;
    source = new EventSource(document.body.dataset.stream);
    // Catches up on events missed before the stream opened or while it was interrupted.
    source.addEventListener("open", soon);
    for (const kind of ["push", "run", "store"]) source.addEventListener(kind, soon);
  };

  const close = () => {
    if (source !== null) source.close();
    source = null;
  };

  // Browsers allow few connections per host, so hidden tabs close their stream.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      close();
    } else {
      open();
      if (document.querySelector("[data-live]") !== null) soon();
    }
  });
  addEventListener("pagehide", close);
  if (!document.hidden) open();

  const every = Number(document.body.dataset.every);
  if (every > 0) setInterval(() => { if (!document.hidden) soon(); }, every * 1000);

  // Updates the preview of a form after each change.
  for (const form of document.querySelectorAll("form[data-shows]")) {
    form.addEventListener("change", async () => {
      const region = document.getElementById(form.dataset.shows);
      if (region === null) return;
      const data = new URLSearchParams(new FormData(form));
      data.set("do", "show");
      try {
        const page = await pageAt(form.action, { method: "POST", body: data });
        if (page !== null) replace(region, page);
      } catch {
        // The button "Update preview" still works.
      }
    });
  }
})();
