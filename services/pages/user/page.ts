import { type AddressRefused, idIn, type Page, topClientsJson } from '../page.ts';
import { openUserReads, type UserProfile } from './read.ts';
import { userHtml } from './template.ts';

/** `GET /users/{sellerId}`: a seller's profile, with what was done for each brand. */
export const userPage: Page<number, UserProfile> = {
  name: 'user',
  title: 'Sellers',
  path: '/users/:sellerId',
  shows: 'one seller',
  address: ({ sellerId }) => idIn(sellerId) ?? unknownUser,
  probe: 1,
  open: openUserReads,
  sellersOf: (user) => [user.seller_id],
  html: userHtml,
  json: (user, shown, now) => ({
    user: {
      sellerId: user.seller_id,
      displayName: user.display_name,
      headline: user.headline,
      bio: user.bio,
      country: user.country,
      city: user.city,
      languages: user.languages,
      skills: user.skills,
      memberSince: user.member_since,
      level: user.level,
      rating: user.rating,
      reviews: user.reviews,
      ordersCompleted: user.orders_completed,
      responseHours: user.response_hours,
      gigs: user.gigs,
      recentReviews: user.recent_reviews,
    },
    ...(shown ? { topClients: topClientsJson(shown(user.seller_id), now) } : {}),
  }),
  examples: (site) =>
    [1, 2, 3, 5, 8, 13, 21, 34].map((id) => ({ label: `Seller ${id}`, href: site.user(id) })),
};

const unknownUser: AddressRefused = {
  refused: 'not-found',
  detail: 'A seller has a whole number, as in /users/1.',
};
