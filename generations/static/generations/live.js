"use strict";
/* Keeps what a page shows up to date without a reload.

   An element with data-live is asked for anew at that address; of the answer each part (data-part) that differs takes
   the place of the one that is shown. Parts with data-version differ when that does: a video that plays is not
   replaced because its link was signed anew. Nothing is asked while nobody looks, nor once data-live is gone. */
(() => {
    const shown = new Map();
    const parts = root => [...root.querySelectorAll("[data-part]")];
    const looks = part => part.dataset.version ?? part.innerHTML;
    const focusable = part => [...part.querySelectorAll("a, button, summary, [tabindex]")];

    function replace(old, fresh) {
        const place = focusable(old).indexOf(document.activeElement);
        for (const details of old.querySelectorAll("details[open][id]")) {
            const same = fresh.querySelector(`#${CSS.escape(details.id)}`);
            if (same) same.open = true;
        }
        old.replaceWith(fresh);
        if (place >= 0) focusable(fresh)[place]?.focus({preventScroll: true});
    }

    function take(root, answer) {
        const fresh = new DOMParser().parseFromString(answer, "text/html").querySelector(".board, .live");
        if (!fresh) return false;
        for (const part of parts(fresh)) {
            const name = part.dataset.part;
            const old = root.querySelector(`[data-part="${CSS.escape(name)}"]`);
            const now = looks(part);
            if (!old || shown.get(name) === now) continue;
            shown.set(name, now);
            replace(old, document.importNode(part, true));
        }
        if (!fresh.dataset.live) delete root.dataset.live;
        return true;
    }

    async function ask(root) {
        const state = root.querySelector(".live-state");
        try {
            const answer = await fetch(root.dataset.live, {redirect: "error", credentials: "same-origin"});
            if (!answer.ok || !take(root, await answer.text())) throw new Error(String(answer.status));
            if (state) state.textContent = "";
        } catch {
            // Logged out, or the site restarts: say so, and go on asking.
            if (state && !state.textContent) {
                state.textContent = `Not refreshed since ${new Date().toLocaleTimeString()}. Reload the page if this stays.`;
            }
        }
    }

    function follow(root) {
        for (const part of parts(root)) shown.set(part.dataset.part, looks(part));
        const pause = 1000 * Number(root.dataset.liveSeconds || 5);
        let timer = 0;
        const next = async () => {
            clearTimeout(timer);
            if (document.hidden || !root.dataset.live) return;
            await ask(root);
            timer = setTimeout(next, pause);
        };
        document.addEventListener("visibilitychange", next);
        timer = setTimeout(next, pause);
    }

    document.addEventListener("DOMContentLoaded", () => document.querySelectorAll("[data-live]").forEach(follow));
})();
