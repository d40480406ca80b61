import { Refusal } from './refusal.ts';

export const etagOf = (version: number): string => `"${version}"`;

// RFC 9110: any visible character but the quote, and octets above ASCII.
const TAG = /^(W\/)?"([\x21\x23-\x7e\x80-\xff]*)"/;

type Tags = '*' | Array<{ weak: boolean; opaque: string }>;

function tagsOf(header: string, value: string): Tags {
  const tags: Exclude<Tags, '*'> = [];
  let rest = value.trim();
  if (rest === '*') return '*';
  for (;;) {
    const [all, weak, opaque] = TAG.exec(rest) ?? [];
    if (all === undefined || opaque === undefined) {
      throw new Refusal('invalid-request', `${header} must be * or a list of quoted tags, like "5"`, {
        errors: [{ at: `header ${header}`, message: 'must be * or a list of quoted tags, like "5"' }],
      });
    }
    tags.push({ weak: weak !== undefined, opaque });
    rest = rest.slice(all.length).trimStart();
    if (rest === '') return tags;
    if (!rest.startsWith(',')) rest = 'not a list';
    else rest = rest.slice(1).trimStart();
  }
}

/**
 * The versions that `If-Match` accepts; null when it accepts any. A list always exists, so `*` accepts any, and a
 * weak tag matches nothing because the comparison is strong.
 * @throws Refusal when the header cannot be read
 */
export function expectedVersions(ifMatch: string | undefined): number[] | null {
  if (ifMatch === undefined) return null;
  const tags = tagsOf('If-Match', ifMatch);
  if (tags === '*') return null;
  return versionsIn(tags.filter(({ weak }) => !weak));
}

/**
 * The versions that `If-None-Match` excludes from a change (RFC 9110, 13.1.2); null for none. A list always exists, so
 * `*` excludes any version. The comparison is weak.
 * @throws Refusal when the header cannot be read
 */
export function excludedVersions(ifNoneMatch: string | undefined): number[] | 'any' | null {
  if (ifNoneMatch === undefined) return null;
  const tags = tagsOf('If-None-Match', ifNoneMatch);
  return tags === '*' ? 'any' : versionsIn(tags);
}

/** Tags that we did not issue stand for no version. */
const versionsIn = (tags: Exclude<Tags, '*'>): number[] =>
  tags.filter(({ opaque }) => /^(0|[1-9]\d{0,15})$/.test(opaque)).map(({ opaque }) => Number(opaque));

/**
 * Whether the caller already has this version, by `If-None-Match`; the comparison is weak.
 * @throws Refusal when the header cannot be read
 */
export function isKnown(ifNoneMatch: string | undefined, version: number): boolean {
  if (ifNoneMatch === undefined) return false;
  const tags = tagsOf('If-None-Match', ifNoneMatch);
  return tags === '*' || tags.some(({ opaque }) => opaque === String(version));
}
