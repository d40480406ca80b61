// The page works without this: forms post, and the page reloads itself every few seconds.

const problem = document.getElementById('problem');

const shown = new Map();

/** @param {Record<string, string>} fragments element id → HTML, made by the server and escaped there */
function show(fragments) {
  for (const [id, html] of Object.entries(fragments)) {
    const element = document.getElementById(id);
    if (element === null || shown.get(id) === html) continue;
    shown.set(id, html);
    element.innerHTML = html;
  }
}

let polling = false;
function poll() {
  if (polling) return;
  polling = true;
  const look = () =>
    fetch('/lab/state')
      .then((answer) => answer.json())
      .then(show)
      // The demo is away; it may come back.
      .catch(() => {})
      .finally(() => setTimeout(look, 2000));
  void look();
}

if ('EventSource' in window) {
  const events = new EventSource('/lab/events');
  events.onmessage = (event) => show(JSON.parse(event.data));
  // While it tries again by itself, let it; once it gave up (too many viewers, a proxy that cuts streams), ask.
  events.onerror = () => {
    if (events.readyState === EventSource.CLOSED) poll();
  };
} else {
  poll();
}

for (const form of document.querySelectorAll('form[method="post"]')) {
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    problem.textContent = '';
    try {
      // Not form.action: a button of that name hides it.
      const answer = await fetch(form.getAttribute('action'), {
        method: 'POST',
        headers: { accept: 'application/json' },
        body: new URLSearchParams(new FormData(form, event.submitter)),
      });
      if (!answer.ok) problem.textContent = (await answer.json()).detail ?? 'That did not work.';
    } catch {
      problem.textContent = 'The demo does not answer. Is it still running?';
    }
  });
}
