import { html, raw } from 'hono/html';
import { LogoSlug } from '#contracts/client.ts';
import { compact } from './compact.ts';
import { isolate, isolateEach } from './isolate.ts';
import { type Html, monogram, type Site } from './layout.ts';
import type { ClientList, PageClient, ShownList } from './page.ts';
import { plural, years } from './wording.ts';

/** Shown before "show all"; a phone shows two columns of them. */
const AT_FIRST = 8;

const hueOf = (text: string): number => {
  let hash = 0;
  for (let i = 0; i < text.length; i++) hash = (hash * 31 + text.charCodeAt(i)) % 3600;
  return hash % 360;
};

/** The logo of a brand, from this origin; its first letter where there is none. The name stands beside it. */
export const logo = (client: PageClient, site: Site, size: 'small' | 'medium'): Html => {
  // A slug becomes part of an address: nothing but a slug may.
  if (client.logo === null || !LogoSlug.safeParse(client.logo).success) {
    return monogram(client.name, hueOf(client.name), size);
  }
  const pixels = size === 'small' ? 24 : 44;
  return html`<img class="logo ${size}" src="${site.logo(client.logo)}" alt="" width="${pixels}" height="${pixels}" loading="lazy" decoding="async">` as Html;
};

function facts(client: PageClient): Html | '' {
  const known = [client.industry ?? '', years(client)].filter((fact) => fact !== '');
  return known.length > 0 ? isolateEach(known, ' · ') : '';
}

const tile = (client: PageClient, site: Site): Html => {
  const about = facts(client);
  return html`<li class="brand">${logo(client, site, 'medium')}<div class="brand-text"><span class="brand-name">${isolate(client.name)}</span>${about ? html`<span class="brand-facts">${about}</span>` : ''}</div></li>` as Html;
};

const story = (client: PageClient, site: Site): Html => {
  const about = facts(client);
  return html`<li class="brand story">${logo(client, site, 'medium')}<div class="brand-text"><span class="brand-name">${isolate(client.name)}</span>${about ? html`<span class="brand-facts">${about}</span>` : ''}${client.description ? html`<p class="brand-story" dir="auto">${client.description}</p>` : ''}</div></li>` as Html;
};

function block(list: readonly PageClient[], site: Site, form: 'tiles' | 'stories'): Html {
  const one = form === 'tiles' ? tile : story;
  const [first, others] =
    list.length > AT_FIRST + 1 ? [list.slice(0, AT_FIRST), list.slice(AT_FIRST)] : [list, []];
  return html`<ul class="plain brands ${form}">${first.map((client) => one(client, site))}</ul>
${others.length > 0 ? html`<details class="more-brands"><summary>${plural(others.length, 'more brand', 'more brands')}</summary><ul class="plain brands ${form}">${others.map((client) => one(client, site))}</ul></details>` : ''}` as Html;
}

// Rendered once for each list that is cached: by the object and not by its version, which a repair keeps. The same
// object comes back until the view says something else.
const rendered = {
  tiles: new WeakMap<object, { seller: string; section: Html }>(),
  stories: new WeakMap<object, { seller: string; section: Html }>(),
};

/**
 * The section on the page of one seller. Nothing at all where there is nothing to show: a page without the data is
 * a whole page.
 * @param form `tiles` names the brands, `stories` also tells what was done for them
 */
export function topClientsBlock(
  shown: ShownList | undefined,
  seller: string,
  site: Site,
  form: 'tiles' | 'stories',
): Html | '' {
  const list = shown?.list?.clients;
  if (shown === undefined || list === undefined || list.length === 0) return '';
  if (shown.outcome === 'stale') return section(list, seller, site, form, true);
  const known = rendered[form].get(list);
  if (known?.seller === seller) return known.section;
  const made = raw(compact(section(list, seller, site, form, false).toString()));
  rendered[form].set(list, { seller, section: made });
  return made;
}

const section = (
  list: readonly PageClient[],
  seller: string,
  site: Site,
  form: 'tiles' | 'stories',
  isStale: boolean,
): Html =>
  html`<section class="trusted" aria-labelledby="trusted-by">
<div class="trusted-head"><h2 id="trusted-by">Trusted by</h2><p class="quiet">${plural(list.length, 'brand', 'brands')} ${isolate(seller)} has worked with</p></div>
${block(list, site, form)}
${isStale ? html`<p class="trusted-note">The newest change to this list will appear in a moment.</p>` : ''}
</section>` as Html;

/** Rendered once for each list that is cached, as above. */
const lines = new WeakMap<ClientList, Html>();

/** The line on a search card: logos and names of the first clients, and how many more there are. */
export function workedWith(shown: ShownList | undefined, site: Site, named: number): Html | '' {
  const list = shown?.list;
  if (!list || list.clients.length === 0) return '';
  const known = lines.get(list);
  if (known !== undefined) return known;
  const made = raw(compact(line(list, site, named).toString()));
  lines.set(list, made);
  return made;
}

function line(list: ClientList, site: Site, named: number): Html {
  const first = list.clients.slice(0, named);
  const others = list.total - first.length;
  return html`<div class="worked-with"><span class="logos">${first.map((client) => logo(client, site, 'small'))}</span><span class="worked-names"><span class="quiet">Worked with</span> ${isolateEach(
    first.map((client) => client.name),
    ', ',
  )}</span>${others > 0 ? html` <span class="others">+${others}<span class="hidden"> more</span></span>` : ''}</div>` as Html;
}
