import type { Page } from '#pages/page.ts';

/** The version a reader has seen already and must not fall behind; 0 for sellers that the reader did not name. */
export type MinVersion = (sellerId: number) => number;

export const ANY_VERSION: MinVersion = () => 0;

const NUMBER = /^(0|[1-9]\d{0,15})$/;
const PAIR = /^([1-9]\d{0,15}):(0|[1-9]\d{0,15})$/;

/**
 * Reads `minVersion`. A page of one seller takes its version, `7`. On a page of many sellers a bare number would
 * mean nothing, because each seller counts by itself: it takes pairs, `<seller>:<version>`, separated by commas.
 * @returns what to change when the text is neither
 */
export function readMinVersion(
  text: string | undefined,
  shows: Page['shows'],
): { readonly minVersion: MinVersion } | { readonly refused: string } {
  if (text === undefined) return { minVersion: ANY_VERSION };
  if (shows === 'one seller') {
    const version = NUMBER.test(text) ? Number(text) : Number.NaN;
    return Number.isSafeInteger(version)
      ? { minVersion: () => version }
      : { refused: 'minVersion must be a version of the list, a whole number such as 7.' };
  }
  const minVersion = new Map<number, number>();
  for (const part of text.split(',')) {
    const [, seller, version] = PAIR.exec(part.trim()) ?? [];
    if (
      !Number.isSafeInteger(Number(seller)) ||
      !Number.isSafeInteger(Number(version)) ||
      minVersion.size >= 100
    ) {
      return {
        refused:
          'minVersion on a page of many sellers must be pairs of a seller and a version, such as 12:7, separated by commas, 100 at most.',
      };
    }
    minVersion.set(Number(seller), Math.max(minVersion.get(Number(seller)) ?? 0, Number(version)));
  }
  return { minVersion: (sellerId) => minVersion.get(sellerId) ?? 0 };
}
