import { expect, test } from '@jest/globals';
import { readOptions, UsageError } from './options.ts';

const read = (...argv: string[]) => readOptions(argv, '/project');

test('without flags the demo starts with 20,000 sellers at 8080 on this machine only', () => {
  expect(read()).toEqual({
    command: 'start',
    sellers: undefined,
    portBase: 8080,
    data: '/project/.demo',
    host: '127.0.0.1',
    traffic: true,
    examples: true,
    detach: false,
    otlp: undefined,
    grafana: false,
  });
});

test('every flag is understood, with a blank or an equals sign', () => {
  expect(
    read('--sellers', '2000', '--port-base=9080', '--data', '/d', '--no-traffic', '--detach'),
  ).toMatchObject({
    sellers: 2000,
    portBase: 9080,
    data: '/d',
    traffic: false,
    detach: true,
  });
  expect(read('--grafana').grafana).toBe(true);
  expect(read('--no-examples').examples).toBe(false);
  expect(read('--otlp', 'http://localhost:4318').otlp).toBe('http://localhost:4318');
  expect(read('stop', '--data', '/d')).toMatchObject({ command: 'stop', data: '/d' });
  expect(read('stop', '--help')).toMatchObject({ command: 'help' });
});

test.each([
  [['--seller', '5'], /Unknown option '--seller'.*--help/],
  [['begin'], /"begin" is not a command/],
  [['stop', 'now'], /"stop now" is not a command/],
  [['--sellers', 'many'], /--sellers "many": give a whole number from 20 to 900000/],
  [['--sellers', '-5'], /argument/i],
  [['--sellers=1e4'], /whole number/],
  [['--sellers'], /argument missing/],
  [['--otlp', 'localhost:4318'], /--otlp "localhost:4318": give an address like http/],
  [['--port-base', '80'], /--port-base "80": give a whole number from 1024 to 65466/],
  [['--port-base', '65500'], /65466/],
  [['--data', ''], /--data is empty/],
  [['--detach=yes'], /detach/],
])('%j is refused in a sentence', (argv, sentence) => {
  expect(() => read(...argv)).toThrow(UsageError);
  expect(() => read(...argv)).toThrow(sentence);
});
