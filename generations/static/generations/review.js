"use strict";
/* The review inbox by keyboard. The focus is on a card; its video plays while it has it, and other operators see that
   somebody looks at it. A decision is posted, its card goes, and the next one gets the focus. */
document.addEventListener("DOMContentLoaded", () => {
    const inbox = document.querySelector(".inbox");
    if (!inbox) return;
    const said = inbox.querySelector(".said");
    const reasons = [...inbox.querySelectorAll("#reasons option")].map(option => option.value);
    const cards = () => [...inbox.querySelectorAll(".card")];
    const current = () => document.activeElement?.closest(".card");
    // What Enter in the reason sends.
    let meant = "reject";

    async function post(address, fields) {
        const body = new FormData();
        for (const [name, value] of Object.entries(fields)) body.append(name, value);
        body.append("csrfmiddlewaretoken", inbox.querySelector("[name=csrfmiddlewaretoken]").value);
        const answer = await fetch(address, {
            method: "POST", body, redirect: "error", credentials: "same-origin", headers: {Accept: "application/json"},
        });
        if (!answer.ok) throw new Error(String(answer.status));
        return answer.json();
    }

    function move(step) {
        const all = cards();
        const place = all.indexOf(current());
        const next = all[place < 0 ? 0 : Math.min(Math.max(place + step, 0), all.length - 1)];
        next?.focus();
        next?.scrollIntoView({block: "nearest"});
    }

    function remove(pks, from) {
        const all = cards();
        const place = all.indexOf(from);
        for (const card of all) if (pks.includes(Number(card.dataset.pk))) card.remove();
        const left = cards();
        if (!left.length) {
            // There may be more behind them.
            inbox.querySelector(".empty").hidden = false;
            setTimeout(() => location.reload(), 3000);
            return;
        }
        left[Math.min(Math.max(place, 0), left.length - 1)].focus();
    }

    async function decide(card, decision) {
        if (!card || card.dataset.busy) return;
        const form = card.querySelector("form");
        card.dataset.busy = "yes";
        try {
            const answer = await post(form.action, {
                pk: card.dataset.pk, decision, reason: form.elements.reason.value,
            });
            said.textContent = answer.words;
            if (answer.done) remove([Number(card.dataset.pk), ...answer.gone], card);
        } catch {
            said.textContent = "That did not reach the site. Nothing was decided; try again or reload the page.";
        } finally {
            delete card.dataset.busy;
        }
    }

    async function claim(card) {
        const note = card.querySelector(".held-by");
        try {
            const answer = await post(inbox.dataset.claim, {pk: card.dataset.pk});
            note.hidden = !answer.held_by;
            note.querySelector("bdi").textContent = answer.held_by;
        } catch {
            // The decision asks again.
        }
    }

    function ask(card, decision) {
        if (!card || !card.querySelector(`button[value="${decision}"]`)) return;
        meant = decision;
        card.querySelector("[name=reason]").focus();
        said.textContent = decision === "ban" ? "Why is this person banned? Enter bans." : "Why? Enter rejects.";
    }

    inbox.addEventListener("focusin", event => {
        const card = event.target.closest(".card");
        if (!card || card.classList.contains("is-current")) return;
        for (const other of cards()) {
            other.classList.toggle("is-current", other === card);
            if (other !== card) other.querySelector("video")?.pause();
        }
        card.querySelector("video")?.play().catch(() => {});
        meant = "reject";
        claim(card);
    });

    inbox.addEventListener("submit", event => {
        event.preventDefault();
        const card = event.target.closest(".card");
        const decision = event.submitter?.value;
        if ((decision === "reject" || decision === "ban") && !event.target.elements.reason.value.trim()) {
            ask(card, decision);
        } else {
            decide(card, decision);
        }
    });

    document.addEventListener("keydown", event => {
        if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
        const field = event.target.closest("input, textarea, select");
        const card = current();
        if (field) {
            if (!card || field.name !== "reason") return;
            if (event.key === "Escape") {
                field.value = "";
                card.focus();
            } else if (event.key === "Enter") {
                event.preventDefault();
                if (field.value.trim()) decide(card, meant);
            } else if (!field.value && reasons[Number(event.key) - 1]) {
                event.preventDefault();
                field.value = reasons[Number(event.key) - 1];
            }
            return;
        }
        const keys = {
            j: () => move(1), ArrowDown: () => move(1), k: () => move(-1), ArrowUp: () => move(-1),
            a: () => decide(card, "approve"), r: () => ask(card, "reject"), b: () => ask(card, "ban"),
        };
        if (event.target.closest("video") || !keys[event.key]) return;
        event.preventDefault();
        keys[event.key]();
    });

    cards()[0]?.focus();
});
