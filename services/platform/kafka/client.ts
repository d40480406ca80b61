import { readFile } from 'node:fs/promises';
import { connect as connectTcp, isIP } from 'node:net';
import { connect as connectTls } from 'node:tls';
import kafkajs, { type ISocketFactory, type Kafka, type KafkaConfig } from 'kafkajs';
import { z } from 'zod';
import { ConfigError, integer, list, setting } from '../config.ts';
import type { Log } from '../log.ts';
import { expectInstalled } from './install.ts';

// kafkajs is CommonJS, and not all of its exports are found by name.
const { logLevel } = kafkajs;

export type { Admin, Kafka, Message as KafkaMessage, Producer } from 'kafkajs';

/** The settings of every role that speaks to Kafka. */
export const KAFKA_SETTINGS = {
  brokers: setting('TC_KAFKA_BROKERS', 'bootstrap addresses, host:port, comma-separated', list()),
  tls: setting('TC_KAFKA_TLS', 'whether to use TLS', z.stringbool().default(false)),
  caFile: setting('TC_KAFKA_CA_FILE', 'file with the PEM certificates to trust', z.string().optional()),
  saslMechanism: setting(
    'TC_KAFKA_SASL_MECHANISM',
    'plain, scram-sha-256 or scram-sha-512',
    z.enum(['plain', 'scram-sha-256', 'scram-sha-512']).optional(),
  ),
  saslUsername: setting('TC_KAFKA_SASL_USERNAME', 'user name for SASL', z.string().optional()),
  saslPassword: setting('TC_KAFKA_SASL_PASSWORD', 'password for SASL', z.string().optional()),
  requestTimeoutMs: setting(
    'TC_KAFKA_REQUEST_TIMEOUT_MS',
    'deadline of one request, in ms',
    integer(100, 300_000).default(5_000),
  ),
} as const;

export interface KafkaSettings {
  readonly brokers: string[];
  readonly tls?: boolean;
  readonly ca?: string;
  readonly sasl?: {
    mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512';
    username: string;
    password: string;
  };
  readonly requestTimeoutMs?: number;
  /** How often a call is tried again. Default 5. */
  readonly retries?: number;
}

/** Small requests go out at once; kafkajs' own sockets would hold one back while another is unanswered (Nagle). */
export const openSocket: ISocketFactory = ({ host, port, ssl, onConnect }) => {
  const socket = ssl
    ? connectTls({ host, port, ...(isIP(host) ? {} : { servername: host }), ...ssl }, onConnect)
    : connectTcp({ host, port }, onConnect);
  return socket.setNoDelay(true).setKeepAlive(true, 60_000);
};

/**
 * A client whose log lines go to ours. Retries are bounded: callers decide what happens after the last.
 * @throws Error when `installKafkaCodecs` was not called before
 */
export function openKafka(
  clientId: string,
  settings: KafkaSettings,
  log: Log,
  socketFactory: ISocketFactory = openSocket,
): Kafka {
  expectInstalled();
  const write = { [logLevel.ERROR]: 'error', [logLevel.WARN]: 'warn', [logLevel.INFO]: 'debug' } as const;
  const tls = settings.tls || settings.ca !== undefined;
  return new kafkajs.Kafka({
    clientId,
    brokers: [...settings.brokers],
    socketFactory,
    connectionTimeout: 3_000,
    requestTimeout: settings.requestTimeoutMs ?? 5_000,
    enforceRequestTimeout: true,
    retry: { initialRetryTime: 50, maxRetryTime: 1_000, retries: settings.retries ?? 5 },
    ...(tls ? { ssl: settings.ca === undefined ? true : { ca: [settings.ca] } } : {}),
    ...(settings.sasl ? { sasl: settings.sasl as KafkaConfig['sasl'] & object } : {}),
    logCreator:
      () =>
      ({ level, log: entry }) =>
        log[(write as Record<number, 'error' | 'warn' | 'debug'>)[level] ?? 'debug'](
          { kafka: { ...entry, message: undefined } },
          entry.message,
        ),
    logLevel: logLevel.INFO,
  });
}

/** Turns the settings of a role into those of the client; reads the CA file. */
export async function kafkaSettings(config: {
  brokers: string[];
  tls: boolean;
  caFile?: string | undefined;
  saslMechanism?: 'plain' | 'scram-sha-256' | 'scram-sha-512' | undefined;
  saslUsername?: string | undefined;
  saslPassword?: string | undefined;
  requestTimeoutMs: number;
}): Promise<KafkaSettings> {
  const { saslMechanism: mechanism, saslUsername: username, saslPassword: password } = config;
  if (mechanism && (username === undefined || password === undefined)) {
    throw new ConfigError('TC_KAFKA_SASL_MECHANISM needs TC_KAFKA_SASL_USERNAME and TC_KAFKA_SASL_PASSWORD');
  }
  return {
    brokers: config.brokers,
    tls: config.tls,
    requestTimeoutMs: config.requestTimeoutMs,
    ...(config.caFile ? { ca: await readFile(config.caFile, 'utf8') } : {}),
    ...(mechanism ? { sasl: { mechanism, username: username!, password: password! } } : {}),
  };
}
