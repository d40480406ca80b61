import { html, raw } from 'hono/html';
import type { PageName } from '#contracts/pages.ts';

/** HTML that is escaped already; `html` makes it from strings that are not. */
export type Html = ReturnType<typeof raw>;

/** Where things are, as the browser sees them. Every page is a service of its own and may have an origin of its own. */
export interface Site {
  /** The address of a file of an `assets` folder, such as `site.css`, with the hash of its content. */
  asset(name: string): string;
  readonly home: string;
  gig(gigId: number): string;
  user(sellerId: number): string;
  search(query?: string, page?: number): string;
  /** Where a seller edits the list; without a seller, where one begins. */
  selfView(sellerId?: number): string;
  logo(slug: string): string;
}

/** Public base addresses of the pages; an absent one means the same origin. */
export type SiteBases = Readonly<Partial<Record<PageName | 'selfView', string | undefined>>>;

/**
 * Builds the addresses of a site.
 * @param bases public base addresses of the pages, without a trailing slash; an absent one means the same origin
 * @param asset gives the address of a file of an `assets` folder
 */
export function siteOf(bases: SiteBases, asset: (name: string) => string): Site {
  const base = (address: string | undefined) => (address ?? '').replace(/\/+$/, '');
  const [gig, user, search, selfView] = [bases.gig, bases.user, bases.search, bases.selfView].map(base);
  return {
    asset,
    home: '/',
    gig: (gigId) => `${gig}/gigs/${gigId}`,
    user: (sellerId) => `${user}/users/${sellerId}`,
    search: (query, page) => {
      const parameters = new URLSearchParams();
      if (query) parameters.set('q', query);
      if (page && page > 1) parameters.set('page', String(page));
      return `${search}/search${parameters.size > 0 ? `?${parameters}` : ''}`;
    },
    selfView: (sellerId) => (sellerId === undefined ? `${selfView}/` : `${selfView}/sellers/${sellerId}`),
    logo: (slug) => `/logos/${slug}.svg`,
  };
}

const MARK = raw(
  '<svg class="mark" viewBox="0 0 32 32" width="28" height="28" aria-hidden="true" focusable="false">' +
    '<path class="mark-plate" d="M4 9a5 5 0 0 1 5-5h14a5 5 0 0 1 5 5v14a5 5 0 0 1-5 5H9a5 5 0 0 1-5-5z"/>' +
    '<path class="mark-letter" d="M11 9h6a4 4 0 0 1 2.6 7A4.4 4.4 0 0 1 17.400 23.500H11zm3 2.700v3h2.800a1.500 1.500 0 0 0 0-3zm0 5.600v3.500h3.200a1.750 1.750 0 0 0 0-3.500z"/>' +
    '</svg>',
);

/** The HTML document of every page, of the site and of its lab: head, header, `main`, footer. */
export function shell(page: {
  /** Before the name of the site. */
  readonly title: string;
  readonly description?: string | undefined;
  /** Addresses of files, same origin; scripts are loaded as modules. */
  readonly icon: string;
  readonly styles: readonly string[];
  readonly scripts?: readonly string[] | undefined;
  /** How often browsers without scripts ask for it anew, in s. */
  readonly refreshSeconds?: number;
  /** A class of `body`. */
  readonly look?: string;
  readonly header: Html;
  readonly main: Html;
  readonly footer: string;
}): string {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${page.title} · Brandmarkt</title>
${page.description ? html`<meta name="description" content="${page.description}">` : ''}
<link rel="icon" href="${page.icon}" type="image/svg+xml">
${page.styles.map((href) => html`<link rel="stylesheet" href="${href}">`)}
${(page.scripts ?? []).map((src) => html`<script type="module" src="${src}"></script>`)}
${page.refreshSeconds ? html`<noscript><meta http-equiv="refresh" content="${page.refreshSeconds}"></noscript>` : ''}
</head>
<body${page.look ? html` class="${page.look}"` : ''}>
<a class="skip" href="#main">Skip to the content</a>
<header class="top">
<div class="wrap top-row">
${page.header}
</div>
</header>
<main id="main" class="wrap" tabindex="-1">
${page.main}
</main>
<footer class="bottom"><div class="wrap"><p>${page.footer}</p></div></footer>
</body>
</html>`.toString();
}

/** The frame of every page of the site, whose header has the search field. */
export function layout(
  site: Site,
  page: {
    readonly title: string;
    readonly description?: string;
    /** What the search field holds. */
    readonly query?: string;
    readonly main: Html;
    /** Scripts of the page, same origin, loaded as modules. */
    readonly scripts?: readonly string[];
    /** Stylesheets of the page, same origin, after the common one. */
    readonly styles?: readonly string[];
  },
): string {
  return shell({
    title: page.title,
    description: page.description,
    icon: site.asset('icon.svg'),
    styles: [site.asset('site.css'), ...(page.styles ?? [])],
    scripts: page.scripts,
    header: html`<a class="wordmark" href="${site.home}">${MARK}<span>Brandmarkt</span></a>
<form class="find" role="search" action="${site.search()}" method="get">
<label class="hidden" for="q">Search services</label>
<input id="q" name="q" type="search" maxlength="200" dir="auto" placeholder="What do you need done?" value="${page.query ?? ''}" autocomplete="off">
<button type="submit">Search</button>
</form>
<nav class="top-nav" aria-label="Main"><a href="${site.search()}">Browse</a><a href="${site.selfView()}">For sellers</a></nav>` as Html,
    main: page.main,
    footer:
      'Brandmarkt is a demonstration marketplace. Its sellers are invented; brand names and logos belong to their owners.',
  });
}

/** A letter on a coloured plate, for people and for brands without a logo. Decoration: the name stands beside it. */
export function monogram(name: string, hue: number, size: 'small' | 'medium' | 'large' = 'medium'): Html {
  const letter = /[\p{L}\p{N}]/u.exec(name)?.[0] ?? /[\p{S}\p{P}]/u.exec(name)?.[0] ?? '·';
  return html`<span class="monogram ${size} hue-${hueStep(hue)}" aria-hidden="true">${letter.toLocaleUpperCase('en')}</span>` as Html;
}

/** The stylesheet has twelve hues, 30 degrees apart: styles written into elements are forbidden by our own policy. */
export const hueStep = (degrees: number): number => Math.floor((((degrees % 360) + 360) % 360) / 30);
