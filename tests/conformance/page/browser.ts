/** Looks at a page with hostile names in a real browser. */
import type { Page } from 'playwright-core';
import { openBrowser } from '../../browser/open-browser.ts';
import { HOSTILE_TEXTS } from '../../support/hostile-texts.ts';
import type { BrowserSaw } from './rules.ts';

const PATIENCE_MS = 10_000;
/** What a script does later, it does within this. */
const SETTLE_MS = 500;

/** What only a name that became markup makes, whether or not a policy of the page then stops it. */
const BECAME_MARKUP = `[...document.querySelectorAll('*')].flatMap((element) => [
  ...[...element.attributes]
    .filter(({ name, value }) => /^(on|srcdoc$)/.test(name) && /harmed/.test(value)
      || name === 'href' && /^\\s*javascript:/i.test(value) && /harmed/.test(value)
      || /elsewhere\\.invalid/.test(value) && /^(BASE|META)$/.test(element.tagName))
    .map(({ name }) => element.tagName.toLowerCase() + ' ' + name),
  ...(element.tagName === 'SCRIPT' && /^\\s*window\\.harmed/.test(element.textContent) ? ['script'] : []),
  ...(element.tagName === 'STYLE' && element.textContent.trim() === '*{display:none}' ? ['style'] : []),
])`;

/**
 * @param usual a page without hostile names: whom it asks is asked by the page itself
 * @throws Error naming what to install where there is no Chromium
 */
export async function lookInBrowser(usual: string, hostile: string, sellerId: number): Promise<BrowserSaw> {
  // The trial still has to remove what it wrote.
  const browser = await openBrowser({ endsTheProcess: false });
  try {
    const context = await browser.newContext();
    context.setDefaultTimeout(PATIENCE_MS);
    const page = await context.newPage();
    const asked = new Set<string>();
    const dialogs: string[] = [];
    page.on('request', (request) => void asked.add(originOf(request.url())));
    page.on('dialog', (dialog) => {
      dialogs.push(dialog.message());
      void dialog.dismiss().catch(() => {});
    });
    await look(page, usual);
    const usually = new Set(asked);
    asked.clear();
    const { status, attempts } = await look(page, hostile);
    const [harmed, markup, text, isHidden] = [
      await page.evaluate('window.harmed').catch(() => undefined),
      (await page.evaluate(BECAME_MARKUP).catch(() => [])) as string[],
      String(await page.evaluate('document.body?.textContent ?? ""').catch(() => '')),
      await page.evaluate('getComputedStyle(document.body).display === "none"').catch(() => false),
    ];
    const elsewhere = [...asked].filter((origin) => !usually.has(origin));
    return {
      ...{ sellerId, status, attempts, names: HOSTILE_TEXTS.length },
      shown: HOSTILE_TEXTS.filter((name) => text.includes(name)).length,
      harm: [
        harmed === undefined ? null : `a script of a name ran (window.harmed is ${String(harmed)})`,
        dialogs.length === 0 ? null : `${dialogs.length} dialogs opened`,
        elsewhere.length === 0 ? null : `${elsewhere.join(', ')} was asked`,
        markup.length === 0 ? null : `names became markup: ${[...new Set(markup)].join(', ')}`,
        isHidden ? 'a style of a name hid the page' : null,
      ].filter((one) => one !== null),
    };
  } finally {
    await browser.close();
  }
}

/** Loads a page, again where it cannot be shown: starting a browser takes a machine's whole strength for a moment. */
async function look(page: Page, url: string): Promise<Pick<BrowserSaw, 'status' | 'attempts'>> {
  const until = performance.now() + PATIENCE_MS;
  for (let attempts = 1; ; attempts++) {
    const answer = await page.goto(url, { waitUntil: 'load' });
    await page.waitForTimeout(SETTLE_MS);
    const status = answer?.status() ?? null;
    if ((status !== null && status < 500) || performance.now() > until) return { status, attempts };
  }
}

/** Of images and scripts that stand in the page itself there is none. */
const originOf = (url: string): string => (/^(data|blob|about):/.test(url) ? 'itself' : new URL(url).origin);
