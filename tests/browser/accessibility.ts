import { AxeBuilder } from '@axe-core/playwright';
import type { Page } from 'playwright-core';
import { SIZES } from './world.ts';

const GRAVE = new Set(['serious', 'critical']);

/** What a colour scheme or a width can change: the other rules look at the document alone. */
const DEPENDS_ON_LOOK = [
  'color-contrast',
  'link-in-text-block',
  'scrollable-region-focusable',
  'target-size',
];

const judge = (page: Page) =>
  // Our pages have no frames: without the search for them axe needs no second window.
  new AxeBuilder({ page: page as never }).setLegacyMode(true).options({ resultTypes: ['violations'] });

async function graveOf(axe: AxeBuilder): Promise<string[]> {
  const { violations } = await axe.analyze();
  return violations
    .filter(({ impact }) => GRAVE.has(impact ?? ''))
    .map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.target.join(' ')).join(', ')}`);
}

/** The grave violations of a page as it stands, in this light and size; each names its rule and its elements. */
export const graveViolations = (page: Page): Promise<string[]> => graveOf(judge(page));

/** The same in light and dark, on a phone and on a desktop; what is found says where. The page stays as it is. */
export async function graveViolationsEverywhere(page: Page): Promise<string[]> {
  const found: string[] = [];
  for (const size of ['phone', 'desktop'] as const) {
    await page.setViewportSize(SIZES[size]);
    for (const colorScheme of ['dark', 'light'] as const) {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      const isWhole = size === 'desktop' && colorScheme === 'light';
      const violations = isWhole
        ? await graveViolations(page)
        : await graveOf(judge(page).withRules(DEPENDS_ON_LOOK));
      found.push(...violations.map((one) => `${size}, ${colorScheme}: ${one}`));
    }
  }
  return found;
}
