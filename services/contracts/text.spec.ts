import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { NewClient } from './client.ts';
import { SellerEvent } from './events.ts';
import { complaintOf, foldName, legible } from './text.ts';

const INVISIBLE = {
  'a zero width space': '\u200b',
  'a word joiner': '\u2060',
  'a Hangul filler': '\u3164',
  'a half-width Hangul filler': '\uffa0',
  'a soft hyphen': '\u00ad',
  'a braille blank': '\u2800',
  'a zero width joiner': '\u200d',
  'a zero width non-joiner': '\u200c',
  'a byte order mark inside': 'a\ufeffb',
  'a combining grapheme joiner': '\u034f',
  'an invisible plus': '\u2064',
  'a Khmer vowel that shows nothing': '\u17b5',
  'a right-to-left override': '\u202eACME',
  'a mark of direction': '\u200f',
  'an isolate that is never closed': '\u2067',
  'a control of C1': '\u0085',
  'another control of C1': '\u009b',
  'an escape': '\u001b[31m',
  'a line feed inside': 'A\nB',
  'a tab inside': 'A\tB',
  'a line separator inside': 'A\u2028B',
  'a variation selector after a letter': 'Nike\ufe0f',
  'an ideographic variation selector after a letter': 'Nike\u{e0100}',
  'tags without a flag': 'a\u{e0067}\u{e0062}\u{e007f}',
  'tags that never end': '\u{1f3f4}\u{e0067}\u{e0062}',
  'a null notehead': '\u{1d159}',
  'what is no character': '\ufdd0',
  'an interlinear anchor': '\ufff9',
  'half of a character': 'a\ud800b',
  'what a decoder could not read': 'a\ufffdb',
};

describe('a name', () => {
  test.each(Object.entries(INVISIBLE))(
    'with %s is refused, alone, before, inside and after',
    (_what, text) => {
      for (const name of [text, `Nike${text}`, `Ni${text}ke`, `${text}Nike`]) {
        const complaint = complaintOf(name.trim(), 'label');
        if (name.trim() === 'Nike') continue;
        expect({ name, complaint }).toEqual({
          name,
          complaint: expect.stringMatching(/^must not hold U\+[0-9A-F]{4,6} \(/),
        });
        expect(NewClient.safeParse({ name }).success).toBe(false);
      }
    },
  );

  test.each([
    [
      'Nike\u200b',
      'must not hold U+200B (zero width space) as character 5: it cannot be seen; leave it out, or type the text anew',
    ],
    [
      '😀\u202eACME',
      'must not hold U+202E (right-to-left override) as character 2: it turns text around; each text has its own direction anyway',
    ],
    ['A\nB', 'must not hold U+000A (line feed) as character 2: write it as one line'],
    [
      'a\u200db',
      'must not hold U+200D (zero width joiner) as character 2: it joins nothing there; leave it out',
    ],
    ['\u0301', 'must have a letter, a digit or a symbol that can be seen'],
    [
      '\ud800',
      'must not hold U+D800 (half of a character) as character 1: the text was damaged on its way; send it as UTF-8',
    ],
  ])('%j is refused with the character, its place and what to do', (name, message) => {
    expect(complaintOf(name, 'label')).toBe(message);
    expect(NewClient.safeParse({ name }).error?.issues[0]).toMatchObject({ path: ['name'], message });
  });

  test.each([
    ['Persian, half a space between letters', 'می‌خواهم'],
    ['Persian, with a vowel sign before it', 'عَلی‌رضا'],
    ['Persian, after a Latin word', 'CD‌ها'],
    ['Persian, after a digit', '۵‌ستاره'],
    ['Persian, a joined letter before a dot', '۱۴۰۰ ه‍.ش'],
    ['Malayalam, a letter at the end of a word', 'പ്രവീണ്‍'],
    ['Bengali, before the sign', 'র‍্যাব'],
    ['Devanagari, half a letter', 'क्‍ष'],
    ['Devanagari, no conjunct', 'क्‌ष'],
    ['Sinhala', 'ශ්‍රී ලංකා'],
    ['Kannada', 'ರಾಜ್‌ಕುಮಾರ್'],
    ['Mongolian, a vowel set apart', 'ᠰᠠᠶ\u180eᠠ'],
    ['Japanese, the ideograph of a name', '葛\u{e0100}飾区'],
    ['Korean', '삼성전자'],
    ['French, a narrow space', 'Yop\u202f!'],
    ['a family', '👨‍👩‍👧‍👦'],
    ['a flag of pride', '🏳️‍⚧️ Studio'],
    ['hearts and skins', '🧑🏻‍❤️‍🧑🏼'],
    ['a head that nods', '🙂‍↔️'],
    ['the flag of Wales', '🏴󠁧󠁢󠁷󠁬󠁳󠁿'],
    ['a keycap', '7️⃣ Eleven'],
    ['a sign as text', '☎︎ Ltd'],
    ['a sign of a trade', 'Nike®'],
    ['punctuation alone', '!'],
  ])('in %s is taken as it is', (_what, name) => {
    expect(complaintOf(name, 'label')).toBeNull();
    expect(NewClient.parse({ name }).name).toBe(name.normalize());
    expect(legible(name, 'label')).toBe(name);
  });
});

test('a description has lines, however they end, and nothing that cannot be seen', () => {
  expect(NewClient.parse({ name: 'a', description: 'one\r\ntwo\rthree\n\tfour' }).description).toBe(
    'one\ntwo\nthree\n\tfour',
  );
  expect(NewClient.safeParse({ name: 'a', description: 'one\u2028two' }).success).toBe(false);
  expect(NewClient.safeParse({ name: 'a', industry: 'one\ntwo' }).success).toBe(false);
  expect(NewClient.parse({ name: 'a', industry: '', description: '  ' })).toMatchObject({ description: '' });
});

/** Controls of old and damaged text were always refused. */
const {
  'an escape': _,
  'half of a character': __,
  'what a decoder could not read': ___,
  ...ACCEPTED_ONCE
} = INVISIBLE;
test.each(Object.values(ACCEPTED_ONCE))(
  'an event from before %j was refused is still read, as it was',
  (text) => {
    const client = {
      id: '133fa5ae-8032-40c0-9def-e456ab4daecd',
      name: `N${text}e`,
      industry: `${text}!`,
      description: `N${text}e`,
      logo: null,
      from: null,
      to: null,
    };
    const event = {
      sellerId: 1,
      version: 1,
      committedAt: '2026-01-01T00:00:00.000Z',
      change: { type: 'client-added', client, position: 0 },
      clients: [client],
    };
    expect(SellerEvent.parse(event).clients[0]).toEqual({ ...client, industry: client.industry.trim() });
  },
);

describe('in a comparison', () => {
  test.each([
    ['Nike', 'Nike\u200b'],
    ['Nike', '\u202eNike'],
    ['Nike', 'NI\u00adKE'],
    ['Nike', 'Ｎｉｋｅ'],
    ['Nike', 'Nike\ufe0f'],
    ['Coca Cola', 'Coca\u00a0\u2003Cola'],
    ['Coca Cola', 'Coca\nCola'],
    ['❤ Studio', '❤️ Studio'],
    ['خانه‌ها', 'خانهها'],
    ['葛飾', '葛\u{e0100}飾'],
    ['Straße', 'STRASSE'],
  ])('%j and %j are the same', (one, other) => {
    expect(foldName(one)).toBe(foldName(other));
  });

  test.each([
    ['🏴󠁧󠁢󠁷󠁬󠁳󠁿', '🏴󠁧󠁢󠁥󠁮󠁧󠁿'],
    ['🏴󠁧󠁢󠁷󠁬󠁳󠁿', '🏴'],
    ['👩‍👩', '👩👩'],
    ['Nike', 'Nyke'],
    ['CocaCola', 'Coca Cola'],
  ])('%j and %j are not', (one, other) => {
    expect(foldName(one)).not.toBe(foldName(other));
  });
});

// ------------------------------------------------------------------------------------------ properties

const invisible = fc.constantFrom(
  ...Object.values(INVISIBLE)
    .flatMap((text) => [...text])
    .filter((one) => complaintOf(one, 'label')?.startsWith('must not hold')),
  '\u115f',
  '\u180e',
  '\u2066',
  '\u2069',
);
/** These show where a script, an ideograph or an emoji needs them. */
const SHOWS_BESIDE_OTHERS = new Set(['\u180e', '\u200c', '\u200d', '\ufe0f', '\u{e0100}']);
const seen = fc.constantFrom(...'aN7é!ßع۵کह्षണ്ශ葛삼😀❤🏴👩🏻♂ ', '🇩🇪', 'e\u0301');
const mixed = fc
  .array(fc.oneof({ weight: 3, arbitrary: seen }, invisible), { maxLength: 12 })
  .map((parts) => parts.join(''));
const anyText = fc.oneof(
  mixed,
  fc.string({ unit: 'binary', maxLength: 12 }),
  fc.string({ unit: 'grapheme', maxLength: 12 }),
);

const trimmed = anyText.map((text) => text.trim());

test('what is made legible is taken, unless nothing is left, and is legible already', () => {
  fc.assert(
    fc.property(anyText, fc.constantFrom('label', 'passage'), (text, kind) => {
      const clean = legible(text, kind);
      expect(legible(clean, kind)).toBe(clean);
      if (/[\p{L}\p{N}\p{P}\p{S}]/u.test(clean)) expect(complaintOf(clean, kind)).toBeNull();
    }),
    { numRuns: 1_000 },
  );
});

test('what is taken is legible, and no two of it that look alike are told apart by something invisible', () => {
  fc.assert(
    fc.property(trimmed, invisible, fc.nat(), (text, extra, at) => {
      fc.pre(complaintOf(text, 'label') === null);
      expect(legible(text, 'label')).toBe(text);
      const parts = [...text];
      const place = at % (parts.length + 1);
      const other = [...parts.slice(0, place), extra, ...parts.slice(place)].join('');
      // Either it is refused, or it can be seen: a joiner in its place.
      if (complaintOf(other, 'label') === null) expect(SHOWS_BESIDE_OTHERS).toContain(extra);
    }),
    { numRuns: 1_000 },
  );
});

test('folding is at rest after once, and blind for what is refused', () => {
  fc.assert(
    fc.property(anyText, (text) => {
      expect(foldName(foldName(text))).toBe(foldName(text));
      if (!/[\t-\r\u0085\u2028\u2029]/.test(text))
        expect(foldName(legible(text, 'label'))).toBe(foldName(text));
    }),
    { numRuns: 1_000 },
  );
});
