/**
 * What may stand in a text that a seller writes and others read. Nothing in it may be invisible, turn its neighbours
 * around or break a line of labels; what looks alike is compared as alike. Joiners of real scripts, variants of
 * ideographs and emoji sequences stay: there they can be seen.
 */

/** Scripts whose letters join: there U+200C keeps two apart, and U+200D shows the joined form of one. */
const CURSIVE =
  '[\\p{scx=Arab}\\p{scx=Syrc}\\p{scx=Nkoo}\\p{scx=Mand}\\p{scx=Mani}\\p{scx=Mong}\\p{scx=Adlm}\\p{scx=Rohg}]';
/** Scripts in which a sign that takes a vowel away makes conjuncts; a joiner beside it chooses how they look. */
const CONJUNCT =
  '[\\p{scx=Deva}\\p{scx=Beng}\\p{scx=Guru}\\p{scx=Gujr}\\p{scx=Orya}\\p{scx=Taml}\\p{scx=Telu}\\p{scx=Knda}\\p{scx=Mlym}\\p{scx=Sinh}\\p{scx=Khmr}\\p{scx=Mymr}\\p{scx=Tibt}\\p{scx=Java}\\p{scx=Bali}]';
// Some letters and signs show nothing themselves: a joiner beside one joins nothing.
const WORD = '[[\\p{L}\\p{M}\\p{N}]--\\p{DI}]';
const cursive = `[${CURSIVE}&&${WORD}]`;
const letter = `[${CONJUNCT}&&[[\\p{L}\\p{N}]--\\p{DI}]]`;
const sign = `[${CONJUNCT}&&[\\p{M}--\\p{DI}]]`;
const JOINERS = [
  `(?<=${cursive})\\u200c(?=${WORD})`,
  `(?<=${WORD})\\u200c(?=${cursive})`,
  `(?<=${cursive})\\u200d(?!${cursive}|\\p{DI})`,
  `(?<=${sign})\\u200c(?=${letter}|${sign})`,
  `(?<=${letter})\\u200c(?=${sign})`,
  `(?<=${sign})\\u200d(?!\\p{DI})`,
  `(?<=${letter})\\u200d(?=${sign})`,
];
/** Variants that are kept: of an ideograph, as written in a name; of a letter, as it looks at the end of a word. */
const VARIANTS = [
  '\\p{Unified_Ideograph}[\\ufe00-\\ufe02\\u{e0100}-\\u{e01ef}]',
  '[\\p{sc=Mymr}\\p{sc=Phag}]\\ufe00',
  '\\p{sc=Mong}[\\u180b-\\u180d\\u180f]',
  '(?<=\\p{sc=Mong})\\u180e(?=\\p{sc=Mong})',
];
// As UTS #51 builds them. A flag of a region is the only one with tags, which could hide any text.
const PICTURE = '\\p{Extended_Pictographic}[\\p{Emoji_Modifier}\\ufe0e\\ufe0f]?';
const EMOJI = [
  '\\u{1f3f4}[\\u{e0030}-\\u{e0039}\\u{e0061}-\\u{e007a}]{2,6}\\u{e007f}',
  `${PICTURE}(?:\\u200d${PICTURE})*`,
  '[0-9#*]\\ufe0f?\\u20e3',
];

/**
 * Controls, line separators, characters that Unicode says to show nothing for, marks that change the direction of text,
 * noncharacters, and characters that are blank although they count as a letter or a symbol.
 */
const REFUSED =
  '[\\p{Cc}\\p{Cs}\\p{Zl}\\p{Zp}\\p{DI}\\p{Bidi_Control}\\p{Noncharacter_Code_Point}\\u2800\\ufff9-\\ufffd\\u{13441}\\u{13442}\\u{1d159}]';
// Compiled when a text needs them: their sets take 30 ms of a start.
let anyRefused: RegExp | undefined;
let everyPart: RegExp | undefined;
const holdsRefused = (text: string): boolean => {
  anyRefused ??= new RegExp(REFUSED, 'v');
  return anyRefused.test(text);
};
/** Matches what is kept; in its group, what is refused. */
const parts = (): RegExp => {
  everyPart ??= new RegExp(`${[...JOINERS, ...VARIANTS, ...EMOJI].join('|')}|(${REFUSED})`, 'gv');
  return everyPart;
};
const VISIBLE = /[\p{L}\p{N}\p{P}\p{S}]/u;

/** A label is one line; a passage may have several, with tabs. */
export type TextKind = 'label' | 'passage';
const isLineEnd = (character: string, kind: TextKind) =>
  kind === 'passage' && (character === '\n' || character === '\t');

/**
 * What has to change before a text is accepted, as the end of a sentence that begins with the name of the text; null
 * when nothing has to. Whether a text is empty is not checked here.
 */
export function complaintOf(text: string, kind: TextKind): string | null {
  if (holdsRefused(text)) {
    for (const { 1: refused, index } of text.matchAll(parts())) {
      if (refused === undefined || isLineEnd(refused, kind)) continue;
      const position = [...text.slice(0, index)].length + 1;
      return `must not hold ${nameOf(refused)} as character ${position}: ${reasonOf(refused)}`;
    }
  }
  return text === '' || VISIBLE.test(text)
    ? null
    : 'must have a letter, a digit or a symbol that can be seen';
}

/** The text without what would be refused now: a text that was stored earlier is shown or sent again this way. */
export const legible = (text: string, kind: TextKind): string =>
  holdsRefused(text)
    ? text
        .replace(parts(), (part, refused?: string) =>
          refused === undefined || isLineEnd(refused, kind) ? part : BREAK.test(refused) ? ' ' : '',
        )
        .trim()
    : text;

/**
 * The form in which names are compared: capitals, widths, spaces and all that cannot be seen make no difference. The
 * parts of emoji sequences do make one: one flag is not another.
 */
export function foldName(name: string): string {
  const text = name.normalize('NFKC');
  // Upper case folds more than lower case does: ß with SS, ς with σ.
  return (holdsRefused(text) ? seen(text) : text).toUpperCase().normalize('NFKC').replace(/\s+/g, ' ').trim();
}

const seen = (text: string): string =>
  text.replace(parts(), (part, refused?: string) => {
    if (refused !== undefined) return BREAK.test(refused) ? ' ' : '';
    return /^\p{Extended_Pictographic}/u.test(part)
      ? part.replace(/[\ufe0e\ufe0f]/g, '')
      : part.replace(/\p{DI}/gu, '');
  });

const TURNS = /\p{Bidi_Control}/gu;
const TURNED =
  /[\p{Bidi_Control}\p{scx=Hebr}\p{scx=Arab}\p{scx=Syrc}\p{scx=Thaa}\p{scx=Nkoo}\p{scx=Samr}\p{scx=Mand}\p{scx=Adlm}\p{scx=Rohg}]/u;

/** The text without marks that turn text around: one of them could leave an isolate and reach the neighbours. */
export const withoutTurns = (text: string): string => text.replace(TURNS, '');

/** The text for a sentence outside HTML: text from right to left does not change the sentence's direction. */
export const isolatedText = (text: string): string =>
  TURNED.test(text) ? `\u2068${withoutTurns(text)}\u2069` : text;

const BREAK = /[\t-\r\u0085\u2028\u2029]/;

const NAMES: Readonly<Record<string, string>> = {
  '\t': 'tab',
  '\n': 'line feed',
  '\r': 'carriage return',
  '\u00ad': 'soft hyphen',
  '\u061c': 'Arabic letter mark',
  '\u200b': 'zero width space',
  '\u200c': 'zero width non-joiner',
  '\u200d': 'zero width joiner',
  '\u200e': 'left-to-right mark',
  '\u200f': 'right-to-left mark',
  '\u202a': 'left-to-right embedding',
  '\u202b': 'right-to-left embedding',
  '\u202c': 'pop directional formatting',
  '\u202d': 'left-to-right override',
  '\u202e': 'right-to-left override',
  '\u2028': 'line separator',
  '\u2029': 'paragraph separator',
  '\u2060': 'word joiner',
  '\u2066': 'left-to-right isolate',
  '\u2067': 'right-to-left isolate',
  '\u2068': 'first strong isolate',
  '\u2069': 'pop directional isolate',
  '\u2800': 'braille pattern blank',
  '\u3164': 'Hangul filler',
  '\ufeff': 'byte order mark',
  '\ufffd': 'replacement character',
};

const groupOf = (character: string): string => {
  if (/\p{Cs}/u.test(character)) return 'half of a character';
  if (/\p{Cc}/u.test(character)) return 'control character';
  if (/[\ufe00-\ufe0f\u{e0100}-\u{e01ef}]/u.test(character)) return 'variation selector';
  if (/[\u{e0000}-\u{e007f}]/u.test(character)) return 'tag character';
  return 'invisible character';
};

/** `U+200B (zero width space)` */
function nameOf(character: string): string {
  const code = character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0');
  return `U+${code} (${NAMES[character] ?? groupOf(character)})`;
}

function reasonOf(character: string): string {
  if (BREAK.test(character)) return 'write it as one line';
  if (/[\p{Cs}\ufffd]/u.test(character)) return 'the text was damaged on its way; send it as UTF-8';
  if (/\p{Bidi_Control}/u.test(character))
    return 'it turns text around; each text has its own direction anyway';
  if (/[\u200c\u200d]/.test(character)) return 'it joins nothing there; leave it out';
  return 'it cannot be seen; leave it out, or type the text anew';
}
