import { z } from 'zod';

/** Limits that protect every store and page that holds a list. `name` etc. count Unicode code points. */
export const LIMITS = {
  clientsPerSeller: 20,
  nameLength: 80,
  industryLength: 60,
  descriptionLength: 500,
  bodyBytes: 32 * 1024,
  sellersPerBatchGet: 100,
  /** Of lists in one answer of batch-get; the 48 sellers of a page of search rarely have as much. */
  batchGetBytes: 512 * 1024,
} as const;

// PostgreSQL cannot store NUL and UTF-8 has no lone surrogates; the other controls have no place in a label. U+FFFD is
// what a decoder puts where bytes were no UTF-8: the text is not what somebody wrote.
const UNFIT = '\\u0000-\\u0008\\u000b\\u000c\\u000e-\\u001f\\u007f\\ufffd';
const holdsUnfit = new RegExp(`[${UNFIT}]`);
const wellFormed = (text: string) => text.isWellFormed() && !holdsUnfit.test(text);
/** What the generated documents can say of it. */
const pattern = (minimum: number) =>
  minimum > 0 ? `^[^${UNFIT}]*[^\\s${UNFIT}][^${UNFIT}]*$` : `^[^${UNFIT}]*$`;

const text = (minimum: number, maximum: number) =>
  z
    .string()
    .trim()
    .normalize()
    .refine(wellFormed, 'must be well-formed Unicode without control characters and U+FFFD')
    .refine((value) => {
      const length = [...value].length;
      return length >= minimum && length <= maximum;
    }, `must have ${minimum} to ${maximum} characters`)
    .meta({ minLength: minimum, maxLength: maximum, pattern: pattern(minimum) });

/** Largest id that a JSON number carries exactly. */
export const SellerId = z
  .int()
  .min(1)
  .max(Number.MAX_SAFE_INTEGER)
  .meta({ id: 'SellerId', description: 'The seller, a positive integer', examples: [1] });
export type SellerId = z.infer<typeof SellerId>;

export const ClientId = z.uuid().meta({ id: 'ClientId', description: 'The client within its seller' });

export const YearMonth = z
  .string()
  .regex(/^(19|20)\d{2}-(0[1-9]|1[0-2])$/, 'must be a month like 2024-03')
  .meta({ id: 'YearMonth', examples: ['2024-03'] });

/** A name in the catalogue of brand logos that every page serves from its own origin at `/logos/<slug>.svg`. */
export const LogoSlug = z
  .string()
  .regex(/^[a-z0-9_]{1,60}$/, 'must be a slug of the brand catalogue, like spotify')
  .meta({ id: 'LogoSlug', examples: ['spotify'] });

const fields = {
  name: text(1, LIMITS.nameLength).meta({
    description: 'The brand as the buyer reads it',
    examples: ['Spotify'],
  }),
  industry: text(0, LIMITS.industryLength).meta({ examples: ['Music'] }),
  description: text(0, LIMITS.descriptionLength).meta({ examples: ['Launch film and three cut-downs'] }),
  logo: LogoSlug.nullable(),
  from: YearMonth.nullable(),
  to: YearMonth.nullable(),
};

const endsAfterItBegins = (client: { from?: string | null; to?: string | null }) =>
  !client.from || !client.to || client.from <= client.to;
const period = { message: 'must not be before from', path: ['to'] };

/** One brand a seller has worked with, as stored, sent and shown. */
export const Client = z.object({ id: ClientId, ...fields }).meta({ id: 'Client' });
export type Client = z.infer<typeof Client>;

/** What a seller sends to add a client: all but the name may be left out. Unknown members are refused. */
export const NewClient = z
  .strictObject({
    name: fields.name,
    industry: fields.industry.default(''),
    description: fields.description.default(''),
    logo: fields.logo.default(null),
    from: fields.from.default(null),
    to: fields.to.default(null),
  })
  .refine(endsAfterItBegins, period)
  .meta({ id: 'NewClient' });
export type NewClient = z.infer<typeof NewClient>;

/** A JSON merge patch (RFC 7396) of a client: null clears an optional member. */
export const ClientPatch = z
  .strictObject({
    name: fields.name.optional(),
    industry: fields.industry.nullable().optional(),
    description: fields.description.nullable().optional(),
    logo: fields.logo.optional(),
    from: fields.from.optional(),
    to: fields.to.optional(),
  })
  .refine((patch) => Object.keys(patch).length > 0, 'must change at least one member')
  .meta({ id: 'ClientPatch', minProperties: 1 });
export type ClientPatch = z.infer<typeof ClientPatch>;

/** Judges a patched client as a whole: a patch of `to` alone can end a period before it begins. */
export const isPeriodValid = endsAfterItBegins;
