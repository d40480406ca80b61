import icons from 'simple-icons/icons.json' with { type: 'json' };

/** A brand a seller can have worked with. */
export interface Brand {
  readonly name: string;
  /** The slug of its logo. */
  readonly logo: string;
  readonly industry: string;
}

/** Brands people know, by industry, the best known first: slugs of simple-icons, separated by spaces. */
const KNOWN: Readonly<Record<string, string>> = {
  Technology:
    'apple google samsung sony intel nvidia meta dell hp lenovo amd dji garmin siemens bosch asus xiaomi panasonic fitbit lg razer philipshue huawei oneplus fairphone raspberrypi oculus nikon fujifilm leica motorola insta360',
  'Fashion and sportswear':
    'nike adidas puma zara uniqlo reebok newbalance underarmour thenorthface handm dior zalando farfetch fila macys burton jordan bata hellyhansen',
  'Food and drink':
    'cocacola starbucks mcdonalds burgerking redbull kfc tacobell doordash deliveroo ubereats hellofresh instacart justeat carlsberggroup glovo foodpanda zomato swiggy vivino untappd chupachups',
  'Film and television':
    'netflix hbo paramountplus hbomax crunchyroll mubi cnn cbs nbc fox vimeo roku plex dailymotion showtime starz rottentomatoes letterboxd',
  'Music and audio':
    'spotify soundcloud bose sonos deezer tidal bandcamp shazam jbl sennheiser genius beatport denon beatsbydre audiotechnica discogs songkick pandora',
  Travel:
    'airbnb bookingdotcom expedia lufthansa emirates tripadvisor marriott hilton klm britishairways airfrance qatarairways tui trivago qantas delta unitedairlines turkishairlines easyjet ryanair ritzcarlton oyo hotelsdotcom',
  Mobility:
    'uber tesla bmw audi porsche volkswagen volvo toyota ferrari honda lyft mini polestar ford mazda hyundai kia renault peugeot ducati vespa grab nissan waze deutschebahn sncf f1 jeep lamborghini maserati',
  Games:
    'playstation epicgames ubisoft ea riotgames rockstargames unity twitch roblox supercell sega activision squareenix steam bungie cdprojekt unrealengine valve atari gogdotcom konami',
  Software:
    'figma notion github shopify atlassian zoom dropbox stripe asana hubspot miro airtable mailchimp webflow squarespace zapier zendesk intercom datadog cloudflare docker gitlab mongodb snowflake databricks elastic redis sap intuit evernote grammarly 1password framer wix trello linear jetbrains vercel',
  Finance:
    'visa mastercard paypal klarna revolut wise americanexpress n26 monzo adyen hsbc barclays goldmansachs deutschebank nubank robinhood coinbase square starlingbank venmo cashapp',
  Retail:
    'ikea ebay etsy target carrefour lidl tesco aldisud rakuten shopee allegro otto vinted fnac leroymerlin dm kaufland mediamarkt',
  'Social networks':
    'instagram tiktok facebook pinterest snapchat reddit discord whatsapp telegram tumblr bluesky mastodon x threads bereal quora line viber',
  Media:
    'theguardian newyorktimes thewashingtonpost derspiegel medium substack buzzfeed techcrunch cnet patreon kickstarter giphy unsplash pexels dribbble behance wikipedia goodreads billboard fandom',
  Education:
    'duolingo coursera udemy khanacademy skillshare ted edx codecademy udacity pearson quizlet datacamp pluralsight freecodecamp',
  Logistics: 'dhl fedex ups usps dpd deutschepost hermes',
  Telecommunications:
    'vodafone orange telefonica deutschetelekom verizon atandt ericsson nokia o2 bt movistar',
  'Health and science':
    'nasa headspace strava peloton runkeeper spacex worldhealthorganization boehringeringelheim abbott merck maxplanckgesellschaft',
  'Household goods': 'unilever 3m delonghi irobot maytag tamiya ravelry husqvarna',
  Sport: 'fifa nba premierleague ufc wwe dazn mlb nhl',
};

const nameOf = new Map(
  (icons as readonly { slug: string; title: string }[]).map((icon) => [icon.slug, icon.title]),
);

function brand(logo: string, industry: string): Brand {
  const name = nameOf.get(logo);
  if (name === undefined) {
    throw new Error(`simple-icons has no brand ${logo} (any more): take it out of services/seed/brands.ts`);
  }
  return { name, logo, industry };
}

/** Some 350 brands, by fame: first the best known of each industry, then the second of each, and so on. */
export const BRANDS: readonly Brand[] = (() => {
  const columns = Object.entries(KNOWN).map(([industry, slugs]) =>
    slugs.split(' ').map((slug) => brand(slug, industry)),
  );
  const rows = Math.max(...columns.map((column) => column.length));
  return Array.from({ length: rows }, (_, row) => columns.flatMap((column) => column[row] ?? [])).flat();
})();
