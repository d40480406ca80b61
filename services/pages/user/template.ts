import { html } from 'hono/html';
import { isolatedText } from '#contracts/text.ts';
import { art } from '../art.ts';
import { isolate, isolateEach } from '../isolate.ts';
import { type Html, layout, monogram, type Site } from '../layout.ts';
import type { ShownOf } from '../page.ts';
import { reviewSection } from '../reviews.ts';
import { topClientsBlock } from '../top-clients-block.ts';
import { count, LEVELS, money, paragraphs, plural, ratingLine } from '../wording.ts';
import type { ProfileGig } from './own-data.ts';
import type { UserProfile } from './read.ts';

const gigCard = (gig: ProfileGig, site: Site): Html =>
  html`<li class="card mini"><a class="cover" href="${site.gig(gig.gigId)}"><span class="picture">${art(gig.gigId, 6, 3)}</span><span class="mini-title">${isolate(gig.title)}</span></a><p class="mini-facts"><span>${ratingLine(gig.rating, gig.reviews)}</span><span>from <b>${money(gig.priceCents)}</b></span></p></li>` as Html;

const responds = (hours: number): string =>
  hours <= 1 ? 'within an hour' : hours < 24 ? `within ${hours} hours` : 'within a day or two';

/** The user page as HTML. */
export function userHtml(user: UserProfile, shown: ShownOf, site: Site): string {
  return layout(site, {
    title: isolatedText(user.display_name),
    description: `${isolatedText(user.display_name)}: ${isolatedText(user.headline)}`,
    main: html`<div class="profile">
<header class="profile-head card">
${monogram(user.display_name, user.hue, 'large')}
<div class="profile-who"><h1>${isolate(user.display_name)}</h1><p class="profile-line" dir="auto">${user.headline}</p><p class="profile-facts"><span class="badge ${user.level}">${LEVELS[user.level]}</span>${ratingLine(user.rating, user.reviews)}<span class="quiet">${isolateEach([user.city, user.country], ', ')}</span></p></div>
<dl class="figures"><div><dt>Orders completed</dt><dd>${count(user.orders_completed)}</dd></div><div><dt>Replies</dt><dd>${responds(user.response_hours)}</dd></div><div><dt>Member since</dt><dd>${user.member_since.slice(0, 4)}</dd></div></dl>
</header>
${topClientsBlock(shown?.(user.seller_id), user.display_name, site, 'stories')}
<div class="profile-columns">
<section aria-labelledby="about"><h2 id="about">About</h2><div class="prose">${paragraphs(user.bio)}</div></section>
<aside class="profile-side" aria-label="Skills and languages"><section aria-labelledby="skills"><h2 id="skills">Skills</h2><ul class="plain chips">${user.skills.map((skill) => html`<li><a href="${site.search(skill)}">${isolate(skill)}</a></li>`)}</ul></section><section aria-labelledby="languages"><h2 id="languages">Languages</h2><p>${isolateEach(user.languages, ', ')}</p></section></aside>
</div>
${user.gigs.length > 0 ? html`<section aria-labelledby="gigs"><h2 id="gigs">Gigs by ${isolate(user.display_name)}</h2><ul class="plain grid">${user.gigs.map((gig) => gigCard(gig, site))}</ul></section>` : ''}
${reviewSection(user.recent_reviews, user.rating, user.reviews)}
<p class="quiet small own-list">${plural(user.gigs.length, 'gig', 'gigs')} on Brandmarkt. Is this you? <a href="${site.selfView(user.seller_id)}">Edit your top clients</a></p>
</div>` as Html,
  });
}
