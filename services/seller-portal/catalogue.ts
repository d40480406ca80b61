import type { Queryable } from '#platform/postgres.ts';

/** A brand as the catalogue offers it; `slug` names its logo. */
export interface Brand {
  readonly slug: string;
  readonly name: string;
}

/** Letters that Unicode does not decompose into a plain one and an accent. */
const PLAIN: Readonly<Record<string, string>> = {
  ß: 'ss',
  ø: 'o',
  ł: 'l',
  đ: 'd',
  ð: 'd',
  þ: 'th',
  æ: 'ae',
  œ: 'oe',
  ı: 'i',
};

/**
 * The form in which names and queries are compared: lower case, no accents, no punctuation, single spaces.
 * Done here and not by the database, so that both sides are folded by the same rules.
 */
export const foldText = (text: string): string =>
  text
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .toLowerCase()
    .replace(/[ßøłđðþæœı]/g, (letter) => PLAIN[letter]!)
    .replace(/[^\p{L}\p{N}]+/gu, ' ')
    .trim();

/** Brands to offer at once: a screenful. One more letter brings others. */
const OFFERED = 8;

/**
 * The brands that fit what was typed, best first: the name itself, names that begin so, names (other names too) with
 * a word that begins so, names that contain it. Only where there is none of these: names that resemble it.
 * @param typed any text; text without a letter or digit finds nothing
 */
export async function searchBrands(db: Queryable, typed: string): Promise<Brand[]> {
  const folded = foldText(typed.slice(0, 80));
  if (folded === '') return [];
  const { rows } = await db.query<Brand>(
    `with containing as (
       select slug, name, folded, words
       from brand
       where words like '%' || $1 || '%'
         -- Inside a word of another name a match would look like a mistake.
         and (folded like '%' || $1 || '%' or words like '% ' || $1 || '%')
     ), resembling as (
       select slug, name, folded, words
       from brand
       where not exists (select from containing) and word_similarity($1, words) >= 0.45
     )
     select slug, name
     from (select * from containing union all select * from resembling) as found
     order by
       folded = $1 desc,
       slug = $1 desc,
       folded like $1 || '%' desc,
       words like '% ' || $1 || '%' desc,
       word_similarity($1, words) desc,
       length(name),
       name
     limit $2`,
    [folded, OFFERED],
  );
  return rows;
}

/** The brand of a slug; undefined when the catalogue has none of that slug. */
export async function findBrand(db: Queryable, slug: string): Promise<Brand | undefined> {
  const { rows } = await db.query<Brand>('select slug, name from brand where slug = $1', [slug]);
  return rows[0];
}

interface Icon {
  readonly title: string;
  readonly slug: string;
  readonly aliases?: { aka?: string[]; old?: string[]; loc?: Record<string, string> };
}

/**
 * Fills the catalogue with the brands of the npm package simple-icons: names, slugs, other names. Safe to repeat;
 * brands that a newer release renamed are updated, none is taken away.
 * @returns how many brands the catalogue was given
 */
export async function fillBrandCatalogue(db: Queryable): Promise<number> {
  // Loaded only here: pages have no use for 1.5 MB of icon descriptions.
  const { default: list } = await import('simple-icons/icons.json', { with: { type: 'json' } });
  const icons = list as readonly Icon[];
  const brands = icons.map(({ title, slug, aliases }) => {
    const others = [...(aliases?.aka ?? []), ...(aliases?.old ?? []), ...Object.values(aliases?.loc ?? {})];
    const names = new Set([title, slug, ...others].map(foldText));
    return { slug, name: title, folded: foldText(title), words: ` ${[...names].join(' ')}` };
  });
  await db.query(
    `insert into brand (slug, name, folded, words)
     select slug, name, folded, words
     from jsonb_to_recordset($1::jsonb) as one (slug text, name text, folded text, words text)
     on conflict (slug) do update
       set name = excluded.name, folded = excluded.folded, words = excluded.words
       where (brand.name, brand.folded, brand.words) is distinct from (excluded.name, excluded.folded, excluded.words)`,
    [JSON.stringify(brands)],
  );
  return brands.length;
}
