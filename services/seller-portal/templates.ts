import { html, raw } from 'hono/html';
import type { SellerClients } from '#contracts/api.ts';
import { type Client, LIMITS, LogoSlug } from '#contracts/client.ts';
import { isolatedText } from '#contracts/text.ts';
import { isolate, isolateEach, sentence } from '#pages/isolate.ts';
import type { Html, Site } from '#pages/layout.ts';
import { logo } from '#pages/top-clients-block.ts';
import type { Brand } from './catalogue.ts';
import type { LoggedChange } from './change-log.ts';
import { MOVES, type Move } from './command.ts';
import { type Field, type FieldErrors, LABELS, type Terms, type Values } from './form.ts';

/** What happened, above everything else on the page. */
export interface Notice {
  /** A screen reader announces `done` when it is idle, `problem` at once. */
  readonly tone: 'done' | 'problem';
  readonly title: string;
  readonly text?: string;
  /** A button or form that goes with it. */
  readonly action?: Html;
}

export interface ClientForm {
  readonly terms: Terms;
  readonly values: Values;
  readonly errors: FieldErrors;
  /** What the catalogue found for the name; null when nobody asked it. */
  readonly brands: readonly Brand[] | null;
  /** What is stored now, where it differs from what was typed. */
  readonly stored?: Values | undefined;
}

const icon = (path: string): Html =>
  raw(
    `<svg viewBox="0 0 20 20" width="20" height="20" aria-hidden="true" focusable="false"><path d="${path}" fill="none" stroke="currentColor" stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round"/></svg>`,
  );

const ICONS: Readonly<Record<Move, Html>> = {
  first: icon('M4 3.500h12M10 17V7M5.500 11.500 10 7l4.500 4.500'),
  up: icon('M10 16V4M5 9l5-5 5 5'),
  down: icon('M10 4v12M5 11l5 5 5-5'),
  last: icon('M4 16.500h12M10 3v10M5.500 8.500 10 13l4.500-4.500'),
};
const GRIP = icon('M7.500 5h.01M12.500 5h.01M7.500 10h.01M12.500 10h.01M7.500 15h.01M12.500 15h.01');

const MOVE_NAMES: Readonly<Record<Move, string>> = {
  first: 'to the top',
  up: 'up',
  down: 'down',
  last: 'to the bottom',
};

const hidden = ({ version, key }: Terms): Html =>
  // A browser that restores forms over a reload must not bring back a version that has passed.
  html`<input type="hidden" name="version" value="${version}" autocomplete="off"><input type="hidden" name="key" value="${key}" autocomplete="off">` as Html;

/** Every page of self-view stands in this region, which the script replaces after a change. */
export const region = (content: Html): Html => html`<div id="self-view">${content}</div>` as Html;

export const notice = ({ tone, title, text, action }: Notice): Html =>
  html`<div class="notice ${tone}" role="${tone === 'problem' ? 'alert' : 'status'}" id="notice" tabindex="-1">
<div class="notice-text"><p class="notice-title">${sentence(title)}</p>${text ? html`<p>${text}</p>` : ''}</div>
${action ? html`<div class="notice-action">${action}</div>` : ''}
</div>` as Html;

/** A form that only repeats what was sent before, with all its fields unseen. */
export const repeatForm = (action: string, sent: Readonly<Record<string, string>>, label: string): Html =>
  html`<form method="post" action="${action}" data-swap>
${Object.entries(sent).map(([name, value]) => html`<input type="hidden" name="${name}" value="${value}">`)}
<button type="submit">${label}</button>
</form>` as Html;

export const undoForm = (sellerId: number, terms: Terms, change: LoggedChange, style = ''): Html =>
  html`<form method="post" action="/sellers/${sellerId}/undo" data-swap>${hidden(terms)}
<button type="submit" class="${style}" id="undo">Undo<span class="hidden">: ${sentence(change.title)}</span></button></form>` as Html;

let months: Intl.DateTimeFormat | undefined;
const month = (value: string): string => {
  // Opened with the first month: to load the calendar takes 10 to 20 ms of a start.
  months ??= new Intl.DateTimeFormat('en', { month: 'short', year: 'numeric', timeZone: 'UTC' });
  return months.format(new Date(`${value}-01T00:00:00Z`));
};

/** The time of the work in words; empty when neither end is known. */
export function periodOf({ from, to }: Pick<Client, 'from' | 'to'>): string {
  if (from && to) return from === to ? month(from) : `${month(from)} – ${month(to)}`;
  if (from) return `since ${month(from)}`;
  return to ? `until ${month(to)}` : '';
}

function clientRow(
  site: Site,
  sellerId: number,
  client: Client,
  position: number,
  count: number,
  terms: Terms,
): Html {
  const { id, name } = client;
  const facts = [client.industry, periodOf(client)].filter((fact) => fact !== '');
  const cannot = (move: Move) =>
    (position === 0 && (move === 'first' || move === 'up')) ||
    (position === count - 1 && (move === 'last' || move === 'down'));
  return html`<li class="client card" data-client="${id}" data-name="${name}">
<button type="button" class="handle" id="grip-${id}" aria-describedby="reorder-help" hidden>${GRIP}<span class="hidden">Reorder ${isolate(name)}</span></button>
${logo(client, site, 'medium')}
<div class="client-text">
<h3>${isolate(name)}</h3>
${facts.length > 0 ? html`<p class="quiet small">${isolateEach(facts, ' · ')}</p>` : ''}
${client.description ? html`<p class="client-description" dir="auto">${client.description}</p>` : ''}
</div>
<div class="client-actions">
${
  count > 1
    ? html`<div class="moves" role="group" aria-label="Move ${isolatedText(name)}">${MOVES.map(
        (move) =>
          html`<button type="submit" form="order" name="move" value="${move}:${id}" id="${move}-${id}" class="icon" title="Move ${MOVE_NAMES[move]}"${cannot(move) ? raw(' disabled') : ''}>${ICONS[move]}<span class="hidden">Move ${isolate(name)} ${MOVE_NAMES[move]}</span></button>`,
      )}</div>`
    : ''
}
<a class="button secondary slim" href="/sellers/${sellerId}/clients/${id}/edit" id="edit-${id}">Edit<span class="hidden"> ${isolate(name)}</span></a>
<form method="post" action="/sellers/${sellerId}/clients/${id}/remove" data-swap>${hidden(terms)}
<button type="submit" class="secondary slim" id="remove-${id}">Remove<span class="hidden"> ${isolate(name)}</span></button></form>
</div>
</li>` as Html;
}

function listOf(site: Site, sellerId: number, list: SellerClients, terms: Terms): Html {
  const { clients } = list;
  if (clients.length === 0) {
    return html`<div class="empty card">
<p class="empty-title">No clients yet</p>
<p class="quiet">Buyers trust sellers who name the brands they worked for. Add your first one: it appears on your gigs, on your profile and in search within seconds.</p>
<p><a class="button" href="#add">Add your first client</a></p>
</div>` as Html;
  }
  const order = clients.map(({ id }) => id);
  return html`<p class="hidden" id="reorder-help">Press Space to pick up, arrow keys to move, Space to put down, Escape to cancel.</p>
<form method="post" action="/sellers/${sellerId}/order" id="order" data-swap>${hidden(terms)}
<input type="hidden" name="order" value="${order.join(',')}" autocomplete="off"></form>
<ol class="plain clients" id="clients">
${clients.map((client, position) => clientRow(site, sellerId, client, position, clients.length, terms))}
</ol>` as Html;
}

const describedBy = (ids: ReadonlyArray<string | false>): Html => {
  const present = ids.filter((id) => id !== false);
  return (present.length > 0 ? html` aria-describedby="${present.join(' ')}"` : html``) as Html;
};

const errorOf = (field: Field, errors: FieldErrors): Html =>
  (errors[field]
    ? html`<p class="field-error" id="error-${field}"><span class="hidden">Error: </span>${errors[field]}</p>`
    : html``) as Html;

const storedOf = (field: Field, form: ClientForm): Html =>
  (form.stored && form.stored[field] !== form.values[field]
    ? html`<p class="stored" id="stored-${field}">Saved now: ${form.stored[field] === '' ? 'nothing' : html`<q>${isolate(form.stored[field])}</q>`}</p>`
    : html``) as Html;

function textField(
  form: ClientForm,
  field: 'industry' | 'description' | 'from' | 'to',
  input: (attributes: Html) => Html,
  hint?: string,
): Html {
  const { errors, stored, values } = form;
  const attributes = html` id="field-${field}" name="${field}"${errors[field] ? raw(' aria-invalid="true"') : ''}${describedBy([hint !== undefined && `hint-${field}`, errors[field] !== undefined && `error-${field}`, stored !== undefined && stored[field] !== values[field] && `stored-${field}`])}`;
  return html`<div class="field${errors[field] ? ' wrong' : ''}">
<label for="field-${field}">${LABELS[field]} <span class="quiet optional">optional</span></label>
${input(attributes as Html)}
${hint ? html`<p class="hint quiet small" id="hint-${field}">${hint}</p>` : ''}
${errorOf(field, errors)}${storedOf(field, form)}
</div>` as Html;
}

/** The brand: a text field that, with the script, is a combobox over the catalogue; without it, a button searches. */
function brandField(site: Site, form: ClientForm, searchAction: string): Html {
  const { brands, errors, stored, values } = form;
  const described = describedBy([
    'hint-name',
    errors.name !== undefined && 'error-name',
    stored !== undefined && stored.name !== values.name && 'stored-name',
  ]);
  const shown = LogoSlug.safeParse(values.logo).data;
  const search = html`formmethod="get" formaction="${searchAction}" formnovalidate`;
  return html`<div class="field brand-field${errors.name ? ' wrong' : ''}" data-brands="/brands">
<label for="field-name">${LABELS.name}</label>
<p class="hint quiet small" id="hint-name">Pick one with its logo from the catalogue, or type any name.</p>
<div class="combobox">
<input id="field-name" name="name" type="text" value="${values.name}" dir="auto" required autocomplete="off" spellcheck="false"${errors.name ? raw(' aria-invalid="true"') : ''}${described}>
<button type="submit" class="secondary" name="find" value="1" ${search} data-without-script>Find</button>
<ul id="brand-options" class="options card" role="listbox" aria-label="Brands" hidden></ul>
</div>
${errorOf('name', errors)}${storedOf('name', form)}
${brands ? foundBrands(site, brands, values.name, search as Html) : ''}
<div class="chosen-logo" data-chosen${shown ? '' : raw(' hidden')}>
<img class="logo medium"${shown ? html` src="${site.logo(shown)}"` : ''} alt="" width="44" height="44">
<span class="small quiet">Shown with this logo</span>
<button type="submit" class="secondary slim" name="brand" value="" ${search} data-clear-logo>Remove the logo</button>
</div>
<input type="hidden" name="logo" value="${values.logo}">
${errorOf('logo', errors)}${storedOf('logo', form)}
</div>` as Html;
}

function foundBrands(site: Site, brands: readonly Brand[], typed: string, search: Html): Html {
  if (brands.length === 0) {
    return html`<p class="found small" role="status">${typed.trim() ? html`The catalogue has no <q>${isolate(typed)}</q>. You can add it all the same, without a logo.` : 'Type a name or a part of it, then search.'}</p>` as Html;
  }
  return html`<div class="found"><p class="small" id="found-title">Choose a brand, or keep what you typed:</p>
<ul class="plain found-brands" aria-labelledby="found-title">
${brands.map(
  ({ slug, name }) =>
    html`<li><button type="submit" class="choice" name="brand" value="${slug}" ${search}><img class="logo small" src="${site.logo(slug)}" alt="" width="24" height="24"><span>${isolate(name)}</span></button></li>`,
)}
</ul></div>` as Html;
}

/** Fields and buttons of the form that adds a client or changes one. */
function clientForm(
  site: Site,
  form: ClientForm,
  where: {
    readonly action: string;
    readonly searchAction: string;
    readonly submit: string;
    readonly more?: Html;
  },
): Html {
  const { values } = form;
  // The first submit button is what Enter presses; a field's own button must not be it.
  return html`<form method="post" action="${where.action}" data-swap data-client-form>
${hidden(form.terms)}
<button type="submit" class="hidden" tabindex="-1" aria-hidden="true">${where.submit}</button>
${brandField(site, form, where.searchAction)}
${textField(form, 'industry', (attributes) => html`<input type="text" value="${values.industry}" dir="auto" autocomplete="off"${attributes}>` as Html)}
${textField(
  form,
  'description',
  (attributes) =>
    html`<textarea rows="3" dir="auto" data-limit="${LIMITS.descriptionLength}"${attributes}>${values.description}</textarea>` as Html,
  `At most ${LIMITS.descriptionLength} characters.`,
)}
<div class="pair">
${textField(form, 'from', (attributes) => html`<input type="month" placeholder="2024-03" value="${values.from}"${attributes}>` as Html)}
${textField(form, 'to', (attributes) => html`<input type="month" placeholder="2024-09" value="${values.to}"${attributes}>` as Html)}
</div>
<div class="form-actions"><button type="submit" id="save">${where.submit}</button>${where.more ?? ''}</div>
</form>` as Html;
}

function errorSummary(errors: FieldErrors): Html {
  const wrong = Object.entries(errors) as Array<[Field, string]>;
  return notice({
    tone: 'problem',
    title: 'Nothing was saved yet',
    action:
      html`<ul class="plain">${wrong.map(([field, text]) => html`<li><a href="#field-${field === 'logo' ? 'name' : field}">${text}</a></li>`)}</ul>` as Html,
  });
}

const account = (sellerId: number): Html =>
  html`<form method="post" action="/sign-out" class="account"><span class="small quiet">Signed in as seller ${sellerId}</span><button type="submit" class="secondary slim">Sign out</button></form>` as Html;

/** The seller's list with everything that can be done to it. */
export function listPage(
  site: Site,
  page: {
    readonly sellerId: number;
    readonly list: SellerClients;
    readonly form: ClientForm;
    /** True while something is typed or asked for: then the form stays, however full the list is. */
    readonly formIsInUse: boolean;
    readonly notice?: Notice | undefined;
    /** The last change, if it can be taken back and no notice offers that already. */
    readonly undo?: LoggedChange | undefined;
  },
): Html {
  const { sellerId, list, form } = page;
  const count = list.clients.length;
  const isFull = count >= LIMITS.clientsPerSeller;
  const hasErrors = Object.keys(form.errors).length > 0;
  return region(
    html`
<div class="page-head">
<div><h1>Your top clients</h1>
<p class="quiet">The brands you have worked with, in the order buyers see them.</p></div>
${account(sellerId)}
</div>
${page.notice ? notice(page.notice) : ''}
${hasErrors ? errorSummary(form.errors) : ''}
<div class="bench">
<section class="list" aria-labelledby="list-title">
<div class="list-head">
<h2 id="list-title">${count} of ${LIMITS.clientsPerSeller}</h2>
<div class="list-tools">
${page.undo ? html`<span class="last-change"><span class="small quiet">${sentence(page.undo.title)}</span>${undoForm(sellerId, form.terms, page.undo, 'secondary slim')}</span>` : ''}
<a class="jump" href="#add">Add a client</a>
<a href="${site.user(sellerId)}?minVersion=${list.version}">See it as buyers do</a>
</div>
</div>
${listOf(site, sellerId, list, form.terms)}
</section>
<section class="add card" id="add" aria-labelledby="add-title">
<h2 id="add-title">Add a client</h2>
${
  isFull && !page.formIsInUse
    ? html`<p class="quiet">The list is full: ${LIMITS.clientsPerSeller} clients are the most buyers see. Remove one to add another.</p>`
    : clientForm(site, form, {
        action: `/sellers/${sellerId}/clients`,
        searchAction: `/sellers/${sellerId}#add`,
        submit: 'Add client',
      })
}
</section>
</div>` as Html,
  );
}

/** One client's own form, at its own address. */
export function editPage(
  site: Site,
  page: {
    readonly sellerId: number;
    readonly clientId: string;
    readonly name: string;
    readonly form: ClientForm;
    readonly notice?: Notice | undefined;
  },
): Html {
  const { sellerId, clientId, form } = page;
  return region(
    html`
<p class="back"><a href="/sellers/${sellerId}">Back to your clients</a></p>
${page.notice ? notice(page.notice) : ''}
${Object.keys(form.errors).length > 0 ? errorSummary(form.errors) : ''}
<section class="edit card" aria-labelledby="edit-title">
<h1 id="edit-title">Edit ${isolate(page.name)}</h1>
${clientForm(site, form, {
  action: `/sellers/${sellerId}/clients/${clientId}`,
  searchAction: `/sellers/${sellerId}/clients/${clientId}/edit`,
  submit: 'Save changes',
  more: html`<a class="button secondary" href="/sellers/${sellerId}">Cancel</a>` as Html,
})}
</section>` as Html,
  );
}

/** What was typed, kept while the list itself cannot be had; the same button sends it again. */
export function keptFormPage(
  site: Site,
  page: {
    readonly heading: string;
    readonly form: ClientForm;
    readonly action: string;
    readonly searchAction: string;
    readonly submit: string;
    readonly back: string;
    readonly notice: Notice;
  },
): Html {
  return region(
    html`
${notice(page.notice)}
<section class="edit card" aria-labelledby="edit-title">
<h1 id="edit-title">${sentence(page.heading)}</h1>
${clientForm(site, page.form, {
  action: page.action,
  searchAction: page.searchAction,
  submit: page.submit,
  more: html`<a class="button secondary" href="${page.back}">Back to your clients</a>` as Html,
})}
</section>` as Html,
  );
}

/** A page of few words: what is the matter and what to do. */
export function messagePage(page: {
  readonly heading: string;
  readonly text: string;
  readonly action?: Html;
}): Html {
  return region(
    html`<section class="message card" aria-labelledby="message-title">
<h1 id="message-title">${page.heading}</h1>
<p>${page.text}</p>
${page.action ?? ''}
</section>` as Html,
  );
}

/** Where a seller signs in: the demo's button, and a field for a token from elsewhere. */
export function signInPage(page: {
  readonly returnTo: string;
  readonly suggestedSeller: number;
  readonly canIssue: boolean;
  readonly why?: string | undefined;
  readonly error?: string | undefined;
}): Html {
  const to = html`<input type="hidden" name="return" value="${page.returnTo}">`;
  const problem = page.error ?? page.why;
  return region(
    html`
<div class="sign-in">
${problem ? notice({ tone: page.error ? 'problem' : 'done', title: problem }) : ''}
<section class="card" aria-labelledby="sign-in-title">
<h1 id="sign-in-title">Sign in</h1>
<p class="quiet">Only you can see and change your list here.</p>
${
  page.canIssue
    ? html`<form method="post" action="/sign-in">${to}
<div class="field"><label for="seller">Seller number</label>
<input id="seller" name="seller" type="number" inputmode="numeric" min="1" step="1" required value="${page.suggestedSeller}"></div>
<div class="form-actions"><button type="submit">Sign in as this seller</button></div>
<p class="hint quiet small">A demonstration: anybody may be any seller. The token is signed and checked as a real one.</p>
</form>`
    : ''
}
<details${page.canIssue ? '' : raw(' open')}><summary>Use a token of your own</summary>
<form method="post" action="/sign-in">${to}
<div class="field"><label for="token">Token (JWT)</label>
<textarea id="token" name="token" rows="4" required autocomplete="off" spellcheck="false"></textarea></div>
<div class="form-actions"><button type="submit" class="secondary">Sign in with the token</button></div>
</form></details>
</section>
</div>` as Html,
  );
}

export const linkButton = (href: string, text: string, style = ''): Html =>
  html`<a class="button ${style}" href="${href}">${text}</a>` as Html;

export const sideBySide = (...actions: readonly Html[]): Html =>
  html`<div class="form-actions">${actions}</div>` as Html;
