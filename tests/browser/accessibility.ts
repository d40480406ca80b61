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

/**
 * The same in the dark on a phone and in the light on a desktop; what is found says where. Colours do not depend on
 * the width in our stylesheets, so that two looks stand for four. The page stays as it is.
 */
export async function graveViolationsInBothLooks(page: Page): Promise<string[]> {
  await page.setViewportSize(SIZES.phone);
  await page.emulateMedia({ colorScheme: 'dark', reducedMotion: 'reduce' });
  const onPhone = await graveOf(judge(page).withRules(DEPENDS_ON_LOOK));
  await page.setViewportSize(SIZES.desktop);
  await page.emulateMedia({ colorScheme: 'light', reducedMotion: 'reduce' });
  const onDesktop = await graveViolations(page);
  return [
    ...onPhone.map((one) => `phone, dark: ${one}`),
    ...onDesktop.map((one) => `desktop, light: ${one}`),
  ];
}
