/**
 * The self-view with a script: changes without a full page load, suggestions while typing, order by drag and by
 * keyboard. Everything here is also a plain form or link, which works when this file does not arrive.
 */

const REGION = '#self-view';
/** Long enough to skip the letters of a fast typist, short enough to feel immediate. In ms. */
const DEBOUNCE_MS = 120;
/** The page's own deadline is a second; a network needs some more. In ms. */
const SUBMIT_DEADLINE_MS = 10_000;

/** Outlives the region, which is replaced: screen readers speak what is put here. */
const live = document.createElement('p');
live.className = 'hidden';
live.setAttribute('aria-live', 'assertive');
live.id = 'live';
document.body.append(live);

/** @param {string} text what a screen reader shall say */
function announce(text) {
  live.textContent = '';
  // A new text node in a later task is read even when the words are the same as before.
  setTimeout(() => {
    live.textContent = text;
  }, 30);
}

/** @returns {HTMLElement} */
const region = () => /** @type {HTMLElement} */ (document.querySelector(REGION));

// ---------------------------------------------------------------------------------------------- changes

let isSubmitting = false;

/**
 * Sends a form and puts the answer in place of the region. The form's key makes a repetition harmless, so after
 * a failure the form stays as it is and can be sent again.
 * @param {HTMLFormElement} form
 * @param {HTMLElement | null} submitter
 * @param {string | null} focusId what to focus afterwards; by default the element that has the focus now
 */
async function submit(form, submitter, focusId = null) {
  if (isSubmitting) return;
  isSubmitting = true;
  const focused = focusId ?? submitter?.id ?? '';
  region().setAttribute('aria-busy', 'true');
  try {
    const sent = new FormData(form);
    const name = submitter?.getAttribute('name');
    if (name) sent.set(name, submitter?.getAttribute('value') ?? '');
    const response = await fetch(form.action, {
      method: 'POST',
      // @ts-expect-error there are no files among the fields
      body: new URLSearchParams(sent),
      headers: { accept: 'text/html' },
      signal: AbortSignal.timeout(SUBMIT_DEADLINE_MS),
    });
    const page = new DOMParser().parseFromString(await response.text(), 'text/html');
    const replacement = page.querySelector(REGION) ?? refusalIn(page, response);
    if (!replacement) throw new Error(`the answer ${response.status} is not a page of ours`);
    region().replaceWith(document.adoptNode(replacement));
    document.title = page.title;
    if (response.redirected) history.pushState(null, '', withoutAnnouncement(response.url));
    enhance();
    settle(focused);
  } catch {
    showUnsent();
  } finally {
    region().removeAttribute('aria-busy');
    isSubmitting = false;
  }
}

/**
 * The content of the server's own page for refusals, as a region. When it is the server that failed, nothing: then
 * what was typed must stay.
 * @param {Document} page
 * @param {Response} response
 */
function refusalIn(page, response) {
  const main = page.querySelector('main');
  if (!main || response.status >= 500) return null;
  const box = page.createElement('div');
  box.id = REGION.slice(1);
  box.append(...main.children);
  return box;
}

/** @param {string} address */
function withoutAnnouncement(address) {
  const url = new URL(address, location.href);
  for (const name of ['changed', 'misplaced', 'unchanged']) url.searchParams.delete(name);
  return url.pathname + url.search + url.hash;
}

/**
 * Says what happened and leaves the focus where the seller was, or where the news is.
 * @param {string} focusId
 */
function settle(focusId) {
  const wrong = /** @type {HTMLElement | null} */ (document.querySelector('[aria-invalid="true"]'));
  const notice = document.getElementById('notice');
  if (notice) announce(/** @type {string} */ (notice.querySelector('.notice-title')?.textContent));
  if (wrong) {
    wrong.focus();
    return;
  }
  const again = document.getElementById(focusId);
  const isMove = /^(first|up|down|last|grip)-/.test(focusId);
  if (isMove) {
    const row = document.querySelector(`[data-client="${focusId.slice(focusId.indexOf('-') + 1)}"]`);
    const target =
      again && !(/** @type {HTMLButtonElement} */ (again).disabled)
        ? again
        : row?.querySelector('button:not(:disabled):not([hidden])');
    /** @type {HTMLElement | null} */ (target ?? notice)?.focus({ preventScroll: true });
    row?.scrollIntoView({ block: 'nearest' });
    return;
  }
  notice?.focus();
  notice?.scrollIntoView({ block: 'nearest' });
}

/** The server did not answer: nothing was taken from the page. */
function showUnsent() {
  document.getElementById('notice')?.remove();
  const box = document.createElement('div');
  box.className = 'notice problem';
  box.id = 'notice';
  box.tabIndex = -1;
  box.setAttribute('role', 'alert');
  box.innerHTML =
    '<div class="notice-text"><p class="notice-title">We could not reach the server</p><p>What you typed is still here. Just try again: your change is recognised, and never done twice.</p></div>';
  region().prepend(box);
  box.focus();
}

document.addEventListener('submit', (event) => {
  const form = /** @type {HTMLFormElement} */ (event.target);
  const submitter = /** @type {HTMLElement | null} */ (event.submitter);
  if (!form.matches('[data-swap]') || submitter?.getAttribute('formmethod') === 'get') return;
  event.preventDefault();
  void submit(form, submitter);
});

// Back and forward lead to other versions of the page; only the server knows the newest.
addEventListener('popstate', () => location.reload());
// A page out of the back-forward cache may show an old list.
addEventListener('pageshow', (event) => {
  if (event.persisted) location.reload();
});

// ---------------------------------------------------------------------------------------------- catalogue

/** @param {HTMLElement} field the brand field of a form */
function enhanceBrandField(field) {
  const input = /** @type {HTMLInputElement} */ (field.querySelector('input[name="name"]'));
  const logo = /** @type {HTMLInputElement} */ (field.querySelector('input[name="logo"]'));
  const list = /** @type {HTMLElement} */ (field.querySelector('[role="listbox"]'));
  const chosen = /** @type {HTMLElement} */ (field.querySelector('[data-chosen]'));
  const image = /** @type {HTMLImageElement} */ (chosen.querySelector('img'));
  const clear = /** @type {HTMLButtonElement} */ (field.querySelector('[data-clear-logo]'));
  for (const one of field.querySelectorAll('[data-without-script]')) one.setAttribute('hidden', '');

  input.setAttribute('role', 'combobox');
  input.setAttribute('aria-autocomplete', 'list');
  input.setAttribute('aria-expanded', 'false');
  input.setAttribute('aria-controls', list.id);

  /** @type {Array<{ slug: string, name: string }>} */
  let offered = [];
  let active = -1;
  let timer = 0;
  let request = new AbortController();

  const close = () => {
    clearTimeout(timer);
    request.abort();
    list.hidden = true;
    active = -1;
    input.setAttribute('aria-expanded', 'false');
    input.removeAttribute('aria-activedescendant');
  };
  /** @param {number} index */
  const activate = (index) => {
    list.children[active]?.setAttribute('aria-selected', 'false');
    active = index;
    const option = list.children[index];
    if (!option) return input.removeAttribute('aria-activedescendant');
    option.setAttribute('aria-selected', 'true');
    option.scrollIntoView({ block: 'nearest' });
    input.setAttribute('aria-activedescendant', option.id);
  };
  /** @param {string} slug empty for none */
  const setLogo = (slug) => {
    logo.value = slug;
    chosen.hidden = slug === '';
    if (slug === '') image.removeAttribute('src');
    else image.src = `/logos/${slug}.svg`;
  };
  /** @param {number} index */
  const choose = (index) => {
    const brand = offered[index];
    if (!brand) return;
    input.value = brand.name;
    setLogo(brand.slug);
    close();
    announce(`${brand.name} is chosen, with its logo`);
  };
  const show = () => {
    list.replaceChildren(
      ...offered.map(({ slug, name }, index) => {
        const option = document.createElement('li');
        option.id = `brand-option-${index}`;
        option.setAttribute('role', 'option');
        option.setAttribute('aria-selected', 'false');
        const picture = document.createElement('img');
        picture.src = `/logos/${slug}.svg`;
        picture.alt = '';
        picture.className = 'logo small';
        picture.width = 24;
        picture.height = 24;
        const text = document.createElement('bdi');
        text.textContent = name;
        option.append(picture, text);
        // Pressing must not take the focus from the field; choosing happens on release.
        option.addEventListener('pointerdown', (event) => event.preventDefault());
        option.addEventListener('click', () => choose(index));
        return option;
      }),
    );
    active = -1;
    input.removeAttribute('aria-activedescendant');
    list.hidden = offered.length === 0;
    input.setAttribute('aria-expanded', String(offered.length > 0));
    if (document.activeElement !== input) return close();
    announce(
      offered.length === 0
        ? 'No brand of that name in the catalogue; you can add it all the same'
        : `${offered.length} ${offered.length === 1 ? 'brand' : 'brands'}; use the arrow keys`,
    );
  };
  const search = async () => {
    request.abort();
    request = new AbortController();
    const typed = input.value.trim();
    if (typed === '') return close();
    const { signal } = request;
    try {
      const response = await fetch(`${field.dataset['brands']}?q=${encodeURIComponent(typed)}`, {
        headers: { accept: 'application/json' },
        signal,
      });
      if (!response.ok) return close();
      const found = await response.json();
      // An answer to earlier letters must not cover the one to these.
      if (signal.aborted) return;
      offered = found;
      show();
    } catch {
      // Aborted by the next letter, or the catalogue is out of reach: the name can be typed without it.
      if (!signal.aborted) close();
    }
  };

  input.addEventListener('input', () => {
    if (input.value === '') setLogo('');
    clearTimeout(timer);
    timer = setTimeout(search, DEBOUNCE_MS);
  });
  input.addEventListener('keydown', (event) => {
    const isOpen = !list.hidden;
    switch (event.key) {
      case 'ArrowDown':
      case 'ArrowUp': {
        event.preventDefault();
        if (!isOpen) return void search();
        const step = event.key === 'ArrowDown' ? 1 : -1;
        // One place beyond the options is the field itself.
        const places = offered.length + 1;
        return activate(((active + 1 + step + places) % places) - 1);
      }
      case 'Enter':
        if (!isOpen || active < 0) return close();
        event.preventDefault();
        return choose(active);
      case 'Escape':
        if (!isOpen) return;
        event.preventDefault();
        return close();
      case 'Tab':
        return close();
    }
  });
  input.addEventListener('blur', close);
  clear.addEventListener('click', (event) => {
    event.preventDefault();
    setLogo('');
    input.focus();
    announce('The logo is removed');
  });
  // Choices that came with the page, after a search without the script.
  for (const choice of field.querySelectorAll('.choice')) {
    choice.addEventListener('click', (event) => {
      event.preventDefault();
      input.value = choice.textContent?.trim() ?? '';
      setLogo(/** @type {HTMLButtonElement} */ (choice).value);
      choice.closest('.found')?.remove();
      input.focus();
    });
  }
}

/** @param {HTMLTextAreaElement} area tells how many characters are left, as the contract counts them */
function enhanceLimit(area) {
  const limit = Number(area.dataset['limit']);
  const hint = document.getElementById('hint-description');
  const count = () => {
    const left = limit - [...area.value].length;
    if (hint) hint.textContent = left < 0 ? `${-left} characters too many.` : `${left} characters left.`;
  };
  area.addEventListener('input', count);
  if (area.value !== '') count();
}

// ---------------------------------------------------------------------------------------------- order

/** @param {HTMLElement} list */
const rowsOf = (list) => /** @type {HTMLElement[]} */ ([...list.children]);
/** @param {HTMLElement} row */
const nameOf = (row) => row.dataset['name'] ?? '';

/**
 * Sends the order the rows are in now, unless it is the one the page came with.
 * @param {HTMLElement} list
 * @param {HTMLElement} row the one that moved
 */
function saveOrder(list, row) {
  const form = /** @type {HTMLFormElement} */ (document.getElementById('order'));
  const field = /** @type {HTMLInputElement} */ (form.elements.namedItem('order'));
  const order = rowsOf(list)
    .map((one) => one.dataset['client'])
    .join(',');
  if (order === field.value) return;
  const before = field.value;
  field.value = order;
  void submit(form, null, `grip-${row.dataset['client']}`).then(() => {
    // Still the same page: it was not sent. The rows go back, and the seller can try again.
    if (!field.isConnected) return;
    field.value = before;
    restore(list, before.split(','));
  });
}

/**
 * @param {HTMLElement} list
 * @param {Array<string | undefined>} order
 */
function restore(list, order) {
  for (const id of order) {
    const row = list.querySelector(`[data-client="${id}"]`);
    if (row) list.append(row);
  }
}

/** @param {HTMLElement} list */
function enhanceOrder(list) {
  if (rowsOf(list).length < 2) return;
  for (const row of rowsOf(list)) {
    const grip = /** @type {HTMLElement} */ (row.querySelector('.handle'));
    grip.hidden = false;
    enhanceDrag(list, row, grip);
    enhanceKeys(list, row, grip);
  }
}

/**
 * The row follows the pointer, the others make room; order and document change when it is let go.
 * @param {HTMLElement} list
 * @param {HTMLElement} row
 * @param {HTMLElement} grip
 */
function enhanceDrag(list, row, grip) {
  grip.addEventListener('pointerdown', (start) => {
    if (start.button !== 0 || isSubmitting) return;
    const rows = rowsOf(list);
    const from = rows.indexOf(row);
    const boxes = rows.map((one) => one.getBoundingClientRect());
    const own = /** @type {DOMRect} */ (boxes[from]);
    const gap =
      boxes.length > 1 ? /** @type {DOMRect} */ (boxes[1]).top - /** @type {DOMRect} */ (boxes[0]).bottom : 0;
    const startScroll = scrollY;
    let to = from;
    let pointerY = start.clientY;
    let frame = 0;
    grip.setPointerCapture(start.pointerId);
    row.classList.add('dragged');
    list.classList.add('dragging');

    const place = () => {
      const shift = pointerY - start.clientY + scrollY - startScroll;
      row.style.transform = `translateY(${shift}px)`;
      const middle = own.top + own.height / 2 + shift;
      to = rows.reduce((place, _, i) => {
        const box = /** @type {DOMRect} */ (boxes[i]);
        return i !== from && middle > box.top + box.height / 2 ? place + 1 : place;
      }, 0);
      rows.forEach((one, i) => {
        if (i === from) return;
        const isPassed = i > from ? i <= to : i >= to;
        one.style.transform = isPassed ? `translateY(${(i > from ? -1 : 1) * (own.height + gap)}px)` : '';
      });
    };
    const scrollAtEdge = () => {
      const edge = 60;
      const step = pointerY < edge ? -8 : pointerY > innerHeight - edge ? 8 : 0;
      if (step !== 0) {
        scrollBy(0, step);
        place();
      }
      frame = requestAnimationFrame(scrollAtEdge);
    };
    frame = requestAnimationFrame(scrollAtEdge);

    const ended = new AbortController();
    const { signal } = ended;
    /** @param {boolean} isDropped */
    const end = (isDropped) => {
      ended.abort();
      cancelAnimationFrame(frame);
      list.classList.remove('dragging');
      row.classList.remove('dragged');
      for (const one of rows) one.style.transform = '';
      if (!isDropped || to === from) return;
      const others = rows.filter((one) => one !== row);
      list.insertBefore(row, others[to] ?? null);
      saveOrder(list, row);
    };
    grip.addEventListener(
      'pointermove',
      (event) => {
        pointerY = event.clientY;
        place();
      },
      { signal },
    );
    grip.addEventListener('pointerup', () => end(true), { signal });
    grip.addEventListener('pointercancel', () => end(false), { signal });
    addEventListener(
      'keydown',
      (event) => {
        if (event.key === 'Escape') end(false);
      },
      { signal },
    );
  });
}

/**
 * @param {HTMLElement} list
 * @param {HTMLElement} row
 * @param {HTMLElement} grip
 */
function enhanceKeys(list, row, grip) {
  /** @type {Array<string | undefined> | null} the order before it was picked up; null while it lies */
  let before = null;
  let isMoving = false;
  const where = () => `${rowsOf(list).indexOf(row) + 1} of ${rowsOf(list).length}`;
  const putDown = () => {
    before = null;
    row.classList.remove('picked-up');
  };
  const cancel = () => {
    if (!before) return;
    restore(list, before);
    putDown();
    announce(`${nameOf(row)} is back at ${where()}`);
  };
  grip.addEventListener('keydown', (event) => {
    if (isSubmitting) return;
    if (event.key === ' ' || event.key === 'Enter') {
      event.preventDefault();
      if (before) {
        putDown();
        announce(`${nameOf(row)} is put down at ${where()}`);
        saveOrder(list, row);
      } else {
        before = rowsOf(list).map((one) => one.dataset['client']);
        row.classList.add('picked-up');
        announce(
          `${nameOf(row)} is picked up at ${where()}. Arrow keys move it, Space puts it down, Escape cancels.`,
        );
      }
      return;
    }
    if (!before) return;
    if (event.key === 'Escape') {
      event.preventDefault();
      isMoving = true;
      cancel();
      grip.focus();
      isMoving = false;
      return;
    }
    const rows = rowsOf(list);
    const at = rows.indexOf(row);
    const target = { ArrowUp: at - 1, ArrowDown: at + 1, Home: 0, End: rows.length - 1 }[event.key];
    if (target === undefined) return;
    event.preventDefault();
    const others = rows.filter((one) => one !== row);
    // A moved element loses the focus, which would count as leaving.
    isMoving = true;
    list.insertBefore(row, others[Math.max(0, target)] ?? null);
    grip.focus({ preventScroll: true });
    isMoving = false;
    row.scrollIntoView({ block: 'nearest' });
    announce(`${nameOf(row)}, ${where()}`);
  });
  grip.addEventListener('blur', () => {
    if (!isMoving) cancel();
  });
}

// ---------------------------------------------------------------------------------------------- start

function enhance() {
  const root = region();
  for (const field of root.querySelectorAll('[data-brands]'))
    enhanceBrandField(/** @type {HTMLElement} */ (field));
  for (const area of root.querySelectorAll('[data-limit]'))
    enhanceLimit(/** @type {HTMLTextAreaElement} */ (area));
  const list = document.getElementById('clients');
  if (list) enhanceOrder(list);
  root.classList.add('scripted');
}

enhance();
if (location.search !== '') {
  const address = withoutAnnouncement(location.href);
  if (address !== location.pathname + location.search + location.hash)
    history.replaceState(null, '', address);
}
