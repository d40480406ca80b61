import { expect, test } from '@jest/globals';
import { z } from 'zod';
import { boolean, ConfigError, describeSettings, integer, list, readConfig, setting } from './config.ts';

const SETTINGS = {
  page: setting('TC_PAGE', 'which page', z.enum(['gig', 'user'])),
  maximum: setting('TC_MAXIMUM', 'how many', integer(1, 10).default(5)),
  parallel: setting('TC_PARALLEL', 'overlap the calls', boolean().default(false)),
  brokers: setting('TC_BROKERS', 'addresses', list().default([])),
};
const read = (argv: string[], env: Record<string, string> = {}) => readConfig('spec', SETTINGS, argv, env);
const complaint = (argv: string[], env: Record<string, string> = {}) => {
  try {
    read(argv, env);
  } catch (err) {
    expect(err).toBeInstanceOf(ConfigError);
    return (err as Error).message;
  }
  throw new Error('it was accepted');
};

test('flags win over the environment, and defaults fill the rest', () => {
  expect(read(['--page', 'gig', '--maximum=7'], { TC_PAGE: 'user', TC_BROKERS: 'a:1, b:2' })).toEqual({
    page: 'gig',
    maximum: 7,
    parallel: false,
    brokers: ['a:1', 'b:2'],
  });
});

test('a flag without a value means true', () => {
  expect(read(['--parallel', '--page', 'gig']).parallel).toBe(true);
});

test('a missing setting is named together with what it is for', () => {
  expect(complaint([])).toMatch(/TC_PAGE \(or --page\) is missing: which page/);
});

test('every wrong setting is named at once, with the value that was given', () => {
  const message = complaint(['--page', 'home', '--maximum', '11']);
  expect(message).toMatch(/TC_PAGE .* is "home"/);
  expect(message).toMatch(/TC_MAXIMUM .* is "11"/);
});

test('an unknown flag or variable ends the start and says what is known', () => {
  expect(complaint(['--page', 'gig', '--pgae', 'gig'])).toMatch(
    /--pgae is not a flag of spec; it takes --page/,
  );
  expect(complaint(['--page', 'gig'], { TC_MAXIMUN: '3' })).toMatch(/TC_MAXIMUN is not a setting of spec/);
});

test('variables of others are none of our business', () => {
  expect(read(['--page', 'gig'], { TOP_CLIENTS_SERVICE_HOST: '10.0.0.1', PATH: '/bin' }).page).toBe('gig');
});

test('a setting that others have named keeps its name, and those of their kind that we do not know are left alone', () => {
  const settings = { endpoint: setting('OTEL_EXPORTER_OTLP_ENDPOINT', 'where to', z.url().optional()) };
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://a:4318', OTEL_LOG_LEVEL: 'info' };
  expect(readConfig('spec', settings, [], env).endpoint).toBe('http://a:4318');
  const flag = '--otel-exporter-otlp-endpoint=http://b:4318';
  expect(readConfig('spec', settings, [flag], env).endpoint).toBe('http://b:4318');
});

test('help names every setting with its default', () => {
  expect(describeSettings(SETTINGS)).toMatch(/--page .*TC_PAGE .*required[\s\S]*--maximum .*default 5/);
});

test('a guest passes over the settings of whom it visits, and no flag that it does not know', () => {
  const env = { TC_NAME: 'a', TC_OF_THE_HOST: 'x' };
  expect(() => readConfig('spec', GUEST, [], env)).toThrow('TC_OF_THE_HOST is not a setting');
  expect(readConfig('spec', GUEST, [], env, true)).toEqual({ name: 'a' });
  expect(() => readConfig('spec', GUEST, ['--of-the-host', 'x'], env, true)).toThrow('is not a flag');
});
const GUEST = { name: setting('TC_NAME', 'a name', z.string()) };
