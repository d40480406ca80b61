// The page is whole without this: it then reloads itself. With it only the values change, and the pointer tells them.

const EVERY_MS = 2000;

/** @type {{ values: Record<string, { label: string, look: string, words: string[] }[]>, stepS: number }} */
let state = { values: {}, stepS: 0 };
const shown = new Map();
const telling = new Set();

async function look() {
  if (!document.hidden) {
    try {
      const answer = await fetch('/metrics-lab/state', { signal: AbortSignal.timeout(5000) });
      state = await answer.json();
      // Made by the server, and escaped there.
      for (const [id, html] of Object.entries(state.fragments)) {
        const element = document.getElementById(id);
        if (element === null || shown.get(id) === html) continue;
        shown.set(id, html);
        element.innerHTML = html;
      }
      for (const tell of telling) tell();
    } catch {
      document.getElementById('plots-problem').textContent = 'The demo does not answer. Is it still running?';
      shown.delete('plots-problem');
    }
  }
  setTimeout(look, EVERY_MS);
}
void look();

/** The box at the pointer, or where the arrow keys have led. */
for (const plot of document.querySelectorAll('[data-plot]')) {
  const area = plot.querySelector('.plot-area');
  const tip = plot.querySelector('.plot-tip');
  const cursor = plot.querySelector('.cursor');
  const width = area.querySelector('svg').viewBox.baseVal.width;
  // From 0 to 1; null where nobody looks.
  let at = null;

  const tell = () => {
    const lines = state.values[plot.dataset.plot] ?? [];
    const points = lines[0]?.words.length ?? 0;
    tip.hidden = at === null || points === 0;
    if (tip.hidden) {
      cursor.setAttribute('x1', '-9');
      cursor.setAttribute('x2', '-9');
      return;
    }
    const index = Math.round(at * (points - 1));
    const x = String((index / (points - 1)) * width);
    cursor.setAttribute('x1', x);
    cursor.setAttribute('x2', x);
    const when = document.createElement('p');
    const ago = (points - 1 - index) * state.stepS;
    when.textContent =
      ago === 0 ? 'now' : ago < 60 ? `${ago} s ago` : `${Math.floor(ago / 60)} min ${ago % 60} s ago`;
    const list = document.createElement('dl');
    for (const { label, words } of lines) {
      const name = document.createElement('dt');
      name.textContent = label;
      const value = document.createElement('dd');
      value.textContent = words[index];
      list.append(name, value);
    }
    tip.replaceChildren(when, list);
    // On the side that leaves the moment itself in sight.
    tip.style.left = at < 0.5 ? 'auto' : '4px';
    tip.style.right = at < 0.5 ? '4px' : 'auto';
  };
  const move = (to) => {
    at = to === null ? null : Math.min(1, Math.max(0, to));
    if (at === null) telling.delete(tell);
    else telling.add(tell);
    tell();
  };
  area.addEventListener('pointermove', (event) => {
    const box = area.getBoundingClientRect();
    move((event.clientX - box.left) / box.width);
  });
  area.addEventListener('pointerleave', () => move(null));
  area.addEventListener('blur', () => move(null));
  area.addEventListener('keydown', (event) => {
    const step = { ArrowLeft: -0.02, ArrowRight: 0.02 }[event.key];
    if (event.key === 'Escape') move(null);
    if (step === undefined) return;
    event.preventDefault();
    move((at ?? 1) + step);
  });
}
