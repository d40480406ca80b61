import type { RequestHandler } from 'express';
import { LRUCache } from 'lru-cache';
import { LogoSlug } from '#contracts/client.ts';

const KEPT = 1_000;

interface Brand {
  readonly slug: string;
  readonly hex: string;
}

const channel = (hex: string, at: number): number => {
  const value = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
  return value <= 0.040_45 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
};

/** Relative luminance as WCAG defines it, 0 to 1. */
const luminance = (hex: string): number =>
  0.2126 * channel(hex, 0) + 0.7152 * channel(hex, 2) + 0.0722 * channel(hex, 4);

/**
 * The logo on a plate of the brand's colour, in the ink that can be told from it: legible on a light page and on a
 * dark one alike, whatever the colour.
 */
export function plate(path: string, hex: string): string {
  // The brands' own habit is white on colour; dark ink only where white would be hard to make out.
  const ink = luminance(hex) > 0.45 ? '#1a1620' : '#ffffff';
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 44 44"><rect width="44" height="44" rx="10" fill="#${hex}"/><path transform="translate(10 10)" fill="${ink}" d="${path}"/></svg>`;
}

/**
 * Serves `/logos/:file` from the brand catalogue; an unknown one is left to the next handler. Files are read on
 * demand and the last used are kept.
 */
export function serveLogos(): RequestHandler {
  const kept = new LRUCache<string, string>({ max: KEPT });
  let colours: Promise<Map<string, string>> | undefined;

  // Loaded with the first logo.
  const read = (address: string) =>
    process.getBuiltinModule('node:fs/promises').readFile(new URL(import.meta.resolve(address)), 'utf8');

  const readColours = async () => {
    const catalogue = await read('simple-icons/icons.json');
    return new Map((JSON.parse(catalogue) as Brand[]).map(({ slug, hex }) => [slug, hex]));
  };

  const draw = async (slug: string): Promise<string | null> => {
    colours ??= readColours().catch((err: unknown) => {
      colours = undefined;
      throw err;
    });
    const hex = (await colours).get(slug);
    if (hex === undefined) return null;
    const svg = await read(`simple-icons/icons/${slug}.svg`);
    const path = / d="([^"]+)"/.exec(svg)?.[1];
    return path === undefined ? null : plate(path, hex);
  };

  return async (req, res, next) => {
    const slug = /^(.+)\.svg$/.exec(String(req.params['file']))?.[1];
    if (!LogoSlug.safeParse(slug).success) return next();
    const svg = kept.get(slug!) ?? (await draw(slug!));
    if (svg === null) return next();
    kept.set(slug!, svg);
    // A catalogue's logo changes with a release at most; a month is for ever enough.
    res.set({ 'content-type': 'image/svg+xml', 'cache-control': 'public, max-age=2592000, immutable' });
    res.end(svg);
  };
}
