import { type AddressRefused, idIn, type Page, topClientsJson } from '../page.ts';
import { type Gig, openGigReads } from './read.ts';
import { gigHtml } from './template.ts';

/** `GET /gigs/{gigId}`: what a seller offers, beside the brands the seller has worked with. */
export const gigPage: Page<number, Gig> = {
  name: 'gig',
  title: 'Gigs',
  path: '/gigs/:gigId',
  shows: 'one seller',
  address: ({ gigId }) => idIn(gigId) ?? unknownGig,
  probe: 1,
  open: openGigReads,
  sellersOf: (gig) => [gig.seller_id],
  html: gigHtml,
  json: (gig, shown, now) => ({
    gig: {
      gigId: gig.gig_id,
      sellerId: gig.seller_id,
      title: gig.title,
      category: gig.category,
      description: gig.description,
      packages: gig.packages,
      faq: gig.faq,
      recentReviews: gig.recent_reviews,
      rating: gig.rating,
      reviews: gig.reviews,
      seller: {
        name: gig.seller_name,
        headline: gig.seller_headline,
        level: gig.seller_level,
        country: gig.seller_country,
      },
      related: gig.related.map((one) => ({
        gigId: one.gig_id,
        title: one.title,
        priceCents: one.price_cents,
        rating: one.rating,
        reviews: one.reviews,
      })),
    },
    ...(shown ? { topClients: topClientsJson(shown(gig.seller_id), now) } : {}),
  }),
  examples: (site) => [1, 2, 3, 5, 8, 13, 21, 34].map((id) => ({ label: `Gig ${id}`, href: site.gig(id) })),
};

const unknownGig: AddressRefused = {
  refused: 'not-found',
  detail: 'A gig has a whole number, as in /gigs/1.',
};
