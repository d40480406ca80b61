import { html } from 'hono/html';
import type { Review } from './gig/own-data.ts';
import { isolate } from './isolate.ts';
import type { Html } from './layout.ts';
import { monthAndYear, ratingLine } from './wording.ts';

/** What buyers wrote, newest first; nothing when nobody did. */
export const reviewSection = (reviews: readonly Review[], rating: number, count: number): Html | '' =>
  reviews.length === 0
    ? ''
    : (html`<section class="reviews" aria-labelledby="reviews"><div class="section-head"><h2 id="reviews">Reviews</h2>${ratingLine(rating, count)}</div><ul class="plain review-list">${reviews.map(
        (review) =>
          html`<li class="review"><p dir="auto">${review.text}</p><p class="quiet small"><b>${isolate(review.author)}</b>, ${isolate(review.country)} · ${review.rating}/5 · ${monthAndYear(review.month)}</p></li>`,
      )}</ul></section>` as Html);
