import { html } from 'hono/html';
import { isolatedText } from '#contracts/text.ts';
import { art } from '../art.ts';
import { isolate } from '../isolate.ts';
import { type Html, layout, monogram, type Site } from '../layout.ts';
import type { ShownOf } from '../page.ts';
import { reviewSection } from '../reviews.ts';
import { topClientsBlock } from '../top-clients-block.ts';
import { LEVELS, money, paragraphs, plural, ratingLine } from '../wording.ts';
import type { GigPackage } from './own-data.ts';
import type { Gig, RelatedGig } from './read.ts';

const TIERS = ['Basic', 'Standard', 'Premium'] as const;

const offer = (one: GigPackage, index: number): Html =>
  html`<details class="offer" name="offer"${index === 0 ? html` open` : ''}><summary><span class="offer-tier">${TIERS[index] ?? ''}</span><span class="offer-price">${money(one.priceCents)}</span></summary><div class="offer-body"><p class="offer-title" dir="auto">${one.title}</p><p class="quiet small">${plural(one.deliveryDays, 'day', 'days')} delivery · ${plural(one.revisions, 'revision', 'revisions')}</p><ul class="ticks">${one.includes.map((item) => html`<li dir="auto">${item}</li>`)}</ul></div></details>` as Html;

const related = (gig: RelatedGig, site: Site): Html =>
  html`<li class="card mini"><a class="cover" href="${site.gig(gig.gig_id)}"><span class="picture">${art(gig.gig_id, 6, 3)}</span><span class="mini-title">${isolate(gig.title)}</span></a><p class="mini-facts"><span>${ratingLine(gig.rating, gig.reviews)}</span><span>from <b>${money(gig.price_cents)}</b></span></p></li>` as Html;

/** The gig page as HTML. */
export function gigHtml(gig: Gig, shown: ShownOf, site: Site): string {
  return layout(site, {
    title: isolatedText(gig.title),
    description: `${isolatedText(gig.title)}, by ${isolatedText(gig.seller_name)}`,
    main: html`<div class="gig">
<div class="gig-head">
<p class="crumb"><a href="${site.search(gig.category)}">${isolate(gig.category)}</a></p>
<h1>${isolate(gig.title)}</h1>
<div class="by">${monogram(gig.seller_name, gig.seller_hue)}<div><a class="by-name" href="${site.user(gig.seller_id)}">${isolate(gig.seller_name)}</a> <span class="badge ${gig.seller_level}">${LEVELS[gig.seller_level]}</span><div class="quiet small">${isolate(gig.seller_headline)} · ${isolate(gig.seller_country)}</div></div><div class="by-rating">${ratingLine(gig.rating, gig.reviews)}</div></div>
</div>
<div class="gig-art picture">${art(gig.gig_id, 12, 5)}</div>
${topClientsBlock(shown?.(gig.seller_id), gig.seller_name, site, 'tiles')}
<aside class="offers card" aria-label="Packages">
${gig.packages.map(offer)}
<div class="offers-foot"><a class="button wide" href="${site.user(gig.seller_id)}">Meet the seller</a></div>
</aside>
<div class="gig-body">
<section aria-labelledby="about"><h2 id="about">About this gig</h2><div class="prose">${paragraphs(gig.description)}</div></section>
${gig.faq.length > 0 ? html`<section aria-labelledby="faq"><h2 id="faq">Questions buyers ask</h2>${gig.faq.map((one) => html`<details class="faq"><summary>${isolate(one.question)}</summary><p dir="auto">${one.answer}</p></details>`)}</section>` : ''}
${reviewSection(gig.recent_reviews, gig.rating, gig.reviews)}
</div>
</div>
${gig.related.length > 0 ? html`<section class="related" aria-labelledby="related"><h2 id="related">You may also like</h2><ul class="plain grid">${gig.related.map((one) => related(one, site))}</ul></section>` : ''}` as Html,
  });
}
