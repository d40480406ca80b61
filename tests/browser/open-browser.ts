import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';

/**
 * Starts the Chromium of this machine.
 * @param endsTheProcess whether a signal that ends the process does so as soon as the browser is closed, and nothing else
 * @throws when there is none, saying what to set
 */
export async function openBrowser({ endsTheProcess = true } = {}): Promise<Browser> {
  const executablePath = process.env['CHROMIUM'] ?? '/usr/bin/chromium';
  if (!existsSync(executablePath)) {
    throw new Error(`there is no Chromium at ${executablePath}: install it or set CHROMIUM to its path`);
  }
  return chromium.launch({
    executablePath,
    ...{ handleSIGINT: endsTheProcess, handleSIGTERM: endsTheProcess },
    args: ['--no-sandbox', '--disable-background-networking', '--disable-dev-shm-usage'],
  });
}
