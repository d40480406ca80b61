import { type Client, LIMITS } from '#contracts/client.ts';
import type { GigRow, Review } from '#pages/gig/own-data.ts';
import type { ListingRow } from '#pages/search/own-data.ts';
import type { UserProfileRow } from '#pages/user/own-data.ts';
import { BRANDS, type Brand } from './brands.ts';
import { FAQ, PLACES, REVIEWS, TRADES } from './content.ts';
import { type Random, randomFor, zipf } from './random.ts';

/** All that is generated about one seller, ready for the tables of each page. */
export interface GeneratedSeller {
  readonly profile: UserProfileRow;
  readonly gigs: readonly GigRow[];
  readonly listings: readonly ListingRow[];
}

/** The further gigs of seller 7 are 1000007 and 2000007; the first one is 7, so that addresses are easy to guess. */
const FURTHER_GIGS = 1_000_000;
const MOST_GIGS = 3;
/** Sellers this far apart share a trade, so that related gigs can be computed without other sellers' data. */
const WHEEL = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0, 2, 1, 8, 2, 3, 4, 0, 9, 6, 1, 2];
const LEVELS = ['new', 'rising', 'expert', 'master'] as const;
const NEWEST_YEAR = 2026;

const tradeOf = (sellerId: number) => TRADES[WHEEL[sellerId % WHEEL.length]!]!;
const month = (year: number, of12: number) => `${year}-${String(of12).padStart(2, '0')}`;
const oneDecimal = (value: number) => Math.round(value * 10) / 10;

/**
 * Generates a seller. Pure: the same id gives the same seller, in any order of generation.
 * @param sellers how many there are; related gigs are chosen among theirs
 */
export function seller(sellerId: number, sellers: number): GeneratedSeller {
  const random = randomFor('seller', sellerId);
  const trade = tradeOf(sellerId);
  const place = random.pick(PLACES);
  const city = random.pick(place.cities);
  const name = `${random.pick(place.given)} ${random.pick(place.family)}`;
  // Visits fall with the rank, and the rank is the id: the first sellers are the popular ones.
  const fame = sellerId ** -0.5 * (0.6 + random.fraction());
  const reviews = Math.floor(4_000 * fame * random.fraction());
  const rating = reviews === 0 ? 0 : oneDecimal(5 - random.fraction() ** 2 * 1.6);
  const level = LEVELS[reviews > 220 ? 3 : reviews > 60 ? 2 : reviews > 8 ? 1 : 0]!;
  const hue = random.integer(0, 359);
  const headline = random.pick(trade.headlines);
  const numberOfGigs = 1 + Number(random.chance(0.25)) + Number(random.chance(0.08));
  const titles = shuffled(random, trade.titles);
  const orders = Math.floor(reviews * (1.3 + random.fraction()));
  const profileReviews = someReviews(random, reviews, rating);

  const gigs = Array.from({ length: Math.min(numberOfGigs, MOST_GIGS) }, (_, index): GigRow => {
    const price = Math.round((trade.priceCents * (0.4 + random.fraction() * 1.4)) / 500) * 500;
    const ofGig = index === 0 ? Math.ceil(reviews * 0.7) : Math.floor((reviews * 0.3) / index / 2);
    return {
      gig_id: index * FURTHER_GIGS + sellerId,
      seller_id: sellerId,
      title: titles[index]!,
      category: trade.category,
      description: [
        trade.pitch[0],
        trade.pitch[1],
        `I work from ${city}, answer in English and ${place.language === 'English' ? 'a little French' : place.language}, and take ${random.pick(['one order', 'two orders', 'three orders'])} at a time.`,
      ].join('\n\n'),
      packages: packages(random, trade.includes, price),
      faq: shuffled(random, FAQ).slice(0, 3),
      recent_reviews: index === 0 ? profileReviews : someReviews(random, ofGig, rating),
      rating: ofGig === 0 ? 0 : rating,
      reviews: ofGig,
      seller_name: name,
      seller_headline: headline,
      seller_level: level,
      seller_country: place.country,
      seller_hue: hue,
      related_gig_ids: relatedGigs(random, sellerId, sellers),
    };
  });

  return {
    gigs,
    profile: {
      seller_id: sellerId,
      display_name: name,
      headline,
      bio: `${trade.pitch[0]}\n\n${trade.pitch[1]}`,
      country: place.country,
      city,
      languages: [...new Set(['English', place.language])],
      skills: shuffled(random, trade.skills).slice(0, random.integer(2, 4)),
      member_since: `${month(random.integer(2014, NEWEST_YEAR - 1), random.integer(1, 12))}-${String(random.integer(1, 28)).padStart(2, '0')}`,
      level,
      rating,
      reviews,
      orders_completed: orders,
      response_hours: random.pick([1, 1, 2, 3, 5, 8, 12, 24]),
      hue,
      gigs: gigs.map((gig) => ({
        gigId: gig.gig_id,
        title: gig.title,
        priceCents: gig.packages[0]!.priceCents,
        rating: gig.rating,
        reviews: gig.reviews,
      })),
      recent_reviews: profileReviews,
    },
    listings: gigs.map((gig) => ({
      listing_id: gig.gig_id,
      gig_id: gig.gig_id,
      seller_id: sellerId,
      title: gig.title,
      category: gig.category,
      keywords: trade.keywords,
      price_cents: gig.packages[0]!.priceCents,
      delivery_days: gig.packages[0]!.deliveryDays,
      rating: gig.rating,
      reviews: gig.reviews,
      seller_name: name,
      seller_level: level,
      seller_hue: hue,
      score: Math.round(1_000 * fame * (gig.rating / 5 + 0.2)) + random.integer(0, 20),
    })),
  };
}

function packages(random: Random, includes: readonly string[], priceCents: number): GigRow['packages'] {
  const days = random.integer(1, 6);
  const first = random.integer(1, 2);
  return ['Essential', 'Complete', 'Everything'].map((title, size) => ({
    title,
    priceCents: Math.round((priceCents * [1, 2.2, 4.5][size]!) / 500) * 500,
    deliveryDays: days + size * 2,
    revisions: 1 + size * 2,
    includes: includes.slice(0, first + size + Number(size === 2)),
  }));
}

function someReviews(random: Random, reviews: number, rating: number): Review[] {
  // Bad reviews do not fit a seller with a good average.
  const fitting = REVIEWS.filter((review) => Math.abs(review.rating - rating) < 1.6);
  return shuffled(random, fitting)
    .slice(0, Math.min(reviews, 4))
    .map(({ rating, text }, index) => {
      const place = random.pick(PLACES);
      const author = `${random.pick(place.given)} ${random.pick(place.family).charAt(0)}.`;
      return { author, country: place.country, rating, text, month: month(NEWEST_YEAR, 10 - index * 2) };
    });
}

function relatedGigs(random: Random, sellerId: number, sellers: number): number[] {
  const turns = Math.floor((sellers - 1) / WHEEL.length);
  const found = new Set<number>();
  for (let attempt = 0; attempt < 12 && found.size < 4; attempt++) {
    // One turn of the wheel away is the same trade; after the last seller it continues at the first.
    const away = sellerId + random.integer(1, Math.max(turns, 1)) * WHEEL.length;
    const other = away > sellers ? away - turns * WHEEL.length : away;
    if (other >= 1 && other <= sellers && other !== sellerId) found.add(other);
  }
  return [...found];
}

function shuffled<T>(random: Random, items: readonly T[]): T[] {
  const result = [...items];
  for (let i = result.length - 1; i > 0; i--) {
    const j = random.integer(0, i);
    [result[i], result[j]] = [result[j]!, result[i]!];
  }
  return result;
}

const brandRank = zipf(BRANDS.length, 0.8);
const listLength = zipf(LIMITS.clientsPerSeller, 1.15);

/**
 * The clients of a seller, in the order they were added; empty for about two thirds of 20,000 sellers. Popular sellers
 * have clients more often, most lists are short, and famous brands are in many of them.
 */
export function clientsOf(sellerId: number): readonly Client[] {
  const shown = SHOWCASE[sellerId];
  const random = randomFor('clients', sellerId);
  if (shown) return shown(random, sellerId);
  if (!random.chance(0.22 + 0.55 / (1 + sellerId / 1_500))) return [];
  return clientsFor(random, sellerId, drawBrands(random, 1 + listLength(random)));
}

function drawBrands(random: Random, count: number): Brand[] {
  const drawn = new Set<Brand>();
  while (drawn.size < count) drawn.add(BRANDS[brandRank(random)]!);
  return [...drawn];
}

function clientsFor(random: Random, sellerId: number, brands: readonly Brand[]): Client[] {
  const jobs = shuffled(random, tradeOf(sellerId).jobs);
  return brands.map((brand, index): Client => {
    const year = random.integer(2016, NEWEST_YEAR - 1);
    const begin = random.integer(1, 12);
    const months = random.integer(1, 30);
    const end = year * 12 + begin - 1 + months;
    const ongoing = end >= NEWEST_YEAR * 12 + 9 || random.chance(0.12);
    return {
      id: random.uuid(),
      name: brand.name,
      industry: brand.industry,
      // Not every seller describes every job.
      description: index < jobs.length && random.chance(0.85) ? jobs[index]! : '',
      logo: brand.logo,
      from: month(year, begin),
      to: ongoing ? null : month(Math.floor(end / 12), (end % 12) + 1),
    };
  });
}

const named = (random: Random, name: string, more: Partial<Client> = {}): Client => ({
  id: random.uuid(),
  name,
  industry: '',
  description: '',
  logo: null,
  from: null,
  to: null,
  ...more,
});

const bySlug = (...slugs: string[]) => slugs.map((slug) => BRANDS.find((brand) => brand.logo === slug)!);

/** Sellers that show special cases, which a page must get right. */
const SHOWCASE: Readonly<Record<number, (random: Random, sellerId: number) => readonly Client[]>> = {
  // A seller whose clients are all famous brands.
  1: (random, sellerId) =>
    clientsFor(
      random,
      sellerId,
      bySlug('spotify', 'nike', 'airbnb', 'netflix', 'figma', 'lufthansa', 'ikea', 'nasa'),
    ),
  // A popular seller without clients.
  2: () => [],
  // As many as a list may hold.
  3: (random, sellerId) => clientsFor(random, sellerId, BRANDS.slice(0, LIMITS.clientsPerSeller)),
  // The longest allowed names: in words, and in one word.
  4: (random) => [
    named(random, 'The Royal and Ancient Society for the Improvement of Very Long Company Names Ltd', {
      industry: 'Associations',
    }),
    named(random, 'Donaudampfschiffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft.', {
      industry: 'Shipping',
      description: 'Timetables '.repeat(45).trim(),
    }),
  ],
  // Text that looks like markup.
  5: (random) => [
    named(random, '<script>alert("clients")</script>', { industry: '<b>Bold</b>' }),
    named(random, 'Ben & Jerry’s "<img src=x onerror=alert(1)>"', { description: '</section></main>&amp;' }),
  ],
  // Other scripts, right to left included, and a name made of emoji.
  6: (random) => [
    named(random, '東京メトロ', { industry: '交通', description: '駅構内の案内表示' }),
    named(random, 'الخطوط السعودية', { industry: 'طيران', description: 'حملة الموسم' }),
    named(random, 'Ζαχαροπλαστείο «Άνοιξη»', { industry: 'Τρόφιμα' }),
    named(random, '👩🏽‍🚀🪐 Rymd & Söner', { industry: 'Rymdfart' }),
  ],
  // The smallest possible client.
  7: (random) => [named(random, 'A', { from: '1999-12' })],
};
