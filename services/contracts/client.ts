import { z } from 'zod';
import { complaintOf, type TextKind } from './text.ts';

/** Limits that protect every store and page that holds a list. `name` etc. count Unicode code points. */
export const LIMITS = {
  clientsPerSeller: 20,
  nameLength: 80,
  industryLength: 60,
  descriptionLength: 500,
  sellersPerBatchGet: 100,
  idempotencyKeysPerSeller: 10_000,
  /** Bytes of the lists in one answer of batch-get; the 48 sellers of a page of search rarely have as much. */
  batchGetBytes: 512 * 1024,
} as const;

// PostgreSQL cannot store NUL and UTF-8 has no lone surrogates; the other controls have no place in a label. U+FFFD is
// what a decoder puts where bytes were no UTF-8: the text is not what somebody wrote.
const UNFIT = '\\u0000-\\u0008\\u000b\\u000c\\u000e-\\u001f\\u007f\\ufffd';
const holdsUnfit = new RegExp(`[${UNFIT}]`);
const wellFormed = (text: string) => text.isWellFormed() && !holdsUnfit.test(text);
const fits = (minimum: number, maximum: number) => (value: string) => {
  const length = [...value].length;
  return length >= minimum && length <= maximum;
};

/** A text as it was stored, maybe before there were today's rules: an old event must stay readable. */
const storedText = (minimum: number, maximum: number) =>
  z
    .string()
    .trim()
    .normalize()
    .refine(wellFormed, 'must be well-formed Unicode without control characters and U+FFFD')
    .refine(fits(minimum, maximum), `must have ${minimum} to ${maximum} characters`)
    .meta({
      minLength: minimum,
      maxLength: maximum,
      pattern: minimum > 0 ? `^[^${UNFIT}]*[^\\s${UNFIT}][^${UNFIT}]*$` : `^[^${UNFIT}]*$`,
    });

/**
 * Characters that `complaintOf` always refuses, as far as a pattern that every program reads alike can express them:
 * the others lie beyond U+FFFF, or depend on their neighbours.
 */
const NEVER_WRITTEN = {
  label:
    '\\u0000-\\u001f\\u007f-\\u009f\\u00ad\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5\\u200b\\u200e\\u200f\\u2028-\\u202e\\u2060-\\u206f\\u2800\\u3164\\ufdd0-\\ufdef\\ufeff\\uffa0\\ufff0-\\uffff',
  get passage() {
    return this.label.replace('\\u0000-\\u001f', '\\u0000-\\u0008\\u000b\\u000c\\u000e-\\u001f');
  },
};
/** Characters that are trimmed at both ends; `\\s` of other languages is something else. */
const TRIMMED = '\\t-\\r \\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000\\ufeff';
/** The pattern of a text in the generated documents, as far as a pattern can express it. */
function patternOf(minimum: number, kind: TextKind): string {
  const never = NEVER_WRITTEN[kind];
  const something = `[^${TRIMMED}${never}][^${never}]*[${TRIMMED}]*`;
  return `^[${TRIMMED}]*${minimum > 0 ? something : `(${something})?`}$`;
}

/** A text as a seller may write it now. Line ends of every system become line feeds. */
const writtenText = (minimum: number, maximum: number, kind: TextKind) =>
  z
    .string()
    .normalize()
    // Checked before trimming, as the generated document does not tell that blanks at the ends are trimmed.
    .refine(fits(0, maximum), { message: `must have ${minimum} to ${maximum} characters`, abort: true })
    .trim()
    .overwrite((value) => (kind === 'passage' ? value.replace(/\r\n?/g, '\n') : value))
    .check((ctx) => {
      const message = complaintOf(ctx.value, kind);
      if (message !== null) ctx.issues.push({ code: 'custom', message, input: ctx.value });
    })
    .refine(fits(minimum, maximum), `must have ${minimum} to ${maximum} characters`)
    .meta({
      minLength: minimum,
      maxLength: maximum,
      pattern: patternOf(minimum, kind),
    });
const INVISIBLE =
  'Nothing invisible: no controls, no marks that turn text around, no blanks that pass for letters. Joiners and ' +
  'variation selectors may stand where a script or an emoji needs them.';

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

const about = {
  name: { description: 'The brand as the buyer reads it', examples: ['Spotify'] },
  industry: { examples: ['Music'] },
  description: { examples: ['Launch film and three cut-downs'] },
};
const others = {
  logo: LogoSlug.nullable(),
  from: YearMonth.nullable(),
  to: YearMonth.nullable(),
};
const stored = {
  name: storedText(1, LIMITS.nameLength).meta(about.name),
  industry: storedText(0, LIMITS.industryLength).meta(about.industry),
  description: storedText(0, LIMITS.descriptionLength).meta(about.description),
  ...others,
};
const fields = {
  name: writtenText(1, LIMITS.nameLength, 'label').meta({
    ...about.name,
    description: `${about.name.description}, in one line. ${INVISIBLE}`,
  }),
  industry: writtenText(0, LIMITS.industryLength, 'label').meta({
    ...about.industry,
    description: `In one line. ${INVISIBLE}`,
  }),
  description: writtenText(0, LIMITS.descriptionLength, 'passage').meta({
    ...about.description,
    description: `Line ends of every system are kept as line feeds. ${INVISIBLE}`,
  }),
  ...others,
};

const endsAfterItBegins = (client: { from?: string | null; to?: string | null }) =>
  !client.from || !client.to || client.from <= client.to;
const period = { message: 'must not be before from', path: ['to'] };

/** One brand a seller has worked with, as stored, sent and shown: what was written once can always be read. */
export const Client = z.object({ id: ClientId, ...stored }).meta({ id: 'Client' });
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
